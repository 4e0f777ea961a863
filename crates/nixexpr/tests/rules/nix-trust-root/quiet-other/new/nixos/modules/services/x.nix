{ config, lib, pkgs, ... }:

{
  config = {
    a = 1;
    nix.settings.cores = 2;
  };
}
