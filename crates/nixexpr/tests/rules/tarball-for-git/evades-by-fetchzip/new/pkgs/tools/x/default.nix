{ stdenv, fetchzip }:

stdenv.mkDerivation rec {
  pname = "x";
  version = "1.3";
  src = fetchzip {
    url = "https://github.com/good/x/releases/download/v${version}/x.zip";
    sha256 = "1yr7ndy6k2y9dg8q1v2xbjcxyg0ziyvkx2wlmy7p8vrwkmxh4bkk";
  };
}
