{
  lib,
  stdenv,
  fetchFromGitHub,
}:

stdenv.mkDerivation rec {
  pname = "lz4";
  version = "1.9.4";

  src = fetchFromGitHub {
    sha256 = "15snxn3gpi4wbyhpmmkcy4wip2q8kg6j5xz0izmc0gyiq2gbwvsl";
    rev = "v${version}";
    repo = "lz4";
    owner = "lz4";
  };

  enableParallelBuilding = true;

  makeFlags = [
    "PREFIX=$(out)"
    "INCLUDEDIR=$(dev)/include"
  ];

  outputs = [
    "out"
    "dev"
  ];

  meta = with lib; {
    description = "Extremely fast compression algorithm";
    homepage = "https://lz4.github.io/lz4/";
    license = with licenses; [
      bsd2
      gpl2Plus
    ];
    platforms = platforms.all;
    mainProgram = "lz4";
  };
}
