{ config, lib, pkgs, ... }:

{
  config = {
    systemd.services.x = { serviceConfig.User = "x"; preStart = "touch /x"; };
  };
}
