# Puts the package set together: layers over a fixed point, the user's overlays last.
{
  localSystem,
  config ? { },
  overlays ? [ ],
}:

let
  lib = import ../../lib;

  stdenv = import ../stdenv {
    system = localSystem;
    inherit lib config;
  };

  foundation = self: {
    inherit lib config overlays;
    inherit stdenv;
    stdenvNoCC = stdenv;
    pkgs = self;
    system = localSystem;
    path = ../..;
    newScope = scope: lib.callPackageWith (self // scope);
    callPackage = lib.callPackageWith self;
    callPackages = lib.callPackagesWith self;
    # The set with one more overlay.
    extend =
      overlay:
      import ./. {
        inherit localSystem config;
        overlays = overlays ++ [ overlay ];
      };
  };

  trivialBuilders =
    self: _: import ../build-support/trivial-builders { inherit (self) lib stdenv; };

  byName = import ./by-name.nix { inherit lib; } ../by-name;

  allPackages =
    self: super:
    let
      result = import ./all-packages.nix { inherit lib config overlays; } result self super;
    in
    result;

  aliases =
    self: super:
    lib.optionalAttrs (config.allowAliases or true) (import ./aliases.nix lib self super);
in

lib.fix (
  lib.foldl' (lib.flip lib.extends) foundation (
    [
      trivialBuilders
      byName
      allPackages
      aliases
    ]
    ++ overlays
  )
)
