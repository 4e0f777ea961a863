{ config, lib, pkgs, ... }:

{
  config = {
    options.x.openFirewall = lib.mkOption { default = true; };
  };
}
