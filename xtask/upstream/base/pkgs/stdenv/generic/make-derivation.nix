# `stdenv.mkDerivation`.
{
  lib,
  config,
  stdenv,
}:

let
  checkMeta = import ./check-meta.nix { inherit lib config stdenv; };

  # Takes a set, or a function from the finished attributes (`finalAttrs`) to a set.
  mkDerivation = fnOrAttrs: extensible (lib.toFunction fnOrAttrs);

  extensible =
    rattrs:
    let
      attrs = rattrs (attrs // { inherit finalPackage overrideAttrs; });
      overrideAttrs =
        change:
        let
          overlay = if lib.isFunction change then change else _: change;
          # `previous: { … }` and `final: previous: { … }` are both in use.
          apply =
            final: previous:
            let
              once = overlay previous;
            in
            if lib.isFunction once then overlay final previous else once;
        in
        extensible (final: rattrs final // apply final (rattrs final));
      finalPackage = make overrideAttrs attrs;
    in
    finalPackage;

  make =
    overrideAttrs:
    attrs@{
      name ? "${attrs.pname}-${attrs.version}",
      outputs ? [ "out" ],
      meta ? { },
      passthru ? { },
      nativeBuildInputs ? [ ],
      buildInputs ? [ ],
      propagatedBuildInputs ? [ ],
      ...
    }:
    let
      drv = derivation (
        builtins.removeAttrs attrs [
          "meta"
          "passthru"
        ]
        // {
          inherit name outputs;
          inherit (stdenv) system;
          builder = stdenv.shell;
          args = [
            "-e"
            (attrs.builder or ./default-builder.sh)
          ];
          inherit stdenv;
          nativeBuildInputs = map lib.getDev nativeBuildInputs;
          buildInputs = map lib.getDev buildInputs;
          propagatedBuildInputs = map lib.getDev propagatedBuildInputs;
        }
      );
      finalMeta = {
        inherit name;
        outputsToInstall = [
          (if builtins.elem "bin" outputs then "bin" else builtins.head outputs)
        ]
        ++ lib.optional (builtins.elem "man" outputs) "man";
      }
      // meta
      // {
        available = checkMeta.problem attrs == null;
      };
      extra = {
        inherit overrideAttrs passthru;
        meta = finalMeta;
      }
      // passthru;
      # Refuses to be built, while name and meta can still be read.
      checked = checkMeta.assertValid attrs;
    in
    drv
    // builtins.listToAttrs (
      map (
        output:
        lib.nameValuePair output (
          drv.${output}
          // extra
          // {
            drvPath = builtins.seq checked drv.${output}.drvPath;
            outPath = builtins.seq checked drv.${output}.outPath;
            outputSpecified = true;
          }
        )
      ) outputs
    )
    // extra
    // {
      drvPath = builtins.seq checked drv.drvPath;
      outPath = builtins.seq checked drv.outPath;
    };
in
{
  inherit mkDerivation;
}
