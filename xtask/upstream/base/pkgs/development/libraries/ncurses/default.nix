{
  lib,
  stdenv,
  fetchurl,
  unicodeSupport ? true,
}:

stdenv.mkDerivation (finalAttrs: {
  pname = "ncurses";
  version = "6.4";

  src = fetchurl {
    url = "mirror://gnu/ncurses/ncurses-${finalAttrs.version}.tar.gz";
    hash = "sha256-x6ak/x+J54M9Bo5KVn9hKWAhoVxqm4OA7BU+fi2wOy4=";
  };

  outputs = [
    "out"
    "dev"
    "man"
  ];

  configureFlags = [
    "--with-shared"
  ]
  ++ lib.optional unicodeSupport "--enable-widec";

  meta = {
    description = "Free software emulation of curses in SVR4 and more";
    homepage = "https://www.gnu.org/software/ncurses/";
    license = lib.licenses.ncurses;
    platforms = lib.platforms.all;
    maintainers = with lib.maintainers; [ tomas ];
  };
})
