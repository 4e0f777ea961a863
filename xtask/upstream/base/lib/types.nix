# Types of options: what a definition must be, and how several become one value.
{ lib }:

let
  inherit (lib.options)
    mergeEqualOption
    mergeOneOption
    showFiles
    showOption
    ;

  mkType =
    {
      description,
      check ? (_: true),
      merge ? mergeEqualOption,
    }:
    {
      _type = "option-type";
      inherit description check;
      merge =
        loc: defs:
        let
          wrong = builtins.filter (def: !check def.value) defs;
        in
        if wrong == [ ] then
          merge loc defs
        else
          throw "A definition for option `${showOption loc}' is not of type `${description}' ${showFiles (map (def: def.file) wrong)}.";
    };
in
rec {
  inherit mkType;

  unspecified = mkType { description = "unspecified value"; };
  anything = unspecified;
  raw = mkType {
    description = "raw value";
    merge = mergeOneOption;
  };
  bool = mkType {
    description = "boolean";
    check = builtins.isBool;
  };
  int = mkType {
    description = "signed integer";
    check = builtins.isInt;
  };
  port = mkType {
    description = "16 bit unsigned integer; between 0 and 65535 (both inclusive)";
    check = value: builtins.isInt value && value >= 0 && value <= 65535;
  };
  str = mkType {
    description = "string";
    check = builtins.isString;
  };
  path = mkType {
    description = "absolute path";
    check = value: lib.isDerivation value || lib.hasPrefix "/" (toString value);
  };
  package = mkType {
    description = "package";
    check = lib.isDerivation;
    merge = mergeOneOption;
  };
  separatedString =
    separator:
    mkType {
      description = "strings concatenated with ${builtins.toJSON separator}";
      check = builtins.isString;
      merge = _: defs: builtins.concatStringsSep separator (map (def: def.value) defs);
    };
  lines = separatedString "\n";
  enum =
    values:
    mkType {
      description = "one of ${builtins.concatStringsSep ", " (map builtins.toJSON values)}";
      check = value: builtins.elem value values;
    };

  nullOr =
    elemType:
    mkType {
      description = "null or ${elemType.description}";
      check = value: value == null || elemType.check value;
      merge =
        loc: defs:
        if builtins.all (def: def.value == null) defs then null else elemType.merge loc defs;
    };
  listOf =
    elemType:
    mkType {
      description = "list of ${elemType.description}";
      check = builtins.isList;
      merge =
        loc: defs:
        lib.concatMap (
          def:
          lib.imap0 (
            n: value:
            (lib.modules.mergeDefinitions (loc ++ [ "[${toString n}]" ]) elemType [
              {
                inherit (def) file;
                inherit value;
              }
            ]).value
          ) def.value
        ) defs;
    };
  attrsOf =
    elemType:
    mkType {
      description = "attribute set of ${elemType.description}";
      check = builtins.isAttrs;
      merge =
        loc: defs:
        let
          merged = lib.zipAttrsWith (name: lib.modules.mergeDefinitions (loc ++ [ name ]) elemType) (
            map (
              def:
              builtins.mapAttrs (_: value: {
                inherit (def) file;
                inherit value;
              }) def.value
            ) defs
          );
        in
        # An attribute whose every definition has a false condition is not there.
        builtins.mapAttrs (_: attr: attr.value) (lib.filterAttrs (_: attr: attr.defs != [ ]) merged);
    };

  # A set of options of its own; `name` is the attribute that holds it.
  submodule =
    module:
    mkType {
      description = "submodule";
      check = value: builtins.isAttrs value || lib.isFunction value;
      merge =
        loc: defs:
        builtins.removeAttrs
          (lib.modules.evalModules {
            modules = [
              module
            ]
            ++ map (def: {
              _file = def.file;
              config = def.value;
            }) defs;
            specialArgs.name = lib.last loc;
            prefix = loc;
          }).config
          [ "_module" ];
    };
}
