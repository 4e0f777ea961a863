{
  lib,
  stdenv,
  fetchurl,
}:

stdenv.mkDerivation rec {
  pname = "bzip2";
  version = "1.0.8";

  src = fetchurl {
    url = "https://sourceware.org/pub/bzip2/bzip2-${version}.tar.gz";
    sha256 = "1zi8pfd2y2z7zjab4v2xzbn83dqjdxd4xz6gcjcsvqxb8wjqn1sn";
  };

  makeFlags = [ "PREFIX=$(out)" ];

  meta = with lib; {
    description = "High-quality data compression program";
    homepage = "https://www.sourceware.org/bzip2";
    license = licenses.bsdOriginal;
    maintainers = [ ];
    platforms = platforms.all;
  };
}
