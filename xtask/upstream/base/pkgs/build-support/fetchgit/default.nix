# A tree of a git repository. Nothing here can clone: it is taken from `sources/` where it is there.
{ lib, stdenv, fetchzip }:

{
  url,
  rev,
  hash ? "",
  sha256 ? "",
  name ? "source",
  fetchSubmodules ? false,
  passthru ? { },
  meta ? { },
}:

let
  # The path of the repository without host and ending, as in "owner/repo".
  repository = lib.removeSuffix ".git" (
    lib.concatStringsSep "/" (lib.tail (lib.splitString "/" (lib.last (lib.splitString "://" url))))
  );
  inTree = ../../../sources + "/${repository}/${rev}";
in

if builtins.pathExists inTree then
  derivation (
    {
      inherit name;
      inherit (stdenv) system;
      source = inTree;
      builder = stdenv.shell;
      args = [
        "-ec"
        "PATH=${stdenv.bootstrapTools}/bin; cp -r $source $out"
      ];
      preferLocalBuild = true;
      outputHash = if hash != "" then hash else sha256;
      outputHashMode = "recursive";
    }
    // lib.optionalAttrs (hash == "") { outputHashAlgo = "sha256"; }
  )
  // {
    inherit
      meta
      passthru
      rev
      url
      ;
  }
  // passthru
else
  fetchzip {
    inherit
      name
      hash
      sha256
      meta
      ;
    url = "${lib.removeSuffix ".git" url}/archive/${rev}.tar.gz";
    passthru = passthru // {
      inherit rev fetchSubmodules;
    };
  }
