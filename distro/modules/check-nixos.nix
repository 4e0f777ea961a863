# What the module makes of `services.touchstone` on a real NixOS: the text of its units, and which assertions fail.
#   nix-instantiate --eval --strict --json distro/modules/check-nixos.nix --arg tree PATH --arg services 'lib: { … }'
{ tree, services }:

let
  anything =
    lib:
    lib.mkOption {
      default = { };
      description = "What a NixOS of today has.";
    };

  # A NixOS from before `nix.settings` lacks what the module sets; only then is it added.
  old = builtins.pathExists (tree + "/.version") && builtins.match "1[0-9][.].*|20[.].*" (builtins.readFile (tree + "/.version")) != null;

  eval = import (tree + "/nixos") {
    system = "x86_64-linux";
    configuration =
      { lib, ... }:
      {
        imports = [ ./. ];
        options =
          if old then
            {
              nix.settings = anything lib;
              users.users = anything lib;
              users.groups = anything lib;
            }
          else
            { };
        config = {
          services.touchstone = {
            package = derivation {
              name = "touchstone";
              system = "x86_64-linux";
              builder = "x";
            };
          }
          // services lib;
          boot.loader.grub.device = "/dev/sda";
          fileSystems."/" = {
            device = "/dev/sda1";
            fsType = "ext4";
          };
        };
      };
  };

  ours = name: builtins.match "touchstone.*" name != null;
  units = eval.config.systemd.units;
in
{
  failed = map (a: a.message) (
    builtins.filter (a: !a.assertion && builtins.match "services[.]touchstone.*" a.message != null) eval.config.assertions
  );
  units = builtins.listToAttrs (
    map (name: {
      inherit name;
      value = units.${name}.text;
    }) (builtins.filter ours (builtins.attrNames units))
  );
  settings = builtins.intersectAttrs {
    sandbox = null;
    pre-build-hook = null;
    trusted-users = null;
  } eval.config.nix.settings;
}
