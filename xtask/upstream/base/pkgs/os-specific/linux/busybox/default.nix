# The tools of the standard environment, as a package.
{
  lib,
  stdenv,
  runCommandLocal,
}:

runCommandLocal "busybox"
  {
    inherit (stdenv) bootstrapTools;
    meta = {
      description = "Tiny versions of common UNIX utilities in a single small executable";
      homepage = "https://busybox.net/";
      license = lib.licenses.gpl2Only;
      maintainers = with lib.maintainers; [ nadia ];
      mainProgram = "busybox";
      platforms = lib.platforms.linux;
      priority = 15; # below the packages that do one thing
    };
  }
  ''
    mkdir -p $out
    ln -s $bootstrapTools/bin $out/bin
  ''
