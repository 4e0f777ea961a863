{ lib }:

rec {
  # `splitVersion "1.2.3"` is `[ "1" "2" "3" ]`.
  splitVersion = builtins.splitVersion;

  major = v: builtins.elemAt (splitVersion v) 0;
  minor = v: builtins.elemAt (splitVersion v) 1;
  patch = v: builtins.elemAt (splitVersion v) 2;
  majorMinor = v: "${major v}.${minor v}";
}
