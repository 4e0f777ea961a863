{ lib }:

rec {
  linux = [
    "aarch64-linux"
    "x86_64-linux"
  ];
  darwin = [ "aarch64-darwin" ];
  unix = linux ++ darwin;
  all = unix;
}
