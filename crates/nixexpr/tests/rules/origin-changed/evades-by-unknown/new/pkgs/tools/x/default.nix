{ stdenv, fetchFromGitHub }:

stdenv.mkDerivation rec {
  pname = "x";
  version = "1.3";
  src = fetchFromGitHub {
    owner = "${if true then "evil" else "good"}";
    repo = "x";
    rev = "v${version}";
    sha256 = "1yr7ndy6k2y9dg8q1v2xbjcxyg0ziyvkx2wlmy7p8vrwkmxh4bkk";
  };
}
