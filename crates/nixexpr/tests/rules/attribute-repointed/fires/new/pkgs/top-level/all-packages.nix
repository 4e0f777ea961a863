{ callPackage }:
{
  x = callPackage ../tools/evil { };
}
