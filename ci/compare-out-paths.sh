#!/usr/bin/env bash
# Is a published channel upstream's tree? Installs it with `nix-channel --update` of each version of Nix, and compares it
# with a checkout of upstream at the same commit that was given the same .version-suffix and .git-revision: file by
# file, and by the out paths of packages and of a NixOS system.
#
#   ci/compare-out-paths.sh SITE CHANNEL UPSTREAM [ATTRIBUTE…]
#
#     SITE        the published folder (target/cycle/NAME/site), or its URL
#     CHANNEL     the channel's name
#     UPSTREAM    a git directory that has the channel's commit
#     ATTRIBUTE   packages; without any, nine that every nixpkgs has. The system is compared always
#
# TOUCHSTONE_NIX=DIR says where ci/nix.sh has put Nix (target/nix). Out paths, not drv paths: in old trees the latter
# hold the absolute path of the tree. And the channel's real path, not the link to it that Nix 2.8 finds as <nixpkgs>: the
# manual of an old NixOS names the files of its options by absolute paths when it is reached through a link. Exit codes:
# 0 equal, 1 something differs, 2 usage.
set -euo pipefail
shopt -s inherit_errexit
(($# >= 3)) || { sed -n '2,/^set /{s/^# \{0,1\}//;/^set /d;p}' "$0" >&2; exit 2; }
here=$(cd "$(dirname "$0")/.." && pwd)
nix=$(realpath "${TOUCHSTONE_NIX:-$here/target/nix}")
site=$1 channel=$2 upstream=$(realpath "$3")
shift 3
if (($#)); then attributes=("$@"); else attributes=(hello firefox openssl bash coreutils gcc git vim nginx); fi
work=$(mktemp -d)
server=
trap '[[ -z $server ]] || kill "$server"; chmod -R u+w "$work" && rm -rf "$work"' EXIT
export TOUCHSTONE_NIX_HOME=$work/nix
unset NIX_PATH

main() {
  serve
  local wrapper installed differences=0
  for wrapper in nix28 nix226; do
    "$nix/$wrapper" nix --version
    "$nix/$wrapper" nix-channel --add "$site/channels/$channel" nixpkgs
    "$nix/$wrapper" nix-channel --update 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
    # From inside the wrapper, for /nix is another one there.
    installed=$("$nix/$wrapper" sh -c 'readlink -f "$HOME/.nix-defexpr/channels/nixpkgs"')
    "$nix/$wrapper" cp -R "$installed" "$work/$wrapper"
    chmod -R u+w "$work/$wrapper"
    [[ -e $work/upstream ]] || checkout "$work/$wrapper"
    same_files "$work/$wrapper" || differences=1
    same_out_paths "$wrapper" "$installed" || differences=1
  done
  ((differences == 0)) || { echo "the channel is not upstream's tree" >&2; exit 1; }
  echo "all are equal"
}

# Serves a folder; leaves a URL alone.
serve() {
  [[ $site != *://* ]] || return 0
  site=$(realpath "$site")
  coproc SERVER { cd "$here" && exec cargo xtask serve "$site"; }
  server=$SERVER_PID
  read -r site <&"${SERVER[0]}"
}

# Puts the commit that $1 names into $work/upstream, with the two files that say which release it is.
checkout() {
  local commit
  commit=$(cat "$1/.git-revision")
  echo "commit $commit, version suffix $(cat "$1/.version-suffix")"
  mkdir "$work/upstream"
  (
    export GIT_DIR=$upstream GIT_WORK_TREE=$work/upstream GIT_INDEX_FILE=$work/index
    git read-tree "$commit"
    git -c core.autocrlf=false checkout-index --all --force
  )
  cp "$1/.git-revision" "$1/.version-suffix" "$work/upstream/"
}

# The channel has one thing more: the link `nixpkgs`, for those who write <channel/nixpkgs>.
same_files() {
  diff --recursive --no-dereference --exclude=nixpkgs "$work/upstream" "$1" || return 1
  [[ $(readlink "$1/nixpkgs") == . ]] || { echo "nixpkgs is no link to ." >&2; return 1; }
  echo "  $(find "$1" -type f | wc -l) files are equal"
}

same_out_paths() {
  local attribute path other result=0
  for attribute in "${attributes[@]}" system; do
    path=$(out_path "$1" "$2" "$attribute")
    other=$(out_path "$1" "$work/upstream" "$attribute")
    if [[ $path == "$other" ]]; then
      echo "  $attribute: $path"
    else
      echo "  $attribute: channel $path, upstream $other" >&2
      result=1
    fi
  done
  return "$result"
}

out_path() {
  local wrapper=$1 tree=$2 attribute=$3 expression
  if [[ $attribute == system ]]; then
    expression="(import ($tree + \"/nixos\") { configuration = $(configuration); system = \"x86_64-linux\"; }).system.outPath"
  else
    expression="(import $tree { system = \"x86_64-linux\"; config = { allowUnfree = true; }; }).$attribute.outPath"
  fi
  "$nix/$wrapper" nix-instantiate --eval --strict -E "$expression" 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
}

configuration() {
  cat <<'END'
{
  fileSystems."/" = { device = "/dev/sda1"; fsType = "ext4"; };
  boot.loader.grub.device = "/dev/sda";
  services.openssh.enable = true;
}
END
}

main
