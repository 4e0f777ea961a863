{ config, lib, pkgs, ... }:

{
  config = {
    a = 1;
  };
}
