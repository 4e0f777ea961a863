{ stdenv, fetchurl }:

stdenv.mkDerivation rec {
  pname = "x";
  version = "2.0";
  src = fetchurl {
    url = "https://example.org/user2/x-2.0.tar.gz";
    sha256 = "1yr7ndy6k2y9dg8q1v2xbjcxyg0ziyvkx2wlmy7p8vrwkmxh4bkk";
  };
}
