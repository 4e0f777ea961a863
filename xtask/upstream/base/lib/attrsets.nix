{ lib }:

let
  inherit (lib) elem foldl' head tail;
in
rec {
  inherit (builtins)
    attrNames
    attrValues
    hasAttr
    isAttrs
    mapAttrs
    ;

  nameValuePair = name: value: { inherit name value; };
  genAttrs = names: f: builtins.listToAttrs (map (name: nameValuePair name (f name)) names);
  mapAttrs' = f: set: builtins.listToAttrs (map (name: f name set.${name}) (attrNames set));
  mapAttrsToList = f: set: map (name: f name set.${name}) (attrNames set);
  filterAttrs =
    pred: set:
    builtins.removeAttrs set (builtins.filter (name: !pred name set.${name}) (attrNames set));
  concatMapAttrs = f: set: mergeAttrsList (mapAttrsToList f set);
  mergeAttrsList = foldl' (a: b: a // b) { };
  optionalAttrs = cond: set: if cond then set else { };

  attrByPath =
    path: default: set:
    if path == [ ] then
      set
    else if isAttrs set && set ? ${head path} then
      attrByPath (tail path) default set.${head path}
    else
      default;

  setAttrByPath =
    path: value: if path == [ ] then value else { ${head path} = setAttrByPath (tail path) value; };

  recursiveUpdate =
    left: right:
    left
    // mapAttrs (
      name: value:
      if left ? ${name} && isAttrs left.${name} && isAttrs value && !isDerivation value then
        recursiveUpdate left.${name} value
      else
        value
    ) right;

  # `zipAttrsWith (name: values: …) sets`
  zipAttrsWith =
    f: sets:
    genAttrs (lib.unique (lib.concatMap attrNames sets)) (
      name: f name (lib.concatMap (set: lib.optional (set ? ${name}) set.${name}) sets)
    );

  isDerivation = value: value.type or null == "derivation";
  recurseIntoAttrs = set: set // { recurseForDerivations = true; };

  # The output of a package that has what the name says; the whole package where outputs are not split.
  getOutput = output: pkg: if pkg.outputSpecified or false then pkg else pkg.${output} or pkg.out or pkg;
  getBin = getOutput "bin";
  getLib = getOutput "lib";
  getDev = getOutput "dev";
}
