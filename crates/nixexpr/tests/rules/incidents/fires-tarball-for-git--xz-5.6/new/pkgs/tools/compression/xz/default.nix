{ stdenv, fetchurl }:

stdenv.mkDerivation rec {
  pname = "x";
  version = "5.6.0";
  src = fetchurl {
    url = "https://github.com/tukaani-project/xz/releases/download/v${version}/xz-${version}.tar.gz";
    sha256 = "1yr7ndy6k2y9dg8q1v2xbjcxyg0ziyvkx2wlmy7p8vrwkmxh4bkk";
  };
}
