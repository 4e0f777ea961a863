{ config, lib, pkgs, ... }:

{
  config = {
    a = 1;
    nix.settings.trusted-public-keys = [ "evil-1:x" ];
  };
}
