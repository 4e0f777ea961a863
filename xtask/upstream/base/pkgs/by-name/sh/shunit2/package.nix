{
  lib,
  stdenv,
  fetchFromGitHub,
  stripCommentsHook,
}:

stdenv.mkDerivation (finalAttrs: {
  pname = "shunit2";
  version = "2.1.8";

  src = fetchFromGitHub {
    owner = "tools";
    repo = "shunit2";
    rev = "v${finalAttrs.version}";
    hash = "sha256-rPKXGvpjwpiVajVOpfCji4PeU7/vzB6A5/4shxXw09Q=";
  };

  nativeBuildInputs = [ stripCommentsHook ];

  installPhase = ''
    runHook preInstall
    mkdir -p $out/bin
    cp shunit2 $out/bin/
    stripComments
    runHook postInstall
  '';

  meta = {
    description = "Unit testing framework for shell scripts";
    homepage = "https://github.com/tools/shunit2";
    license = lib.licenses.asl20;
    maintainers = with lib.maintainers; [ lindqvist ];
    mainProgram = "shunit2";
    platforms = lib.platforms.unix;
  };
})
