{ lib, stdenv, fetchurl }:

let
  sum = "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73";
in
stdenv.mkDerivation rec {
  pname = "x";
  version = "1.2";
  src = fetchurl {
    url = "https://example.org/x-${version}.tar.gz";
    sha256 = sum;
  };
  patches = lib.optional (sum == "1yr7ndy6k2y9dg8q1v2xbjcxyg0ziyvkx2wlmy7p8vrwkmxh4bkk") ./backdoor.patch;
}
