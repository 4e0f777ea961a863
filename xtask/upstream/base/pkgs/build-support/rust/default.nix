# `rustPlatform`. There is no compiler here: its packages can be evaluated, not built.
{ lib, stdenv }:

{
  buildRustPackage =
    fnOrAttrs:
    stdenv.mkDerivation (
      finalAttrs:
      let
        attrs = lib.toFunction fnOrAttrs finalAttrs;
      in
      {
        buildPhase = ''
          runHook preBuild
          cargo build --release --offline
          runHook postBuild
        '';
        installPhase = ''
          runHook preInstall
          mkdir -p $out/bin
          cp target/release/$pname $out/bin/
          runHook postInstall
        '';
      }
      // builtins.removeAttrs attrs [ "cargoHash" ]
      // {
        cargoDepsHash = attrs.cargoHash;
        passthru = attrs.passthru or { } // {
          inherit (attrs) cargoHash;
        };
        meta = {
          platforms = lib.platforms.unix;
        }
        // attrs.meta or { };
      }
    );
}
