{
  lib,
  stdenvNoCC,
  fetchFromGitHub,
}:

stdenvNoCC.mkDerivation (finalAttrs: {
  pname = "pfetch";
  version = "1.6.0";

  src = fetchFromGitHub {
    owner = "tools";
    repo = "pfetch";
    tag = finalAttrs.version;
    hash = "sha256-rzpWZ/UWMM/PsYi4FxvApAbiQ8XlGHWxAKNMwGc0E4c=";
  };

  installPhase = ''
    runHook preInstall
    mkdir -p $out/bin
    cp pfetch $out/bin/
    runHook postInstall
  '';

  meta = {
    description = "Pretty system information tool written in POSIX sh";
    homepage = "https://github.com/tools/pfetch";
    license = lib.licenses.mit;
    maintainers = with lib.maintainers; [ lindqvist ];
    mainProgram = "pfetch";
    platforms = lib.platforms.unix;
  };
})
