{ ... }:

rec {
  # `fix (self: { a = 1; b = self.a + 1; })` is `{ a = 1; b = 2; }`.
  fix =
    f:
    let
      x = f x;
    in
    x;

  # Lays `overlay = final: prev: { … }` over the fixed-point function `f`.
  extends =
    overlay: f: final:
    let
      prev = f final;
    in
    prev // overlay final prev;

  composeExtensions =
    f: g: final: prev:
    let
      fApplied = f final prev;
    in
    fApplied // g final (prev // fApplied);

  composeManyExtensions = builtins.foldl' (a: b: composeExtensions a b) (_: _: { });

  # A fixed point with an `extend` function that takes one more overlay.
  makeExtensible =
    rattrs: fix (self: rattrs self // { extend = overlay: makeExtensible (extends overlay rattrs); });
}
