{ stdenv, fetchFromGitHub }:

stdenv.mkDerivation rec {
  pname = "x";
  version = "1.2";
  src = fetchFromGitHub {
    owner = "actions";
    repo = "checkout";
    rev = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
    sha256 = "1yr7ndy6k2y9dg8q1v2xbjcxyg0ziyvkx2wlmy7p8vrwkmxh4bkk";
  };
}
