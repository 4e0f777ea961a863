# An archive from the network, unpacked; the hash is that of the files in it.
{ lib, fetchurl }:

{
  name ? "source",
  url,
  hash ? "",
  sha256 ? "",
  passthru ? { },
  meta ? { },
}:

fetchurl {
  inherit
    name
    url
    hash
    sha256
    passthru
    meta
    ;
  unpack = true;
}
