{ pkgs, callPackage }:

self: {

  "acme" = callPackage
    ({ mkDerivation, base }:
     mkDerivation {
       pname = "acme";
       version = "1.0";
       sha256 = "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73";
       libraryHaskellDepends = [ base ];
       description = "x";
       license = "unknown";
     }) {};

}
