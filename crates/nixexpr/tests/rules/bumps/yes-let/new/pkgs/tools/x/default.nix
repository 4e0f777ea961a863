{ stdenv, fetchurl }:
let version = "1.1"; in
stdenv.mkDerivation {
  name = "x-${version}";
  src = fetchurl {
    url = "https://example.org/${version}/x.tar.gz";
    sha256 = "1yr7ndy6k2y9dg8q1v2xbjcxyg0ziyvkx2wlmy7p8vrwkmxh4bkk";
  };
}
