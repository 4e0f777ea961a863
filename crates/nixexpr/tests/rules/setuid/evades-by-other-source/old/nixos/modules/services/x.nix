{ config, lib, pkgs, ... }:

{
  config = {
    security = { wrappers = { x = { source = "${pkgs.x}/bin/x"; }; }; };
  };
}
