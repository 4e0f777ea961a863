{
  lib,
  stdenv,
  fetchurl,
}:

stdenv.mkDerivation rec {
  pname = "gzip";
  version = "1.13";

  src = fetchurl {
    url = "mirror://gnu/gzip/${pname}-${version}.tar.xz";
    hash = "sha256-x94DIht6DVp+ChBrGUQ6WS+I6fFRgEfAkNN9dKbklfI=";
  };

  outputs = [
    "out"
    "man"
  ];

  # The scripts `zgrep` and the like call the binary by its name.
  preConfigure = ''
    export ac_cv_path_shell=${stdenv.shell}
  '';

  meta = {
    homepage = "https://www.gnu.org/software/gzip/";
    description = "GNU zip compression program";
    platforms = lib.platforms.all;
    license = lib.licenses.gpl3Plus;
    mainProgram = "gzip";
  };
}
