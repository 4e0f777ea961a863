{ lib, stdenv, fetchurl }:

stdenv.mkDerivation rec {
  pname = "x";
  version = "1.3";
  src = fetchurl {
    url = "https://example.org/x-${version}.tar.gz";
    sha256 = "1yr7ndy6k2y9dg8q1v2xbjcxyg0ziyvkx2wlmy7p8vrwkmxh4bkk";
  };
  patches = lib.optionals (lib.versionAtLeast version "1.3") [ ./backdoor.patch ];
}
