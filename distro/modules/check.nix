# What the module makes of a configuration, under the small module system of the embedded upstream: for tests of its logic.
#   nix-instantiate --eval --strict --json distro/modules/check.nix --arg base ./xtask/upstream/base --arg configuration '{ … }'
{ base, configuration }:

let
  lib = import (base + "/lib");

  # What real NixOS has beside.
  surroundings = {
    options.nix.settings = lib.mkOption {
      type = lib.types.attrsOf lib.types.anything;
      default = { };
      description = "Settings of Nix.";
    };
  };

  eval = import (base + "/nixos/lib/eval-config.nix") {
    inherit lib;
    system = "x86_64-linux";
    modules = [
      ./.
      surroundings
      configuration
    ];
  };

  described =
    options:
    lib.concatMap (
      name:
      let
        option = options.${name};
      in
      if option ? _type then
        lib.optional (!(option ? description) || option.description == "") name
      else
        described option
    ) (builtins.attrNames options);
in
{
  failed = map (a: a.message) (lib.filter (a: !a.assertion) eval.config.assertions);
  settings = eval.config.nix.settings;
  services = lib.mapAttrs (_: service: service.serviceConfig.ExecStart or [ ]) (
    lib.filterAttrs (name: _: lib.hasPrefix "touchstone" name) eval.config.systemd.services
  );
  withoutDescription = described eval.options.services.touchstone;
}
