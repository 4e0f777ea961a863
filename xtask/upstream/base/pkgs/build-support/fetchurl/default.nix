# A file from the network, by Nix's own downloader.
{ lib }:

let
  mirrors = import ./mirrors.nix;

  # "mirror://gnu/hello/x.tar.gz" is looked for at each mirror of that name.
  resolve =
    url:
    let
      path = lib.splitString "/" (lib.removePrefix "mirror://" url);
      site = lib.head path;
    in
    if lib.hasPrefix "mirror://" url then
      map (base: base + lib.concatStringsSep "/" (lib.tail path)) (
        mirrors.${site} or (throw "fetchurl: there is no mirror called `${site}'")
      )
    else
      [ url ];
in

{
  url ? null,
  urls ? [ ],
  name ? baseNameOf (lib.head ((lib.optional (url != null) url) ++ urls)),
  hash ? "",
  sha256 ? "",
  executable ? false,
  unpack ? false,
  recursiveHash ? unpack || executable,
  passthru ? { },
  meta ? { },
}:

assert lib.optional (url != null) url ++ urls != [ ];
assert (hash != "") != (sha256 != "");

let
  resolved = lib.concatMap resolve (lib.optional (url != null) url ++ urls);
in
derivation (
  {
    inherit name executable unpack;
    url = lib.head resolved;
    urls = resolved;
    builder = "builtin:fetchurl";
    system = "builtin";
    preferLocalBuild = true;
    outputHash = if hash != "" then hash else sha256;
    outputHashMode = if recursiveHash then "recursive" else "flat";
  }
  # An SRI hash names its algorithm itself.
  // lib.optionalAttrs (hash == "") { outputHashAlgo = "sha256"; }
)
// {
  inherit meta passthru;
}
// passthru
