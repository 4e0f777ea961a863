# The packages that pkgs/by-name cannot bind: those with arguments of their own, and those not moved there yet.
{
  lib,
  config,
  overlays,
}:

res: pkgs: super:

with pkgs;

{
  ### BUILD SUPPORT

  buildEnv = callPackage ../build-support/buildenv { };

  buildGoModule = callPackage ../build-support/go/module.nix { };

  fetchFromGitHub = callPackage ../build-support/fetchgithub { };

  fetchgit = callPackage ../build-support/fetchgit { };

  fetchpatch = callPackage ../build-support/fetchpatch { };

  fetchurl = callPackage ../build-support/fetchurl { };

  fetchzip = callPackage ../build-support/fetchzip { };

  makeSetupHook =
    {
      name,
      propagatedBuildInputs ? [ ],
    }:
    script:
    runCommandLocal name { inherit propagatedBuildInputs; } ''
      mkdir -p $out/nix-support
      cp ${script} $out/nix-support/setup-hook
    '';

  nixos =
    configuration:
    import ../../nixos/lib/eval-config.nix {
      inherit pkgs;
      modules = [ configuration ];
    };

  rustPlatform = callPackage ../build-support/rust { };

  stripCommentsHook = makeSetupHook {
    name = "strip-comments-hook";
  } ../build-support/setup-hooks/strip-comments.sh;

  ### TOOLS

  ncdu = callPackage ../tools/misc/ncdu { };

  rsync = callPackage ../tools/networking/rsync {
    enableZstd = true;
  };

  wget = callPackage ../tools/networking/wget { };

  ### SHELLS

  busybox = callPackage ../os-specific/linux/busybox { };

  runtimeShell = "${busybox}/bin/sh";

  ### DEVELOPMENT / INTERPRETERS

  lua = lua5_4;

  lua5_4 = callPackage ../development/interpreters/lua/5.4.nix { };

  python3 = python312;

  python312 = callPackage ../development/interpreters/python {
    sourceVersion = {
      major = "3";
      minor = "12";
      patch = "3";
    };
    hash = "sha256-rKwtlDZujOChwBw6e7ZqxbV8NRRMzVfUXMK+vsVCJXA=";
  };

  python3Packages = lib.recurseIntoAttrs (lib.makeScope newScope (import ./python-packages.nix));

  ### DEVELOPMENT / LIBRARIES

  libffi = callPackage ../development/libraries/libffi { };

  ncurses = callPackage ../development/libraries/ncurses { };

  readline = callPackage ../development/libraries/readline { };

  sqlite = callPackage ../development/libraries/sqlite { };

  zlib-ng-compat = zlib-ng.override {
    withZlibCompat = true;
  };

  ### SERVERS

  darkhttpd = callPackage ../servers/http/darkhttpd { };

  ### DATA

  iana-etc = callPackage ../data/misc/iana-etc { };

  ### GAMES

  sl = callPackage ../games/sl { };
}
