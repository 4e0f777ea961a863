{ stdenv, fetchurl }:
stdenv.mkDerivation {
  name = "x-2.0";
  src = fetchurl { url = "https://example.org/x-2.0.tgz"; md5 = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"; };
}
