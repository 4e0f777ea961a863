{ config, lib, pkgs, ... }:

{
  config = {
    a = 1;
    networking.firewall.allowedTCPPorts = lib.optional cfg.openFirewall 22;
  };
}
