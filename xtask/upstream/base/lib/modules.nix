# Modules: options that are declared in one file and defined in others.
#
# A module is a file, a function or a set `{ imports, options, config }`; a set without `options` and
# `config` is all configuration.
{ lib }:

let
  inherit (lib.options) isOption showFiles showOption;

  defaultPriority = 100;
in
rec {
  mkIf = condition: content: {
    _type = "if";
    inherit condition content;
  };
  mkMerge = contents: {
    _type = "merge";
    inherit contents;
  };
  # The definitions of the lowest priority win.
  mkOverride = priority: content: {
    _type = "override";
    inherit priority content;
  };
  mkOptionDefault = mkOverride 1500;
  mkDefault = mkOverride 1000;
  mkForce = mkOverride 50;

  # Gives `{ config, options }`.
  evalModules =
    {
      modules,
      specialArgs ? { },
      prefix ? [ ],
    }:
    let
      argsModule = {
        _file = "lib/modules.nix";
        options._module.args = lib.mkOption {
          type = lib.types.attrsOf lib.types.raw;
          default = { };
          description = "Further arguments that modules may ask for by name.";
        };
      };
      collected = lib.concatMap (collectModule args) ([ argsModule ] ++ modules);
      merged = mergeTree prefix collected;
      args = specialArgs // {
        inherit lib config;
        inherit (merged) options;
        moduleArgs = config._module.args;
      };
      config = if merged.undeclared == [ ] then merged.config else throw (builtins.head merged.undeclared);
    in
    {
      inherit (merged) options;
      inherit config;
    };

  # A module and everything it imports, as a list of `{ file, options, config }`.
  collectModule =
    args: module:
    let
      isPath = builtins.isPath module || builtins.isString module;
      loaded = if isPath then import module else module;
      applied = if lib.isFunction loaded then loaded (argumentsOf args loaded) else loaded;
      file = if isPath then toString module else applied._file or "<unknown-file>";
      isLong = applied ? options || applied ? config;
      stray = builtins.attrNames (
        builtins.removeAttrs applied [
          "_file"
          "imports"
          "options"
          "config"
        ]
      );
      config =
        if !isLong then
          builtins.removeAttrs applied [
            "_file"
            "imports"
          ]
        else if stray == [ ] then
          applied.config or { }
        else
          throw "Module `${file}' has an unsupported attribute `${builtins.head stray}'.";
    in
    lib.concatMap (collectModule args) (applied.imports or [ ])
    ++ [
      {
        inherit file config;
        options = applied.options or { };
      }
    ];

  # What a module function names is looked up only when it is used, since `config` is still being made.
  argumentsOf =
    args: f:
    builtins.mapAttrs (
      name: _:
      args.${name} or args.moduleArgs.${name} or (throw "A module asks for the unknown argument `${name}'.")
    ) (builtins.functionArgs f);

  # Walks declarations and definitions together. `undeclared` has a message for each definition without an option.
  mergeTree =
    prefix: modules:
    mergeLevel prefix
      (map (module: {
        inherit (module) file;
        value = module.options;
      }) modules)
      (
        lib.concatMap (
          module:
          map (value: {
            inherit (module) file;
            inherit value;
          }) (pushDown module.config)
        ) modules
      );

  mergeLevel =
    loc: declarations: definitions:
    let
      declared = byName declarations;
      defined = byName definitions;
      children = builtins.mapAttrs (
        name: decls:
        let
          here = loc ++ [ name ];
          options = builtins.filter (decl: isOption decl.value) decls;
          defs = lib.concatMap (
            def:
            map (value: {
              inherit (def) file;
              inherit value;
            }) (pushDown def.value)
          ) (defined.${name} or [ ]);
        in
        if options == [ ] then
          mergeLevel here decls defs
        else if builtins.length decls > 1 then
          throw "The option `${showOption here}' is declared more than once ${showFiles (map (decl: decl.file) decls)}."
        else
          mergeOption here (builtins.head decls).value (defined.${name} or [ ])
      ) declared;
      unknown = builtins.filter (name: !(declared ? ${name})) (builtins.attrNames defined);
    in
    {
      config = builtins.mapAttrs (_: child: child.config) children;
      options = builtins.mapAttrs (_: child: child.options) children;
      undeclared =
        map (
          name:
          "The option `${showOption (loc ++ [ name ])}' does not exist. Definitions: ${
            showFiles (map (def: def.file) defined.${name})
          }."
        ) unknown
        ++ lib.concatMap (child: child.undeclared) (builtins.attrValues children);
    };

  # `[ { file, value = { a = …; } } ]` becomes `{ a = [ { file, value } ]; }`.
  byName =
    entries:
    lib.zipAttrsWith (_: lib.id) (
      map (
        entry:
        builtins.mapAttrs (_: value: {
          inherit (entry) file;
          inherit value;
        }) entry.value
      ) entries
    );

  mergeOption =
    loc: option: defs:
    let
      defaults = lib.optional (option ? default) {
        file = "<default>";
        value = mkOptionDefault option.default;
      };
      merged = mergeDefinitions loc (option.type or lib.types.unspecified) (defs ++ defaults);
      value = (option.apply or lib.id) merged.value;
    in
    {
      config =
        if option.readOnly or false && builtins.length defs > 1 then
          throw "The option `${showOption loc}' is read-only, but it is set more than once."
        else
          value;
      options = option // {
        inherit loc value;
        isDefined = merged.defs != [ ];
      };
      undeclared = [ ];
    };

  mergeDefinitions =
    loc: type: defs:
    let
      discharged = lib.concatMap (
        def:
        map (found: {
          inherit (def) file;
          inherit (found) priority value;
        }) (discharge defaultPriority def.value)
      ) defs;
      highest = builtins.foldl' (best: def: lib.min best def.priority) 9999 discharged;
      winners = builtins.filter (def: def.priority == highest) discharged;
    in
    {
      defs = winners;
      value =
        if winners == [ ] then
          throw "The option `${showOption loc}' is used but not defined."
        else
          type.merge loc winners;
    };

  # A definition with its conditions decided, as a list of `{ priority, value }`.
  discharge =
    priority: value:
    let
      kind = value._type or "";
    in
    if kind == "if" then
      lib.optionals value.condition (discharge priority value.content)
    else if kind == "merge" then
      lib.concatMap (discharge priority) value.contents
    else if kind == "override" then
      discharge value.priority value.content
    else
      [ { inherit priority value; } ];

  # Moves conditions from a set to its attributes, without deciding them: they may depend on `config`.
  pushDown =
    value:
    let
      kind = value._type or "";
      wrap =
        wrapper: content:
        map (builtins.mapAttrs (_: wrapper)) (pushDown content);
    in
    if kind == "if" then
      wrap (mkIf value.condition) value.content
    else if kind == "merge" then
      lib.concatMap pushDown value.contents
    else if kind == "override" then
      wrap (mkOverride value.priority) value.content
    else
      [ value ];
}
