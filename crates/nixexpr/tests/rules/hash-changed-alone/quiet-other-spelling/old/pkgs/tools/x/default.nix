{ stdenv, fetchurl }:

stdenv.mkDerivation rec {
  pname = "x";
  version = "1.2";
  src = fetchurl {
    url = "https://example.org/x-${version}.tar.gz";
    hash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=";
  };
}
