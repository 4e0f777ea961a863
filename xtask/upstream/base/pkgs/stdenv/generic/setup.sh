# Sourced by every builder. Plain POSIX shell, since busybox is all there is.
set -eu

# --- hooks ----------------------------------------------------------------------------------------

# `runHook preBuild` evaluates the variable of that name, or calls the function.
runHook() {
  if command -v "$1" >/dev/null; then
    "$1"
  else
    eval "local text=\"\${$1:-}\""
    eval "$text"
  fi
}

# --- what a build starts with ---------------------------------------------------------------------

PATH=
for input in ${nativeBuildInputs:-} ${buildInputs:-} ${propagatedBuildInputs:-} $initialPath; do
  [ ! -d "$input/bin" ] || PATH=$PATH${PATH:+:}$input/bin
  [ ! -f "$input/nix-support/setup-hook" ] || . "$input/nix-support/setup-hook"
done
export PATH

export HOME=/homeless-shelter TZ=UTC SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-1}
export NIX_BUILD_TOP=${NIX_BUILD_TOP:-$PWD} TMPDIR=${TMPDIR:-$PWD}
prefix=${prefix:-${out:-}}

# --- helpers --------------------------------------------------------------------------------------

# `substituteInPlace FILE --replace-fail OLD NEW …`; OLD and NEW are literal and may not hold a newline.
substituteInPlace() {
  local file=$1 old new
  shift
  while [ $# -gt 0 ]; do
    [ "$1" = --replace-fail ] && [ $# -ge 3 ] || { echo "substituteInPlace: expected --replace-fail OLD NEW, found $*" >&2; return 1; }
    grep -qF -- "$2" "$file" || { echo "substituteInPlace: $file does not contain '$2'" >&2; return 1; }
    old=$(printf '%s' "$2" | sed 's/[]\/$*.^[]/\\&/g')
    new=$(printf '%s' "$3" | sed 's/[\/&]/\\&/g')
    sed -i "s/$old/$new/g" "$file"
    shift 3
  done
}

# Makes scripts start under the shell of this environment, wherever they are installed.
patchShebangs() {
  local file
  find "$@" -type f -perm -0100 | while IFS= read -r file; do
    case $(head -c 2 "$file") in
      "#!") sed -i "1s|^#! */bin/sh|#!$SHELL|; 1s|^#! */usr/bin/env sh|#!$SHELL|" "$file" ;;
    esac
  done
}

# Installs manual pages by their section: `installManPage hello.1`.
installManPage() {
  local page
  for page in "$@"; do
    mkdir -p "${outputMan:-$out}/share/man/man${page##*.}"
    cp "$page" "${outputMan:-$out}/share/man/man${page##*.}/"
  done
}

# --- phases ---------------------------------------------------------------------------------------

unpackPhase() {
  runHook preUnpack
  local source
  for source in ${srcs:-$src}; do
    if [ -d "$source" ]; then
      cp -r "$source" "$(stripHash "$source")"
      chmod -R u+w "$(stripHash "$source")"
      sourceRoot=${sourceRoot:-$(stripHash "$source")}
    else
      case $source in
        *.tar | *.tar.gz | *.tgz | *.tar.xz) tar xf "$source" ;;
        *) cp "$source" "$(stripHash "$source")" && chmod u+w "$(stripHash "$source")" ;;
      esac
    fi
  done
  cd "${sourceRoot:-.}"
  runHook postUnpack
}

# The name of a store path without the hash.
stripHash() {
  basename "$1" | sed 's/^[a-z0-9]\{32\}-//'
}

patchPhase() {
  runHook prePatch
  local file
  for file in ${patches:-}; do
    echo "applying $file"
    patch -p1 <"$file"
  done
  runHook postPatch
}

configurePhase() {
  runHook preConfigure
  if [ -x ./configure ] && [ -z "${dontConfigure:-}" ]; then
    "$SHELL" ./configure --prefix="$prefix" ${configureFlags:-}
  fi
  runHook postConfigure
}

buildPhase() {
  runHook preBuild
  runHook postBuild
}

checkPhase() {
  runHook preCheck
  runHook postCheck
}

installPhase() {
  runHook preInstall
  mkdir -p "$out"
  runHook postInstall
}

fixupPhase() {
  runHook preFixup
  local output
  for output in ${outputs:-out}; do
    eval "output=\$$output"
    [ ! -e "$output/bin" ] || patchShebangs "$output/bin"
  done
  if [ -n "${propagatedBuildInputs:-}" ]; then
    mkdir -p "$out/nix-support"
    echo "$propagatedBuildInputs" >"$out/nix-support/propagated-build-inputs"
  fi
  if [ -n "${setupHook:-}" ]; then
    mkdir -p "$out/nix-support"
    cp "$setupHook" "$out/nix-support/setup-hook"
  fi
  runHook postFixup
}

installCheckPhase() {
  runHook preInstallCheck
  runHook postInstallCheck
}

# A phase is the derivation's variable of that name, or else the function above.
runPhase() {
  local text
  case $1 in
    unpackPhase) [ -z "${dontUnpack:-}" ] || return 0 ;;
    checkPhase) [ -n "${doCheck:-}" ] || return 0 ;;
    installCheckPhase) [ -n "${doInstallCheck:-}" ] || return 0 ;;
  esac
  echo "Running phase: $1"
  eval "text=\${$1:-}"
  if [ -n "$text" ]; then eval "$text"; else "$1"; fi
}

genericBuild() {
  if [ -n "${buildCommand:-}" ]; then
    eval "$buildCommand"
    return
  fi
  local phase
  for phase in ${phases:-unpackPhase patchPhase configurePhase buildPhase checkPhase installPhase fixupPhase installCheckPhase}; do
    runPhase "$phase"
  done
}
