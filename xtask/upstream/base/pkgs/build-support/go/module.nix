# `buildGoModule`. There is no compiler here: its packages can be evaluated, not built.
{ lib, stdenv }:

fnOrAttrs:

stdenv.mkDerivation (
  finalAttrs:
  let
    attrs = lib.toFunction fnOrAttrs finalAttrs;
  in
  {
    buildPhase = ''
      runHook preBuild
      go build -mod=vendor -ldflags "$ldflags" ./...
      runHook postBuild
    '';
  }
  // builtins.removeAttrs attrs [ "vendorHash" ]
  // {
    goModulesHash = attrs.vendorHash;
    passthru = attrs.passthru or { } // {
      inherit (attrs) vendorHash;
    };
    meta = {
      platforms = lib.platforms.unix;
    }
    // attrs.meta or { };
  }
)
