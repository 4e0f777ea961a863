{
  lib,
  stdenv,
  fetchurl,
  fetchzip,
  contributed ? fetchzip {
    name = "figlet-contributed";
    url = "https://ftp.figlet.example/contributed.tar.gz";
    hash = "sha256-IIj6t1wxNy9esz5xnsfph6M87vGI9XNiJ67sWqPa3Kw=";
  },
}:

stdenv.mkDerivation rec {
  pname = "figlet";
  version = "2.2.5";

  # some tools can be found here ftp://ftp.figlet.org/pub/figlet/util/
  src = fetchurl {
    url = "https://ftp.figlet.example/program/unix/figlet-${version}.tar.gz";
    sha256 = "1cpd9gkl68w1w2rps5kz02c02b3mlp2dlcl843h7jcjic5aadfzg";
  };

  postInstall = "cp -ar ${contributed}/* $out/share/figlet/";

  meta = {
    description = "Program for making large letters out of ordinary text";
    homepage = "http://www.figlet.org/";
    license = lib.licenses.bsd3;
    maintainers = with lib.maintainers; [ okoye ];
    platforms = lib.platforms.unix;
    mainProgram = "figlet";
  };
}
