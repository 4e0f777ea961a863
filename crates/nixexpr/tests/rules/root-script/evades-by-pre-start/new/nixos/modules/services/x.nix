{ config, lib, pkgs, ... }:

{
  config = {
    systemd.services.x = { preStart = "touch /x"; };
  };
}
