{
  lib,
  stdenv,
  fetchFromGitHub,
}:

stdenv.mkDerivation rec {
  pname = "which";
  version = "2.21";

  src = fetchFromGitHub {
    owner = "tools";
    repo = "which";
    rev = "v${version}";
    sha256 = "026ij5zgjisy0cgjnyfrwqi0vkz40l7z3aw6vz8ky794nb8bkw40";
  };

  installPhase = ''
    mkdir -p $out/bin
    cp which $out/bin/
  '';

  meta = with lib; {
    description = "Shows the full path of (shell) commands";
    homepage = "https://github.com/tools/which";
    license = licenses.gpl3Plus;
    mainProgram = "which";
    platforms = platforms.all;
  };
}
