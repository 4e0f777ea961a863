{ callPackage, lowPrio }:
{
  x = callPackage ../tools/x { };
}
