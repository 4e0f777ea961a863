{ callPackage, lowPrio }:
{
  x = lowPrio (callPackage ../tools/evil { });
}
