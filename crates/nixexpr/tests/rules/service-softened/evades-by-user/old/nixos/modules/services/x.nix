{ config, lib, pkgs, ... }:

{
  config = {
    systemd.services.x.serviceConfig.User = "x";
  };
}
