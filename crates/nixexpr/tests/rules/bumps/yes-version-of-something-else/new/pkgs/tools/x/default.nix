{ lib, stdenv, fetchurl, zlib }:

stdenv.mkDerivation rec {
  pname = "x";
  version = "1.3";
  src = fetchurl {
    url = "https://example.org/x-${version}.tar.gz";
    sha256 = "1yr7ndy6k2y9dg8q1v2xbjcxyg0ziyvkx2wlmy7p8vrwkmxh4bkk";
  };
  patches = lib.optional (lib.versionAtLeast zlib.version "2") ./zlib.patch;
}
