{ config, lib, pkgs, ... }:

{
  config = {
    a = 1;
    system.activationScripts.x = "touch /x";
  };
}
