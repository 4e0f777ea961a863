# On Linux everything starts from the `/bin/sh` that Nix puts into the sandbox: a static busybox.
{
  lib,
  system,
  config,
}:

let
  bootstrapTools = import ./bootstrap-tools.nix { inherit system; };
in

import ../generic {
  inherit lib system config;
  inherit bootstrapTools;
  shell = "${bootstrapTools}/bin/sh";
}
