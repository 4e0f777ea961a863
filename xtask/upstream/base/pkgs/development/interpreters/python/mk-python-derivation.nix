# `buildPythonPackage`.
{
  lib,
  stdenv,
  python3,
}:

{
  pname,
  version,
  dependencies ? [ ],
  nativeBuildInputs ? [ ],
  pythonImportsCheck ? [ ],
  meta ? { },
  ...
}@attrs:

stdenv.mkDerivation (
  builtins.removeAttrs attrs [
    "dependencies"
    "pythonImportsCheck"
    "pyproject"
  ]
  // {
    name = "python${python3.pythonVersion}-${pname}-${version}";
    nativeBuildInputs = nativeBuildInputs ++ [ python3 ];
    propagatedBuildInputs = dependencies;
    installCheckPhase = lib.concatMapStringsSep "\n" (
      name: "python3 -c 'import ${name}'"
    ) pythonImportsCheck;
    meta = {
      platforms = python3.meta.platforms;
    }
    // meta;
  }
)
