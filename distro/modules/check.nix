# What the module makes of a configuration, under the small module system of the embedded upstream: for tests of its logic.
#   nix-instantiate --eval --strict --json distro/modules/check.nix --arg base ./xtask/upstream/base --arg configuration '{ … }'
{ base, configuration }:

let
  lib = import (base + "/lib");

  # What real NixOS has beside.
  anything =
    description:
    lib.mkOption {
      type = lib.types.attrsOf lib.types.anything;
      default = { };
      inherit description;
    };
  surroundings.options = {
    nix.settings = anything "Settings of Nix.";
    nix.extraOptions = lib.mkOption {
      type = lib.types.str;
      default = "";
      description = "The end of nix.conf.";
    };
    systemd.sockets = anything "Sockets.";
    systemd.timers = anything "Timers.";
    users.users = anything "Users.";
    users.groups = anything "Groups.";
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
  inherit (eval.config.nix) extraOptions;
  services = lib.mapAttrs (_: service: service.serviceConfig.ExecStart or [ ]) (
    lib.filterAttrs (name: _: lib.hasPrefix "touchstone" name) eval.config.systemd.services
  );
  stops = lib.mapAttrs (_: service: service.serviceConfig.ExecStopPost or "") (
    lib.filterAttrs (name: _: lib.hasPrefix "touchstone" name) eval.config.systemd.services
  );
  inherit (eval.config.systemd) sockets timers;
  inherit (eval.config.users) users;
  withoutDescription = described eval.options.services.touchstone;
}
