{
  lib,
  stdenv,
  fetchFromGitHub,
  fetchpatch,
  zlib,
}:

stdenv.mkDerivation rec {
  pname = "zstd";
  version = "1.5.5";

  src = fetchFromGitHub {
    owner = "facebook";
    repo = "zstd";
    rev = "v${version}";
    hash = "sha256-g2BXkKWkV81lzUgrSdcOm8tQL5cbfivUx+G3rTjQVjw=";
  };

  patches = [
    (fetchpatch {
      name = "fix-playtests.patch";
      url = "https://github.com/facebook/zstd/commit/0000000000000000000000000000000000000155.patch";
      hash = "sha256-rO/lt/ItWrr2GEkD08mzjNU96MgQsX0jMZtjkkwwo7w=";
    })
  ];

  buildInputs = [ zlib ];

  preConfigure = ''
    substituteInPlace programs/zstdgrep --replace-fail ":-grep" ":-/bin/grep"
  '';

  meta = with lib; {
    description = "Zstandard real-time compression algorithm";
    homepage = "https://facebook.github.io/zstd/";
    changelog = "https://github.com/facebook/zstd/blob/v${version}/CHANGELOG";
    license = with licenses; [ bsd3 ];
    mainProgram = "zstd";
    platforms = platforms.all;
    maintainers = with maintainers; [ tomas ];
  };
}
