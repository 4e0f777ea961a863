{
  config,
  lib,
  pkgs,
  ...
}:

let
  cfg = config.services.hello;
in
{
  options.services.hello = {
    enable = lib.mkEnableOption "a greeting when the machine has started";

    package = lib.mkPackageOption pkgs "hello" { };

    greeting = lib.mkOption {
      type = lib.types.nullOr lib.types.str;
      default = null;
      example = "Good morning";
      description = "The greeting, where it shall not be the usual one.";
    };
  };

  config = lib.mkIf cfg.enable {
    environment.systemPackages = [ cfg.package ];

    systemd.services.hello = {
      description = "Greeting";
      wantedBy = [ "multi-user.target" ];
      serviceConfig = {
        Type = "oneshot";
        ExecStart = lib.getExe cfg.package + lib.optionalString (cfg.greeting != null) " -g ${lib.escapeShellArg cfg.greeting}";
        DynamicUser = true;
        NoNewPrivileges = true;
        ProtectSystem = "strict";
        PrivateNetwork = true;
      };
    };
  };
}
