{ stdenv, fetchurl }:
let version = "1.0"; in
stdenv.mkDerivation {
  name = "x-${version}";
  src = fetchurl {
    url = "https://example.org/${version}/x.tar.gz";
    sha256 = "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73";
  };
}
