# Functions that need no package. `lib.attrsets.genAttrs` is also `lib.genAttrs`.
let
  inherit (import ./fixed-points.nix { }) makeExtensible;

  lib = makeExtensible (
    self:
    let
      callLibs = file: import file { lib = self; };
    in
    {
      trivial = callLibs ./trivial.nix;
      fixedPoints = callLibs ./fixed-points.nix;
      attrsets = callLibs ./attrsets.nix;
      lists = callLibs ./lists.nix;
      strings = callLibs ./strings.nix;
      versions = callLibs ./versions.nix;
      customisation = callLibs ./customisation.nix;
      meta = callLibs ./meta.nix;
      modules = callLibs ./modules.nix;
      options = callLibs ./options.nix;
      types = callLibs ./types.nix;
      licenses = callLibs ./licenses.nix;
      platforms = callLibs ./platforms.nix;
      maintainers = import ../maintainers/maintainer-list.nix;

      inherit (self.trivial)
        boolToYesNo
        id
        const
        flip
        fileContents
        importJSON
        isFunction
        max
        min
        release
        revisionWithDefault
        toFunction
        version
        versionSuffix
        warn
        ;
      inherit (self.fixedPoints)
        composeManyExtensions
        extends
        fix
        makeExtensible
        ;
      inherit (self.attrsets)
        attrByPath
        attrNames
        attrValues
        concatMapAttrs
        filterAttrs
        genAttrs
        getBin
        getDev
        getLib
        hasAttr
        isAttrs
        isDerivation
        mapAttrs
        mapAttrs'
        mapAttrsToList
        mergeAttrsList
        nameValuePair
        optionalAttrs
        recurseIntoAttrs
        recursiveUpdate
        setAttrByPath
        zipAttrsWith
        ;
      inherit (self.lists)
        all
        any
        concatLists
        concatMap
        elem
        elemAt
        filter
        findFirst
        flatten
        foldl'
        foldr
        head
        imap0
        isList
        last
        length
        optional
        optionals
        partition
        range
        sort
        subtractLists
        tail
        toList
        unique
        ;
      inherit (self.strings)
        concatMapStrings
        concatMapStringsSep
        concatStrings
        concatStringsSep
        escapeShellArg
        escapeShellArgs
        getName
        getVersion
        hasInfix
        hasPrefix
        hasSuffix
        isString
        makeBinPath
        optionalString
        removePrefix
        removeSuffix
        replaceStrings
        splitString
        stringLength
        substring
        toUpper
        versionAtLeast
        versionOlder
        ;
      inherit (self.customisation)
        callPackageWith
        callPackagesWith
        makeOverridable
        makeScope
        ;
      inherit (self.meta) getExe getExe' setName;
      inherit (self.modules)
        evalModules
        mkDefault
        mkForce
        mkIf
        mkMerge
        mkOverride
        ;
      inherit (self.options)
        literalExpression
        mkEnableOption
        mkOption
        mkPackageOption
        ;
    }
  );
in
lib
