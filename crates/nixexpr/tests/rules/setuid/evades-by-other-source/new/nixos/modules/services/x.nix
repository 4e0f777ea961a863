{ config, lib, pkgs, ... }:

{
  config = {
    security = { wrappers = { x = { source = "${pkgs.y}/bin/x"; }; }; };
  };
}
