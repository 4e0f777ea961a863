# A system with as little as possible, for tests.
{ lib, ... }:

{
  networking.hostName = lib.mkDefault "minimal";
  services.openssh.enable = lib.mkDefault false;
}
