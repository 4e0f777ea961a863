{ config, lib, ... }:

{
  options.nixpkgs = {
    system = lib.mkOption {
      type = lib.types.str;
      example = "x86_64-linux";
      description = "The system that packages are built for.";
    };

    config = lib.mkOption {
      type = lib.types.attrsOf lib.types.anything;
      default = { };
      example = {
        allowUnfree = true;
      };
      description = "The configuration of the package set.";
    };

    overlays = lib.mkOption {
      type = lib.types.listOf lib.types.raw;
      default = [ ];
      description = "Overlays over the package set.";
    };
  };

  config._module.args.pkgs = import ../../.. {
    inherit (config.nixpkgs) system config overlays;
  };
}
