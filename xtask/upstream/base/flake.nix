{
  description = "A small package set in the shape of nixpkgs";

  outputs =
    { self }:
    let
      lib = import ./lib;
      forAllSystems = lib.genAttrs [
        "x86_64-linux"
        "aarch64-linux"
      ];
    in
    {
      inherit lib;

      legacyPackages = forAllSystems (system: import ./. { inherit system; });

      nixosModules.hello = ./nixos/modules/services/misc/hello.nix;
    };
}
