{ lib }:

rec {
  id = x: x;
  const = x: _: x;
  flip = f: a: b: f b a;
  min = x: y: if x < y then x else y;
  max = x: y: if x > y then x else y;

  # Functors are functions too.
  isFunction = f: builtins.isFunction f || (f ? __functor && isFunction (f.__functor f));
  toFunction = v: if isFunction v then v else const v;

  boolToYesNo = b: if b then "yes" else "no";

  importJSON = path: builtins.fromJSON (builtins.readFile path);
  fileContents = path: lib.strings.removeSuffix "\n" (builtins.readFile path);

  warn = message: builtins.trace "warning: ${message}";

  # The release, as in "26.05".
  release = fileContents ../.version;

  # What a channel appends to the release, as in ".20260512.abcdef0"; "pre-git" in a checkout.
  versionSuffix =
    let
      file = ../.version-suffix;
    in
    if builtins.pathExists file then fileContents file else "pre-git";

  version = release + versionSuffix;

  # The commit, where a channel has recorded it.
  revisionWithDefault =
    default:
    let
      file = ../.git-revision;
    in
    if builtins.pathExists file then fileContents file else default;
}
