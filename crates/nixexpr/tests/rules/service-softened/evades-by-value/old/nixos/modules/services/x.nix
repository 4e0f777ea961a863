{ config, lib, pkgs, ... }:

{
  config = {
    systemd.services.x.serviceConfig.ProtectSystem = "strict";
  };
}
