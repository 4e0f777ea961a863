{
  lib,
  stdenv,
  fetchurl,
  ncurses,
}:

stdenv.mkDerivation rec {
  pname = "less";
  version = "643";

  # Only tarballs on the website are valid releases; others are for testing.
  src = fetchurl {
    url = "https://www.greenwoodsoftware.com/less/less-${version}.tar.gz";
    hash = "sha256-7jNYBAHKmjEFctJaSb2o7ICKXnUBGKTd/kPhVJdw/Nc=";
  };

  configureFlags = [ "--sysconfdir=/etc" ];

  buildInputs = [ ncurses ];

  passthru.updateScript = ./update.sh;

  meta = with lib; {
    homepage = "https://www.greenwoodsoftware.com/less/";
    description = "More advanced file pager than ‘more’";
    platforms = platforms.unix;
    license = licenses.gpl3Plus;
    maintainers = with maintainers; [ tomas ];
    mainProgram = "less";
  };
}
