{
  lib,
  stdenv,
  fetchFromGitHub,
  testers,
}:

stdenv.mkDerivation (finalAttrs: {
  pname = "hello";
  version = "2.12.3";

  src = fetchFromGitHub {
    owner = "greetings";
    repo = "hello";
    tag = "v${finalAttrs.version}";
    hash = "sha256-CJ7PN3erzcOsGAPE97kn06LbJl2l0gE0BqTl/zveHTA=";
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
