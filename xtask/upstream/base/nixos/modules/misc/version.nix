{ config, lib, ... }:

let
  cfg = config.system.nixos;
in
{
  options.system = {
    nixos.version = lib.mkOption {
      type = lib.types.str;
      description = "The full version, as in `26.05.20260512.abcdef0`.";
    };

    nixos.release = lib.mkOption {
      type = lib.types.str;
      readOnly = true;
      default = lib.trivial.release;
      description = "The release, as in `26.05`.";
    };

    nixos.versionSuffix = lib.mkOption {
      type = lib.types.str;
      default = lib.trivial.versionSuffix;
      description = "What the channel appends to the release.";
    };

    nixos.revision = lib.mkOption {
      type = lib.types.nullOr lib.types.str;
      default = lib.trivial.revisionWithDefault null;
      description = "The commit of the package set, where it is known.";
    };

    nixos.label = lib.mkOption {
      type = lib.types.str;
      description = "The name of the system in boot menus.";
    };

    stateVersion = lib.mkOption {
      type = lib.types.str;
      default = lib.trivial.release;
      description = "The release that the data of this system was first made under.";
    };
  };

  config = {
    system.nixos.version = lib.mkDefault (cfg.release + cfg.versionSuffix);
    system.nixos.label = lib.mkDefault cfg.version;

    environment.etc."os-release".text = ''
      ID=nixos
      NAME=NixOS
      PRETTY_NAME="NixOS ${cfg.version}"
      VERSION_ID="${cfg.release}"
      BUILD_ID="${cfg.version}"
    '';
  };
}
