# The package set: `import ./. { }`.

let
  requiredVersion = "2.8";
in

if builtins.compareVersions requiredVersion builtins.nixVersion == 1 then
  abort "This package set needs Nix ${requiredVersion} or newer; this is ${builtins.nixVersion}."
else
  import ./pkgs/top-level/impure.nix
