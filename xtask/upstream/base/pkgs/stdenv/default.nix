# The standard environment of a system.
{
  lib,
  system,
  config,
}:

if builtins.elem system lib.platforms.linux then
  import ./linux { inherit lib system config; }
else
  throw "There is no standard environment for the system `${system}'."
