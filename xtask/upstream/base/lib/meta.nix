{ lib }:

rec {
  setName = name: drv: drv // { inherit name; };

  # The main program of a package.
  getExe = pkg: getExe' pkg (pkg.meta.mainProgram or (lib.getName pkg));
  getExe' = pkg: program: "${lib.getBin pkg}/bin/${program}";
}
