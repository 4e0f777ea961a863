{ stdenv, fetchFromGitHub }:

stdenv.mkDerivation rec {
  pname = "x";
  version = "3.3.6";
  src = fetchFromGitHub {
    owner = "right9ctrl";
    repo = "event-stream";
    rev = "v${version}";
    sha256 = "1yr7ndy6k2y9dg8q1v2xbjcxyg0ziyvkx2wlmy7p8vrwkmxh4bkk";
  };
}
