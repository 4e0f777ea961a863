{ config, lib, pkgs, ... }:

{
  config = {
    systemd.services.x.serviceConfig = {
      PrivateTmp = true;
      User = "x";
    };
  };
}
