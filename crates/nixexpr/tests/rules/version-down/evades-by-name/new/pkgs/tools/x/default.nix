{ stdenv, fetchurl }:
stdenv.mkDerivation {
  name = "x-1.0";
  src = fetchurl { url = "https://example.org/x-1.0.tgz"; md5 = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"; };
}
