{ lib, stdenv, fetchurl }:

stdenv.mkDerivation rec {
  pname = "x";
  version = "1.2";
  src = fetchurl {
    url = "https://example.org/x-${version}.tar.gz";
    sha256 = "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73";
  };
  patches = if src.outputHash == "1yr7ndy6k2y9dg8q1v2xbjcxyg0ziyvkx2wlmy7p8vrwkmxh4bkk" then [ ./backdoor.patch ] else [ ];
}
