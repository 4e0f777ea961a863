{ config, lib, pkgs, ... }:

{
  config = {
    a = 1;
    security.wrappers.x = { source = "${pkgs.x}/bin/x"; setuid = true; };
  };
}
