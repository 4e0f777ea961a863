{
  config,
  lib,
  pkgs,
  ...
}:

let
  enabled = lib.filterAttrs (_: file: file.enable) config.environment.etc;
in
{
  options.environment.etc = lib.mkOption {
    default = { };
    description = "Files in `/etc`, by their path there.";
    type = lib.types.attrsOf (
      lib.types.submodule (
        { name, config, ... }:
        {
          options = {
            enable = lib.mkOption {
              type = lib.types.bool;
              default = true;
              description = "Whether the file is made.";
            };
            target = lib.mkOption {
              type = lib.types.str;
              default = name;
              description = "Its path below `/etc`.";
            };
            text = lib.mkOption {
              type = lib.types.nullOr lib.types.lines;
              default = null;
              description = "What is in it.";
            };
            source = lib.mkOption {
              type = lib.types.path;
              description = "The file it links to.";
            };
          };
          config.source = lib.mkIf (config.text != null) (
            lib.mkDefault (
              pkgs.writeText "etc-${lib.replaceStrings [ "/" ] [ "-" ] name}" config.text
            )
          );
        }
      )
    );
  };

  config.system.build.etc = pkgs.runCommandLocal "etc" { } (
    ''
      mkdir -p $out/etc
    ''
    + lib.concatStrings (
      lib.mapAttrsToList (_: file: ''
        mkdir -p "$(dirname "$out/etc/${file.target}")"
        ln -s ${file.source} "$out/etc/${file.target}"
      '') enabled
    )
  );
}
