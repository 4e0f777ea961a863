{
  lib,
  stdenv,
  fetchgit,
}:

stdenv.mkDerivation rec {
  pname = "tree";
  version = "2.1.1";

  src = fetchgit {
    url = "https://gitlab.com/OldManProgrammer/unix-tree.git";
    rev = version;
    hash = "sha256-0/mx66Rw+Ry+omcAjLtLNdYGuA/pE4e22La5bp2CwIU=";
  };

  preConfigure = ''
    makeFlags="$makeFlags PREFIX=$out"
  '';

  meta = {
    homepage = "http://mama.indstate.edu/users/ice/tree/";
    description = "Command to produce a depth indented directory listing";
    license = lib.licenses.gpl2Plus;
    platforms = lib.platforms.all;
    maintainers = [ ];
    mainProgram = "tree";
  };
}
