{ stdenv, fetchurl }:

stdenv.mkDerivation {
  name = "x-2.1.0";
  src = fetchurl {
    url = mirror://sourceforge/x/x-2.1.0.tar.gz;
    sha256 = "1yr7ndy6k2y9dg8q1v2xbjcxyg0ziyvkx2wlmy7p8vrwkmxh4bkk";
  };
}
