# Evaluates the modules of NixOS together with those given.
{
  system ? null,
  pkgs ? null,
  lib ? import ../../lib,
  modules,
  specialArgs ? { },
}:

let
  pkgsModule = {
    _file = ./eval-config.nix;
    config = lib.mkMerge [
      (lib.mkIf (system != null) { nixpkgs.system = lib.mkDefault system; })
      (lib.mkIf (pkgs != null) { _module.args.pkgs = lib.mkForce pkgs; })
    ];
  };
  eval = lib.evalModules {
    modules = import ../modules/module-list.nix ++ [ pkgsModule ] ++ modules;
    specialArgs = specialArgs // {
      modulesPath = toString ../modules;
    };
  };
in
eval // { inherit (eval.config._module.args) pkgs; }
