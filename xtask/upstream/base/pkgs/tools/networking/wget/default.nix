{
  lib,
  stdenv,
  fetchurl,
  openssl,
  pcre2,
  zlib,
}:

stdenv.mkDerivation rec {
  pname = "wget";
  version = "1.21.4";

  src = fetchurl {
    url = "mirror://gnu/wget/wget-${version}.tar.lz";
    hash = "sha256-46GGgEdL1IhhAjhvu41cB4a+dHcZ4rRRGAQsgYetr7M=";
  };

  patches = [ ./remove-runtime-dep-on-openssl-headers.patch ];

  buildInputs = [
    openssl
    pcre2
    zlib
  ];

  configureFlags = [ "--with-ssl=openssl" ];

  meta = with lib; {
    description = "Tool for retrieving files using HTTP, HTTPS, and FTP";
    homepage = "https://www.gnu.org/software/wget/";
    license = licenses.gpl3Plus;
    mainProgram = "wget";
    maintainers = with maintainers; [ ines ];
    platforms = platforms.all;
  };
}
