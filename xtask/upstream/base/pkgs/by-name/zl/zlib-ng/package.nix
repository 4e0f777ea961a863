{
  lib,
  stdenv,
  fetchFromGitHub,
  withZlibCompat ? false,
}:

stdenv.mkDerivation rec {
  pname = "zlib-ng";
  version = "2.1.6";

  src = fetchFromGitHub {
    owner = "zlib-ng";
    repo = "zlib-ng";
    rev = version;
    hash = "sha256-Qe13bJpCc8dcr3yqmtWQlkNvvGj1cg1LYAIvIiU2vsI=";
  };

  configureFlags = lib.optional withZlibCompat "--zlib-compat";

  meta = with lib; {
    description = "Zlib data compression library for the next generation systems";
    homepage = "https://github.com/zlib-ng/zlib-ng";
    license = licenses.zlib;
    platforms = platforms.all;
    maintainers = with maintainers; [ tomas ];
  };
}
