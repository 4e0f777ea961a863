{
  lib,
  stdenv,
  fetchurl,
}:

stdenv.mkDerivation rec {
  pname = "xz";
  version = "5.4.6";

  # Note: this package is used for bootstrapping fetchurl, and thus cannot use fetchpatch.
  src = fetchurl {
    url = "mirror://sourceforge/lzmautils/xz-${version}.tar.gz";
    hash = "sha256-3mbW6qAvxkrmv84b4ighxNOsAHvhDXLJ8nQ/oippuLo=";
  };

  outputs = [
    "bin"
    "dev"
    "out"
    "man"
  ];

  configureFlags = [ "--disable-doc" ];

  enableParallelBuilding = true;
  doCheck = true;

  meta = with lib; {
    homepage = "https://tukaani.org/xz/";
    description = "General-purpose data compression software, successor of LZMA";
    license = with licenses; [
      gpl2Plus
      lgpl21Plus
    ];
    maintainers = with maintainers; [ tomas ];
    platforms = platforms.all;
    pkgConfigModules = [ "liblzma" ];
  };
}
