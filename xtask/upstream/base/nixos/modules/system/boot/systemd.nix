{
  config,
  lib,
  pkgs,
  ...
}:

let
  # "[Service]" and the like, from a set; a list repeats its name.
  section =
    title: settings:
    lib.optionalString (settings != { }) (
      "[${title}]\n"
      + lib.concatStrings (
        lib.mapAttrsToList (
          name: value: lib.concatMapStrings (v: "${name}=${toValue v}\n") (lib.toList value)
        ) settings
      )
      + "\n"
    );

  toValue = value: if builtins.isBool value then lib.boolToYesNo value else toString value;

  unitText =
    unit:
    section "Unit" (
      {
        Description = unit.description;
      }
      // lib.optionalAttrs (unit.after != [ ]) { After = unit.after; }
    )
    + section "Service" unit.serviceConfig
    + section "Install" (lib.optionalAttrs (unit.wantedBy != [ ]) { WantedBy = unit.wantedBy; });
in
{
  options.systemd.services = lib.mkOption {
    default = { };
    description = "Services, by name.";
    type = lib.types.attrsOf (
      lib.types.submodule (
        { name, ... }:
        {
          options = {
            description = lib.mkOption {
              type = lib.types.str;
              default = name;
              description = "What the service is.";
            };
            after = lib.mkOption {
              type = lib.types.listOf lib.types.str;
              default = [ ];
              description = "Units that are started before it.";
            };
            wantedBy = lib.mkOption {
              type = lib.types.listOf lib.types.str;
              default = [ ];
              description = "Units that start it.";
            };
            serviceConfig = lib.mkOption {
              type = lib.types.attrsOf lib.types.anything;
              default = { };
              description = "Its `[Service]` section.";
            };
          };
        }
      )
    );
  };

  config.environment.etc = lib.mapAttrs' (
    name: unit:
    lib.nameValuePair "systemd/system/${name}.service" {
      text = unitText unit;
    }
  ) config.systemd.services;
}
