{
  lib,
  stdenv,
  fetchurl,
}:

stdenv.mkDerivation (finalAttrs: {
  pname = "libffi";
  version = "3.4.4";

  src = fetchurl {
    url = "https://github.com/libffi/libffi/releases/download/v${finalAttrs.version}/libffi-${finalAttrs.version}.tar.gz";
    hash = "sha256-JkFL2esTb5MDvx6P9wgog/7NkJNEoZy9eFhwBtPfI+8=";
  };

  outputs = [
    "out"
    "dev"
  ];

  configureFlags = [ "--with-gcc-arch=generic" ];

  hardeningDisable = [ "strictoverflow" ];

  meta = {
    description = "Foreign function call interface library";
    homepage = "http://sourceware.org/libffi/";
    license = lib.licenses.mit;
    maintainers = with lib.maintainers; [ tomas ];
    platforms = lib.platforms.all;
  };
})
