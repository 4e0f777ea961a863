{ stdenv, fetchurl }:

stdenv.mkDerivation rec {
  pname = "x";
  version = "1.2";
  src = fetchurl {
    url = "https://example.org/x-${version}.tar.gz";
    sha256 = "0000000000000000000000000000000000000000000000000000000000000001";
  };
}
