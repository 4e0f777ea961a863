# Derivations that need no source.
{
  lib,
  stdenv,
}:

rec {
  runCommand = runCommandWith { };
  runCommandLocal = runCommandWith { preferLocalBuild = true; };
  runCommandWith =
    defaults: name: env: buildCommand:
    stdenv.mkDerivation (
      defaults
      // {
        inherit name buildCommand;
      }
      // env
    );

  writeTextFile =
    {
      name,
      text,
      executable ? false,
      destination ? "",
      checkPhase ? "",
      meta ? { },
    }:
    runCommandLocal name
      {
        inherit
          text
          executable
          checkPhase
          meta
          ;
        passAsFile = [ "text" ];
      }
      ''
        target=$out${lib.escapeShellArg destination}
        mkdir -p "$(dirname "$target")"
        cp "$textPath" "$target"
        if [ -n "$executable" ]; then chmod +x "$target"; fi
        eval "$checkPhase"
      '';

  writeText = name: text: writeTextFile { inherit name text; };
  writeShellScript =
    name: text:
    writeTextFile {
      inherit name;
      executable = true;
      text = "#!${stdenv.shell}\n${text}\n";
      checkPhase = ''${stdenv.shell} -n "$target"'';
    };
  writeShellScriptBin =
    name: text:
    writeTextFile {
      inherit name;
      executable = true;
      destination = "/bin/${name}";
      text = "#!${stdenv.shell}\n${text}\n";
      checkPhase = ''${stdenv.shell} -n "$target"'';
      meta.mainProgram = name;
    };
}
