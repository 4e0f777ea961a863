{
  lib,
  stdenv,
  fetchFromGitHub,
  ncurses,
}:

stdenv.mkDerivation rec {
  pname = "sl";
  version = "5.05";

  src = fetchFromGitHub {
    owner = "eyJhb";
    repo = "sl";
    rev = version;
    hash = "sha256-yp7iu4lBqHBjXFSPGA4b8hBHlekCaCuN2wv3JynW9Ok=";
  };

  buildInputs = [ ncurses ];

  meta = with lib; {
    description = "Steam Locomotive runs across your terminal when you type 'sl'";
    homepage = "https://github.com/mtoyoda/sl";
    license = {
      shortName = "sl";
      fullName = "Toyoda Masashi's free software license";
      free = true;
    };
    maintainers = with maintainers; [ okoye ];
    platforms = platforms.unix;
    mainProgram = "sl";
  };
}
