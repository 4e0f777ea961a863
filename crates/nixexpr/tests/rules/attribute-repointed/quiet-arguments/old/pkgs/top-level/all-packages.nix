{ callPackage }:
{
  x = callPackage ../tools/x { };
}
