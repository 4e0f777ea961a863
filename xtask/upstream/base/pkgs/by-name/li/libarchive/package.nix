{
  lib,
  stdenv,
  fetchFromGitHub,
  bzip2,
  lz4,
  xz,
  zlib,
  zstd,
  xarSupport ? false,
}:

assert xarSupport -> stdenv.hostPlatform.isLinux;

stdenv.mkDerivation (finalAttrs: {
  pname = "libarchive";
  version = "3.7.2";

  src = fetchFromGitHub {
    owner = "libarchive";
    repo = "libarchive";
    rev = "v${finalAttrs.version}";
    hash = "sha256-52A740GYsGyeTfor+usTZpD6J6H59g7AxpEJML7BiyA=";
  };

  buildInputs = [
    bzip2
    lz4
    xz
    zlib
    zstd
  ];

  # bzip2 has no pkg-config file.
  propagatedBuildInputs = [ bzip2 ];

  meta = {
    description = "Multi-format archive and compression library";
    homepage = "http://libarchive.org";
    license = lib.licenses.bsd3;
    maintainers = with lib.maintainers; [ tomas ];
    platforms = lib.platforms.all;
  };
})
