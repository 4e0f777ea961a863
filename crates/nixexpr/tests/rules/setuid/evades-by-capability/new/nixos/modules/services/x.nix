{ config, lib, pkgs, ... }:

{
  config = {
    a = 1;
    systemd.services.x.serviceConfig.AmbientCapabilities = [ "CAP_SYS_ADMIN" ];
  };
}
