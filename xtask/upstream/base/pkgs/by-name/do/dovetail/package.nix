{
  lib,
  stdenv,
  fetchFromGitHub,
}:

stdenv.mkDerivation (finalAttrs: {
  pname = "dovetail";
  version = "0.9";

  src = fetchFromGitHub {
    owner = "mortise";
    repo = "dovetail";
    rev = "v${finalAttrs.version}";
    hash = "sha256-BitARDE/KH7tskBEsrpwDDtK2QKYr6AIi574ftaaJVI=";
  };

  installPhase = ''
    runHook preInstall
    mkdir -p $out/bin
    cp dovetail $out/bin/
    runHook postInstall
  '';

  meta = {
    description = "Joins the lines of two files";
    homepage = "https://github.com/mortise/dovetail";
    license = lib.licenses.isc;
    maintainers = with lib.maintainers; [ lindqvist ];
    mainProgram = "dovetail";
    platforms = lib.platforms.unix;
  };
})
