{
  lib,
  stdenv,
  fetchFromGitHub,
}:

stdenv.mkDerivation rec {
  pname = "zlib";
  version = "1.3.1";

  src = fetchFromGitHub {
    owner = "madler";
    repo = "zlib";
    rev = "v${version}";
    hash = "sha256-R/a6zAvIe4LXMqMLl36v+jPcAR7ngAIVE75fUSGOt1s=";
  };

  outputs = [
    "out"
    "dev"
  ];
  outputDoc = "dev";

  configureFlags = [ "--shared" ];

  meta = with lib; {
    description = "Lossless data-compression library";
    homepage = "https://zlib.net";
    license = licenses.zlib;
    maintainers = with maintainers; [ tomas ];
    platforms = platforms.all;
  };
}
