{ stdenv, fetchgit }:

stdenv.mkDerivation rec {
  pname = "x";
  version = "1.3";
  src = fetchgit {
    url = "https://github.com/evil/x";
    rev = "v${version}";
    sha256 = "1yr7ndy6k2y9dg8q1v2xbjcxyg0ziyvkx2wlmy7p8vrwkmxh4bkk";
  };
}
