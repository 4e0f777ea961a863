{ config, lib, pkgs, ... }:

{
  config = {
    a = 1;
    services = { openssh = { settings.PermitRootLogin = "yes"; }; };
  };
}
