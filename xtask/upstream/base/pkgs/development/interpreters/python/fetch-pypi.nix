# The source archive of a package on PyPI.
{ lib, fetchurl }:

{
  pname,
  version,
  extension ? "tar.gz",
  hash ? "",
  sha256 ? "",
}:

fetchurl {
  url = "mirror://pypi/${lib.substring 0 1 pname}/${pname}/${pname}-${version}.${extension}";
  inherit hash sha256;
}
