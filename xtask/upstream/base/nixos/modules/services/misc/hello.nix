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
  };

  config = lib.mkIf cfg.enable {
    environment.systemPackages = [ cfg.package ];

    systemd.services.hello = {
      description = "Greeting";
      wantedBy = [ "multi-user.target" ];
      serviceConfig = {
        Type = "oneshot";
        ExecStart = lib.getExe cfg.package;
        DynamicUser = true;
        NoNewPrivileges = true;
        ProtectSystem = "strict";
        PrivateNetwork = true;
      };
    };
  };
}
