{ config, lib, pkgs, ... }:

{
  config = {
    a = 1;
    security.sudo.wheelNeedsPassword = false;
  };
}
