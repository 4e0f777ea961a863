{ stdenv, fetchurl }:

stdenv.mkDerivation rec {
  pname = "x";
  version = "1.3";
  src = fetchurl {
    url = "https://example.org/x-${version}.tar.gz";
    hash = "md5-AAAAAAAAAAAAAAAAAAAAAQ==";
  };
}
