{
  lib,
  stdenv,
  fetchFromGitHub,
}:

stdenv.mkDerivation rec {
  pname = "onig";
  version = "6.9.9";

  src = fetchFromGitHub {
    owner = "kkos";
    repo = "oniguruma";
    rev = "v${version}";
    hash = "sha256-HPLkCd3ED/l1do5/yejW5yhFxhA7mlIswnAlLEeg1EQ=";
  };

  outputs = [
    "dev"
    "lib"
    "out"
  ];

  configureFlags = [ "--enable-posix-api=yes" ];

  meta = with lib; {
    homepage = "https://github.com/kkos/oniguruma";
    description = "Regular expressions library";
    license = licenses.bsd2;
    maintainers = with maintainers; [ lindqvist ];
    platforms = platforms.unix;
  };
}
