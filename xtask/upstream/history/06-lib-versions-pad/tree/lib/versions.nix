{ lib }:

rec {
  # `splitVersion "1.2.3"` is `[ "1" "2" "3" ]`.
  splitVersion = builtins.splitVersion;

  major = v: builtins.elemAt (splitVersion v) 0;
  minor = v: builtins.elemAt (splitVersion v) 1;
  patch = v: builtins.elemAt (splitVersion v) 2;
  majorMinor = v: "${major v}.${minor v}";

  # `pad 3 "1.2"` is `"1.2.0"`.
  pad =
    n: v:
    let
      parts = splitVersion v;
      missing = lib.max 0 (n - builtins.length parts);
    in
    builtins.concatStringsSep "." (parts ++ builtins.genList (_: "0") missing);
}
