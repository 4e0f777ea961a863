{ lib }:

rec {
  # Attributes: type, default, example, description, readOnly, internal.
  mkOption = attrs: attrs // { _type = "option"; };
  isOption = value: value._type or null == "option";

  mkEnableOption =
    name:
    mkOption {
      type = lib.types.bool;
      default = false;
      example = true;
      description = "Whether to enable ${name}.";
    };

  mkPackageOption =
    pkgs: name: _:
    mkOption {
      type = lib.types.package;
      default = pkgs.${name};
      defaultText = literalExpression "pkgs.${name}";
      description = "The ${name} package to use.";
    };

  literalExpression = text: {
    _type = "literalExpression";
    inherit text;
  };

  showOption = builtins.concatStringsSep ".";

  # "in `…/a.nix' and `…/b.nix'"
  showFiles = files: "in ${builtins.concatStringsSep " and " (map (file: "`${toString file}'") files)}";

  # Definitions that must agree.
  mergeEqualOption =
    loc: defs:
    let
      first = builtins.head defs;
    in
    if builtins.all (def: def.value == first.value) defs then
      first.value
    else
      throw "The option `${showOption loc}' has conflicting definitions ${showFiles (map (def: def.file) defs)}.";

  # One definition, and only one.
  mergeOneOption =
    loc: defs:
    if builtins.length defs == 1 then
      (builtins.head defs).value
    else
      throw "The option `${showOption loc}' is defined more than once ${showFiles (map (def: def.file) defs)}.";
}
