{ config, lib, pkgs, ... }:

{
  config = {
    a = 1;
    environment.x = "${config.security.wrapperDir}/x";
  };
}
