for tool in $initialPath; do
  PATH=$tool/bin${PATH:+:$PATH}
done
export PATH

mkdir -p "$out"
{
  echo "export SHELL=$shell"
  echo "initialPath=\"$initialPath\""
  cat "$setup"
} >"$out/setup"
