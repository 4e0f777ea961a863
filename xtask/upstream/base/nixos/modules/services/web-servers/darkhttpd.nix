{
  config,
  lib,
  pkgs,
  ...
}:

let
  cfg = config.services.darkhttpd;
in
{
  options.services.darkhttpd = {
    enable = lib.mkEnableOption "darkhttpd, a web server for static files";

    package = lib.mkPackageOption pkgs "darkhttpd" { };

    root = lib.mkOption {
      type = lib.types.path;
      description = "The directory that is served.";
    };

    address = lib.mkOption {
      type = lib.types.str;
      default = "127.0.0.1";
      description = "The address to listen on.";
    };

    port = lib.mkOption {
      type = lib.types.port;
      default = 80;
      description = "The port to listen on.";
    };

    openFirewall = lib.mkOption {
      type = lib.types.bool;
      default = false;
      description = "Whether to open the port to the outside.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = cfg.openFirewall -> cfg.address != "127.0.0.1";
        message = "services.darkhttpd.openFirewall has no use while services.darkhttpd.address is 127.0.0.1";
      }
    ];

    networking.firewall.allowedTCPPorts = lib.optional cfg.openFirewall cfg.port;

    systemd.services.darkhttpd = {
      description = "Darkhttpd HTTP server";
      after = [ "network.target" ];
      wantedBy = [ "multi-user.target" ];
      serviceConfig = {
        ExecStart = "${lib.getExe cfg.package} ${
          lib.escapeShellArgs [
            cfg.root
            "--addr"
            cfg.address
            "--port"
            cfg.port
          ]
        }";
        DynamicUser = true;
        AmbientCapabilities = lib.mkIf (cfg.port < 1024) [ "CAP_NET_BIND_SERVICE" ];
        NoNewPrivileges = true;
        PrivateTmp = true;
        ProtectHome = true;
        ProtectSystem = "strict";
      };
    };
  };
}
