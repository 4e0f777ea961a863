# Removes whole-line comments from the scripts of a package, to make them smaller.
stripComments() {
  local file
  for file in "$out"/bin/*; do
    [ -f "$file" ] && [ ! -L "$file" ] || continue
    sed -i '2,${/^[[:space:]]*#/d;}' "$file"
  done
}
