# Names that packages once had. Keep them sorted.
lib: self: super:

{
  fortune-mod = self.fortune; # 2025-11-02
  gofish = throw "'gofish' has been removed: it has had no release since 2010"; # 2026-05-08
  hello-unfree = throw "'hello-unfree' has been removed: it was only ever an example"; # 2026-01-19
}
