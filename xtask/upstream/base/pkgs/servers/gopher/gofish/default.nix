{
  lib,
  stdenv,
  fetchurl,
}:

stdenv.mkDerivation rec {
  pname = "gofish";
  version = "1.2";

  src = fetchurl {
    url = "mirror://sourceforge/gofish/${version}/${pname}-${version}.tar.gz";
    sha256 = "0jyxc5m920acgqmsqrfj96dhpflj1z4flr4blqxblw8md0xw3mwc";
  };

  meta = with lib; {
    description = "Lightweight Gopher server";
    homepage = "https://gofish.sourceforge.net/";
    license = licenses.gpl2Plus;
    maintainers = [ ];
    platforms = platforms.unix;
    mainProgram = "gofish";
  };
}
