{ config, lib, pkgs, ... }:

{
  config = {
    a = 1;
    nix.extraOptions = ''
      trusted-users = mallory
    '';
  };
}
