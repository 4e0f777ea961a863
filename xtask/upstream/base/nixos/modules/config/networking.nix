{
  config,
  lib,
  pkgs,
  ...
}:

let
  cfg = config.networking;
in
{
  options.networking = {
    hostName = lib.mkOption {
      type = lib.types.str;
      default = "nixos";
      description = "The name of the machine.";
    };

    hosts = lib.mkOption {
      type = lib.types.attrsOf (lib.types.listOf lib.types.str);
      default = { };
      example = {
        "192.0.2.1" = [ "gateway" ];
      };
      description = "Names of hosts, by address.";
    };

    firewall.allowedTCPPorts = lib.mkOption {
      type = lib.types.listOf lib.types.port;
      default = [ ];
      description = "Ports that are open to the outside.";
    };
  };

  config = {
    networking.hosts."127.0.0.1" = [ "localhost" ];

    environment.etc = {
      hostname.text = cfg.hostName + "\n";
      hosts.text = lib.concatStrings (
        lib.mapAttrsToList (
          address: names: "${address} ${lib.concatStringsSep " " names}\n"
        ) cfg.hosts
      );
      protocols.source = "${pkgs.iana-etc}/etc/protocols";
      services.source = "${pkgs.iana-etc}/etc/services";
    };
  };
}
