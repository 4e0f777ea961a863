{ config, lib, pkgs, ... }:

{
  config = {
    options.x.host = lib.mkOption { default = "0.0.0.0"; };
  };
}
