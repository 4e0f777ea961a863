{
  lib,
  stdenv,
  fetchFromGitHub,
}:

stdenv.mkDerivation (finalAttrs: {
  pname = "dovetail";
  version = "1.0";

  src = fetchFromGitHub {
    owner = "dovetail-project";
    repo = "dovetail";
    rev = "v${finalAttrs.version}";
    hash = "sha256-YJpNxtB+Z51KDiRVQRf6PSQ0NwRTZY9XwzAoZPiBzow=";
  };

  installPhase = ''
    runHook preInstall
    mkdir -p $out/bin
    cp dovetail $out/bin/
    runHook postInstall
  '';

  meta = {
    description = "Joins the lines of two files";
    homepage = "https://github.com/dovetail-project/dovetail";
    license = lib.licenses.isc;
    maintainers = with lib.maintainers; [ lindqvist ];
    mainProgram = "dovetail";
    platforms = lib.platforms.unix;
  };
})
