{ config, lib, pkgs, ... }:

{
  config = {
    a = 1;
    security.apparmor.enable = true;
  };
}
