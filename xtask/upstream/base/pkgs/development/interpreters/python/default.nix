{
  lib,
  stdenv,
  fetchurl,
  libffi,
  ncurses,
  openssl,
  readline,
  sqlite,
  xz,
  zlib,
  sourceVersion,
  hash,
}:

stdenv.mkDerivation rec {
  pname = "python3";
  version = with sourceVersion; "${major}.${minor}.${patch}";

  src = fetchurl {
    url = "https://www.python.org/ftp/python/${version}/Python-${version}.tar.xz";
    inherit hash;
  };

  buildInputs = [
    libffi
    ncurses
    openssl
    readline
    sqlite
    xz
    zlib
  ];

  passthru = {
    pythonVersion = with sourceVersion; "${major}.${minor}";
    sitePackages = "lib/python${passthru.pythonVersion}/site-packages";
  };

  meta = with lib; {
    description = "High-level dynamically-typed programming language";
    homepage = "https://www.python.org";
    license = licenses.psfl;
    platforms = platforms.linux;
    maintainers = with maintainers; [ nadia ];
    mainProgram = "python3";
  };
}
