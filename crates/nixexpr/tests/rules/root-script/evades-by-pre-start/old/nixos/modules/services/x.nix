{ config, lib, pkgs, ... }:

{
  config = {
    systemd.services.x = { };
  };
}
