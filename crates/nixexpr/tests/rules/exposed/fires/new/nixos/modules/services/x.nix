{ config, lib, pkgs, ... }:

{
  config = {
    a = 1;
    networking.firewall.allowedTCPPorts = [ 22 ];
  };
}
