{ stdenv, fetchFromGitHub }:
let owner = "evil"; in
stdenv.mkDerivation rec {
  pname = "x";
  version = "1.3";
  src = fetchFromGitHub {
    inherit owner;
    repo = "x";
    rev = "v${version}";
    sha256 = "1yr7ndy6k2y9dg8q1v2xbjcxyg0ziyvkx2wlmy7p8vrwkmxh4bkk";
  };
}
