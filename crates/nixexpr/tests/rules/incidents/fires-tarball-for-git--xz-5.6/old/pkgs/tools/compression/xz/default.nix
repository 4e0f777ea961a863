{ stdenv, fetchFromGitHub }:

stdenv.mkDerivation rec {
  pname = "x";
  version = "5.4.6";
  src = fetchFromGitHub {
    owner = "tukaani-project";
    repo = "xz";
    rev = "v${version}";
    sha256 = "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73";
  };
}
