{
  config,
  lib,
  pkgs,
  ...
}:

let
  failed = map (a: a.message) (lib.filter (a: !a.assertion) config.assertions);

  checked =
    value:
    if failed == [ ] then
      lib.foldr lib.warn value config.warnings
    else
      throw "\nFailed assertions:\n${lib.concatMapStringsSep "\n" (message: "- ${message}") failed}";
in
{
  options.system = {
    name = lib.mkOption {
      type = lib.types.str;
      default = config.networking.hostName;
      description = "The name of the system in its store path.";
    };

    build = lib.mkOption {
      type = lib.types.attrsOf lib.types.raw;
      default = { };
      description = "What can be built from the configuration.";
    };
  };

  config.system.build.toplevel = checked (
    pkgs.runCommandLocal "nixos-system-${config.system.name}-${config.system.nixos.label}"
      {
        inherit (config.system.nixos) version;
        inherit (config.system.build) etc;
        inherit (config.system) path;
        systemType = pkgs.system;
        revision = toString config.system.nixos.revision;
      }
      ''
        mkdir $out
        ln -s $etc/etc $out/etc
        ln -s $path $out/sw
        printf '%s' "$version" >$out/nixos-version
        printf '%s' "$revision" >$out/configuration-revision
        printf '%s' "$systemType" >$out/system
      ''
  );
}
