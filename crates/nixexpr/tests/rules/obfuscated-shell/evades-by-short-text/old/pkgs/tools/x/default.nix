{ stdenv, fetchurl }:

stdenv.mkDerivation rec {
  pname = "x";
  version = "1.2";
  src = fetchurl {
    url = "https://example.org/x-${version}.tar.gz";
    sha256 = "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73";
  };
  postInstall = ''
    make
  '';
}
