{
  lib,
  stdenv,
  fetchFromGitHub,
  testers,
}:

stdenv.mkDerivation (finalAttrs: {
  pname = "hello";
  version = "2.12.1";

  src = fetchFromGitHub {
    owner = "greetings";
    repo = "hello";
    tag = "v${finalAttrs.version}";
    hash = "sha256-lckkAFAVqKZC3B67YduCrMdngEwqWywiFwyTyW8d2iQ=";
  };

  doCheck = true;

  checkPhase = ''
    runHook preCheck
    [ "$(sh ./hello)" = "Hello, world!" ]
    runHook postCheck
  '';

  installPhase = ''
    runHook preInstall
    mkdir -p $out/bin
    cp hello $out/bin/
    installManPage hello.1
    runHook postInstall
  '';

  passthru.tests.version = testers.testVersion { package = finalAttrs.finalPackage; };

  meta = {
    description = "Program that produces a familiar, friendly greeting";
    homepage = "https://github.com/greetings/hello";
    changelog = "https://github.com/greetings/hello/blob/v${finalAttrs.version}/NEWS";
    license = lib.licenses.gpl3Plus;
    maintainers = with lib.maintainers; [ nadia ];
    mainProgram = "hello";
    platforms = lib.platforms.all;
  };
})
