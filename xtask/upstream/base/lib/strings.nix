{ lib }:

rec {
  inherit (builtins)
    concatStringsSep
    isString
    replaceStrings
    stringLength
    substring
    ;

  concatStrings = concatStringsSep "";
  concatMapStrings = f: list: concatStrings (map f list);
  concatMapStringsSep =
    sep: f: list:
    concatStringsSep sep (map f list);
  optionalString = cond: string: if cond then string else "";

  hasPrefix = prefix: string: substring 0 (stringLength prefix) string == prefix;
  hasSuffix =
    suffix: string:
    let
      lenString = stringLength string;
      lenSuffix = stringLength suffix;
    in
    lenString >= lenSuffix && substring (lenString - lenSuffix) lenSuffix string == suffix;
  hasInfix = infix: string: builtins.length (splitString infix string) > 1;

  removePrefix =
    prefix: string:
    if hasPrefix prefix string then substring (stringLength prefix) (-1) string else string;
  removeSuffix =
    suffix: string:
    if hasSuffix suffix string then
      substring 0 (stringLength string - stringLength suffix) string
    else
      string;

  escapeRegex =
    let
      special = [ "\\" "." "*" "+" "?" "(" ")" "[" "]" "{" "}" "^" "$" "|" ];
    in
    replaceStrings special (map (c: "\\" + c) special);
  splitString =
    sep: string: builtins.filter builtins.isString (builtins.split (escapeRegex sep) string);

  escapeShellArg = arg: "'" + replaceStrings [ "'" ] [ "'\\''" ] (toString arg) + "'";
  escapeShellArgs = concatMapStringsSep " " escapeShellArg;

  toUpper =
    let
      lower = builtins.genList (n: substring n 1 "abcdefghijklmnopqrstuvwxyz") 26;
      upper = builtins.genList (n: substring n 1 "ABCDEFGHIJKLMNOPQRSTUVWXYZ") 26;
    in
    replaceStrings lower upper;

  makeBinPath = packages: concatMapStringsSep ":" (pkg: "${lib.getBin pkg}/bin") packages;

  getName = x: if isString x then (builtins.parseDrvName x).name else x.pname or (builtins.parseDrvName x.name).name;
  getVersion = x: if isString x then (builtins.parseDrvName x).version else x.version or (builtins.parseDrvName x.name).version;
  versionOlder = a: b: builtins.compareVersions b a == 1;
  versionAtLeast = a: b: !versionOlder a b;
}
