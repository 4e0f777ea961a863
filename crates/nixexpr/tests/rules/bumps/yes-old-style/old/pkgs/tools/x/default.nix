{ stdenv, fetchurl }:

stdenv.mkDerivation {
  name = "x-2.0.1";
  src = fetchurl {
    url = mirror://sourceforge/x/x-2.0.1.tar.gz;
    sha256 = "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73";
  };
}
