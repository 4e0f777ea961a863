{ cabal, text }:

cabal.mkDerivation (self: {
  pname = "x";
  version = "1.0.1";
  sha256 = "1yr7ndy6k2y9dg8q1v2xbjcxyg0ziyvkx2wlmy7p8vrwkmxh4bkk";
  buildDepends = [ text ];
})
