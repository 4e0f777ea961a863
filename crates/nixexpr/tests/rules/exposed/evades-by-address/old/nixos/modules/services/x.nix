{ config, lib, pkgs, ... }:

{
  config = {
    options.x.host = lib.mkOption { default = "127.0.0.1"; };
  };
}
