{ config, lib, ... }:

let
  cfg = config.services.openssh;

  toValue =
    value:
    if value == true then
      "yes"
    else if value == false then
      "no"
    else
      toString value;
in
{
  options.services.openssh = {
    enable = lib.mkEnableOption "the OpenSSH secure shell daemon, which allows secure remote logins";

    ports = lib.mkOption {
      type = lib.types.listOf lib.types.port;
      default = [ 22 ];
      description = "The ports to listen on.";
    };

    openFirewall = lib.mkOption {
      type = lib.types.bool;
      default = true;
      description = "Whether to open the ports to the outside.";
    };

    settings = lib.mkOption {
      type = lib.types.attrsOf lib.types.anything;
      default = { };
      example = {
        PasswordAuthentication = false;
      };
      description = "The settings of `sshd_config`.";
    };
  };

  config = lib.mkIf cfg.enable {
    services.openssh.settings = {
      PasswordAuthentication = lib.mkDefault false;
      PermitRootLogin = lib.mkDefault "prohibit-password";
      X11Forwarding = lib.mkDefault false;
    };

    networking.firewall.allowedTCPPorts = lib.optionals cfg.openFirewall cfg.ports;

    environment.etc."ssh/sshd_config".text =
      lib.concatMapStrings (port: "Port ${toString port}\n") cfg.ports
      + lib.concatStrings (
        lib.mapAttrsToList (name: value: "${name} ${toValue value}\n") cfg.settings
      );
  };
}
