# Checks of packages, for their `passthru.tests`.
{
  lib,
  runCommand,
}:

{
  # Runs the main program with `-v` and looks for the version in what it prints.
  testVersion =
    {
      package,
      command ? "${lib.getExe package} -v",
    }:
    runCommand "${package.name}-test-version" { inherit (package) version; } ''
      ${command} 2>&1 | tee $out
      grep -qF "$version" $out
    '';
}
