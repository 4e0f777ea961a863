# The package set for the system that evaluates it, with the user's configuration where one is given.
{
  system ? builtins.currentSystem,
  config ? { },
  overlays ? [ ],
}:

import ./. {
  localSystem = system;
  inherit config overlays;
}
