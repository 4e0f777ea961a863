{
  lib,
  stdenv,
  fetchurl,
  openssl,
  zlib,
  zstd,
  zstdSupport ? false,
}:

stdenv.mkDerivation (finalAttrs: {
  pname = "curl";
  version = "8.5.0";

  src = fetchurl {
    urls = [
      "https://curl.haxx.se/download/curl-${finalAttrs.version}.tar.xz"
      "https://github.com/curl/curl/releases/download/curl-${
        builtins.replaceStrings [ "." ] [ "_" ] finalAttrs.version
      }/curl-${finalAttrs.version}.tar.xz"
    ];
    hash = "sha256-BYY4Ax5ZEVq4sP/YKLP/oa2Hg2gmyDAa9yQKk/rpoeU=";
  };

  outputs = [
    "bin"
    "dev"
    "out"
    "man"
  ];

  nativeBuildInputs = [ ];
  buildInputs = [
    openssl
    zlib
  ]
  ++ lib.optional zstdSupport zstd;

  configureFlags = [
    "--with-ca-fallback"
    (if zstdSupport then "--with-zstd=${lib.getDev zstd}" else "--without-zstd")
  ];

  doCheck = false;

  passthru = {
    inherit openssl;
  };

  meta = {
    description = "Command line tool for transferring files with URL syntax";
    homepage = "https://curl.se/";
    changelog = "https://curl.se/ch/${finalAttrs.version}.html";
    license = lib.licenses.curl;
    maintainers = with lib.maintainers; [ ines ];
    mainProgram = "curl";
    platforms = lib.platforms.all;
  };
})
