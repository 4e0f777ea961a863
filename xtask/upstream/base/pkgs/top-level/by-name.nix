# Binds `NAME` to `pkgs/by-name/NA/NAME/package.nix`. all-packages.nix may bind it again, with other arguments.
{ lib }:

baseDirectory:

let
  namesOf =
    shard:
    lib.mapAttrs (name: _: baseDirectory + "/${shard}/${name}/package.nix") (
      builtins.readDir (baseDirectory + "/${shard}")
    );

  # READMEs and the like are not shards.
  shards = lib.filterAttrs (_: type: type == "directory") (builtins.readDir baseDirectory);

  packageFiles = lib.mergeAttrsList (lib.mapAttrsToList (shard: _: namesOf shard) shards);
in

self: super: lib.mapAttrs (_: file: self.callPackage file { }) packageFiles
