# One directory of links to the files of several packages.
{ lib, runCommandLocal }:

{
  name,
  paths,
  pathsToLink ? [ "/bin" "/share" ],
  postBuild ? "",
  meta ? { },
}:

runCommandLocal name
  {
    inherit paths pathsToLink meta;
  }
  ''
    mkdir -p $out
    for package in $paths; do
      for wanted in $pathsToLink; do
        [ -d "$package$wanted" ] || continue
        (cd "$package" && find -L ".$wanted" ! -type d) | while read -r file; do
          mkdir -p "$out/$(dirname "$file")"
          # The first package that has a file wins, as its place in the list says.
          [ -e "$out/$file" ] || ln -s "$package/''${file#./}" "$out/$file"
        done
      done
    done
    ${postBuild}
  ''
