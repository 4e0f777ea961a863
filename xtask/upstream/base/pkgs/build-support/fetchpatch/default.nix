# A patch from the network.
{ lib, fetchurl }:

{
  url,
  name ? baseNameOf url,
  hash ? "",
  sha256 ? "",
}:

fetchurl {
  inherit
    url
    name
    hash
    sha256
    ;
}
