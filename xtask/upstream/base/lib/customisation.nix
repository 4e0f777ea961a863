{ lib }:

rec {
  # Gives what `f args` returns an `override` function: `pkg.override { enableX = true; }`.
  makeOverridable =
    f: args:
    let
      result = f args;
      override =
        newArgs: makeOverridable f (args // (if lib.isFunction newArgs then newArgs args else newArgs));
    in
    if builtins.isAttrs result then
      result
      // {
        inherit override;
      }
      // lib.optionalAttrs (result ? overrideAttrs) {
        overrideAttrs = change: makeOverridable (newArgs: (f newArgs).overrideAttrs change) args;
      }
    else
      result;

  # Calls a function, or the function in a file, with the arguments of its that `autoArgs` has.
  callPackageWith =
    autoArgs: fn: args:
    let
      f = if lib.isFunction fn then fn else import fn;
      wanted = builtins.functionArgs f;
      supplied = builtins.intersectAttrs wanted autoArgs // args;
      missing = builtins.filter (name: !wanted.${name} && !(supplied ? ${name})) (
        builtins.attrNames wanted
      );
    in
    if missing == [ ] then
      makeOverridable f supplied
    else
      throw "lib.customisation.callPackageWith: ${toString fn} needs ${builtins.concatStringsSep ", " missing}, which no package provides";

  # The same for a file that gives a set of packages.
  callPackagesWith =
    autoArgs: fn: args:
    let
      f = if lib.isFunction fn then fn else import fn;
    in
    f (builtins.intersectAttrs (builtins.functionArgs f) autoArgs // args);

  # A set of packages that find each other before those of the surrounding set.
  makeScope =
    newScope: f:
    let
      self = f self // {
        newScope = scope: newScope (self // scope);
        callPackage = self.newScope { };
        overrideScope = overlay: makeScope newScope (lib.extends overlay f);
      };
    in
    self;
}
