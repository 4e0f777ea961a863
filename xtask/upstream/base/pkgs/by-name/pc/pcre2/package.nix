{
  lib,
  stdenv,
  fetchurl,
  withJitSealloc ? false,
}:

stdenv.mkDerivation rec {
  pname = "pcre2";
  version = "10.42";

  src = fetchurl {
    url = "https://github.com/PhilipHazel/pcre2/releases/download/pcre2-${version}/pcre2-${version}.tar.bz2";
    hash = "sha256-MZv4v0AjKRqIvx67xRXllAewd0x71IKQ7t554d+C8+U=";
  };

  configureFlags = [
    "--enable-pcre2-16"
    "--enable-pcre2-32"
  ]
  ++ lib.optional withJitSealloc "--enable-jit-sealloc";

  meta = with lib; {
    homepage = "https://www.pcre.org/";
    description = "Perl Compatible Regular Expressions";
    license = licenses.bsd3;
    maintainers = with maintainers; [ ines ];
    platforms = platforms.all;
  };
}
