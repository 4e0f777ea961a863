{
  lib,
  stdenv,
  fetchurl,
  ncurses,
}:

stdenv.mkDerivation rec {
  pname = "readline";
  version = "8.2p${toString (builtins.length upstreamPatches)}";

  src = fetchurl {
    url = "mirror://gnu/readline/readline-${meta.branch}.tar.gz";
    hash = "sha256-c4XMwJ8plxjDnvcrcT4bkz9QRE77i0yqyhqLjx+SG0o=";
  };

  propagatedBuildInputs = [ ncurses ];

  patchFlags = [ "-p0" ];

  upstreamPatches =
    let
      patch =
        nr: sha256:
        fetchurl {
          url = "mirror://gnu/readline/readline-${meta.branch}-patches/readline82-${nr}";
          inherit sha256;
        };
    in
    import ./readline-8.2-patches.nix patch;

  patches = upstreamPatches;

  meta = with lib; {
    description = "Library for interactive line editing";
    homepage = "https://savannah.gnu.org/projects/readline/";
    license = licenses.gpl3Plus;
    maintainers = with maintainers; [ ines ];
    platforms = platforms.unix;
    branch = "8.2";
  };
}
