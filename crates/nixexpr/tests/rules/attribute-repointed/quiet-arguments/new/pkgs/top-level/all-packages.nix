{ callPackage }:
{
  x = callPackage ../tools/x { gui = false; };
}
