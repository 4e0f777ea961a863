#!/usr/bin/env bash
# Nix's own language tests, of the two versions that ci/nix.sh unpacks.
#
#   ci/nix-language.sh DIR   makes DIR/2.8 and DIR/2.26: the folders `lang` of Nix's source packages in Debian 12 and 13.
#
# Only downloaded and unpacked, nothing is installed and no source is built. Safe to run again. Exit codes: 0 ready,
# 3 this machine lacks something, 4 the Debian mirror could not be reached (one line says what).
set -euo pipefail

readonly keyring=/usr/share/keyrings/debian-archive-keyring.gpg

(($# == 1)) || { echo "usage: ci/nix-language.sh DIR" >&2; exit 2; }
dir=$(realpath -m "$1")
for tool in apt-get tar xz; do
  command -v "$tool" >/dev/null || { echo "ci/nix-language.sh: the command $tool is missing" >&2; exit 3; }
done
[[ -r $keyring ]] || { echo "ci/nix-language.sh: $keyring is missing (Debian package debian-archive-keyring)" >&2; exit 3; }
mkdir -p "$dir"
exec 9>"$dir/.lock"
flock 9

# The host's own mirror where it has one, since it may be the only one reachable.
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | sort -u | head -n 1)

fetch() {
  local version=$1 release=$2 work=$dir/.work/$1 tarball lang
  [[ -d $dir/$version ]] && return
  rm -rf "$work"
  mkdir -p "$work"/{etc/preferences.d,state/lists/partial,cache/archives/partial,source}
  : >"$work/status"
  echo "deb-src [signed-by=$keyring] ${mirror:-http://deb.debian.org/debian} $release main" >"$work/etc/sources.list"
  {
    apt-config dump | grep -iE '^Acquire::https?::.*proxy' || true
    cat <<END
Dir::Etc "$work/etc"; Dir::Etc::sourcelist "$work/etc/sources.list"; Dir::Etc::sourceparts "/nonexistent"; Dir::Etc::parts "/nonexistent";
Dir::State "$work/state"; Dir::State::status "$work/status"; Dir::Cache "$work/cache";
APT::Sandbox::User "root"; Debug::NoLocking "true"; Acquire::Retries "3";
END
  } >"$work/apt.conf"
  if ! (cd "$work/source" && export APT_CONFIG=$work/apt.conf && apt-get update -qq && apt-get source -qq --download-only nix) >"$work/log" 2>&1; then
    echo "ci/nix-language.sh: cannot download the source of Nix of Debian $release: $(grep -E '^[EW]:' "$work/log" | head -n 1)" >&2
    exit 4
  fi
  tarball=$(find "$work/source" -name 'nix_*.orig.tar.*' ! -name '*.asc' | head -n 1)
  tar -xf "$tarball" -C "$work/source" --wildcards '*/tests/*lang/*'
  lang=$(find "$work/source" -type d -name lang | head -n 1)
  [[ -n $lang ]] || { echo "ci/nix-language.sh: the source of Nix $version has no language tests" >&2; exit 3; }
  mv "$lang" "$dir/$version"
  rm -rf "$work"
}

fetch 2.8 bookworm
fetch 2.26 trixie
rm -rf "$dir/.work"
