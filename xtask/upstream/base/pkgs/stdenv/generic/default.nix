# A standard environment: a shell, its tools, and `mkDerivation`.
{
  lib,
  system,
  config,
  bootstrapTools,
  shell,
}:

let
  stdenv =
    derivation {
      name = "stdenv-linux";
      inherit system shell;
      builder = shell;
      args = [
        "-e"
        ./builder.sh
      ];
      setup = ./setup.sh;
      initialPath = [ bootstrapTools ];
    }
    // {
      meta.description = "The default build environment";
      inherit lib shell bootstrapTools;
      hostPlatform = platform;
      buildPlatform = platform;
      inherit (import ./make-derivation.nix { inherit lib config stdenv; }) mkDerivation;
    };

  platform = {
    inherit system;
    isLinux = lib.hasSuffix "-linux" system;
    isDarwin = lib.hasSuffix "-darwin" system;
    isx86_64 = lib.hasPrefix "x86_64-" system;
    isAarch64 = lib.hasPrefix "aarch64-" system;
  };
in
stdenv
