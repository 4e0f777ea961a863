#!/usr/bin/env bash
# Makes the upstream repository and tries what README.md says of it.
#
#   xtask/upstream/check.sh DIR      DIR is where ci/nix.sh puts, or has put, the two versions of Nix
set -euo pipefail
shopt -s inherit_errexit
(($# == 1)) || { echo "usage: xtask/upstream/check.sh DIR" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
nix=$(realpath -m "$1")
work=$(mktemp -d)
trap 'chmod -R u+w "$work" && rm -rf "$work"' EXIT
export TOUCHSTONE_NIX_HOME=$work/nix NIX_PATH=
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1

main() {
  "$here/../../ci/nix.sh" "$nix"
  make_repository "$work/upstream"
  make_repository "$work/again"
  [[ $(cat "$work"/upstream.commits) == "$(cat "$work"/again.commits)" ]] || fail "two repositories made from it differ"
  check_plan
  local slug commit
  while read -r slug commit; do
    checkout "$commit"
    evaluate "$slug"
  done <"$work/upstream.commits"
  check_releases
  check_hook
  check_system
  check_profile
  echo "all is as README.md says"
}

fail() { echo "check.sh: $*" >&2; exit 1; }

# --- the repository --------------------------------------------------------------------------------------------

# Makes it in $1, and writes "slug commit" lines to $1.commits.
make_repository() {
  local repository=$1 dir slug previous= parents tree commit
  git init -q -b main "$repository"
  : >"$repository.commits"
  for dir in "$here"/history/*/; do
    slug=$(basename "$dir")
    parents=()
    if [[ -e $dir/parents ]]; then mapfile -t parents <"$dir/parents"; elif [[ $previous ]]; then parents=("$previous"); fi
    tree=$(tree_of "$repository" "$dir" "${parents[@]}")
    commit=$(commit_tree "$repository" "$dir" "$tree" "${parents[@]}")
    echo "$slug $commit" >>"$repository.commits"
    previous=$slug
  done
}

commit_of() { sed -n "s/^$2 //p" "$1.commits"; }

tree_of() {
  local repository=$1 dir=$2
  shift 2
  case $# in
    0) cp -a "$here/base/." "$repository/" ;;
    1) git -C "$repository" checkout -q -f --detach "$(commit_of "$repository" "$1")" ;;
    *)
      git -C "$repository" merge-tree --write-tree "$(commit_of "$repository" "$1")" "$(commit_of "$repository" "$2")"
      return
      ;;
  esac
  if [[ -d $dir/tree ]]; then cp -a "$dir/tree/." "$repository/"; fi
  if [[ -e $dir/delete ]]; then xargs -d '\n' git -C "$repository" rm -q -- <"$dir/delete" >&2; fi
  git -C "$repository" add --all --force
  git -C "$repository" write-tree
}

commit_tree() {
  local repository=$1 dir=$2 tree=$3 author date parent flags=()
  shift 3
  for parent; do flags+=(-p "$(commit_of "$repository" "$parent")"); done
  author=$(cat "$dir/author") date=$(cat "$dir/date")
  GIT_AUTHOR_NAME=${author% <*} GIT_AUTHOR_EMAIL=$(sed 's/.*<\(.*\)>/\1/' <<<"$author") GIT_AUTHOR_DATE=$date \
    GIT_COMMITTER_NAME=${author% <*} GIT_COMMITTER_EMAIL=$(sed 's/.*<\(.*\)>/\1/' <<<"$author") GIT_COMMITTER_DATE=$date \
    git -C "$repository" commit-tree "$tree" "${flags[@]}" -F "$dir/message"
}

checkout() {
  rm -rf "$work/tree"
  mkdir "$work/tree"
  git -C "$work/upstream" archive "$1" | tar -x -C "$work/tree"
}

# --- what Nix makes of it --------------------------------------------------------------------------------------

# A line "slug verdict version" for each point of plan.json; the version is None where nothing is released.
plan() {
  python3 - "$here/plan.json" <<'END'
import json, sys
plan = json.load(open(sys.argv[1]))
print(plan["baseline"]["commit"], "exempt", plan["baseline"]["version"])
for end in plan["ranges"]:
    print(end["to"], end["verdict"], end["version"])
END
}

check_plan() {
  local slug verdict version
  while read -r slug verdict version; do
    [[ $(commit_of "$work/upstream" "$slug") ]] || fail "plan.json names $slug, which is not in history/"
    [[ $verdict != reject || $version == None ]] || fail "plan.json: $slug has verdict $verdict and version $version"
  done < <(plan)
}

# Every package and a system, with both versions; their derivations must agree.
evaluate() {
  local slug=$1 version
  cat >"$work/all.nix" <<'END'
let
  pkgs = import ./tree { config = { allowUnfree = true; allowAliases = false; }; };
  system = (pkgs.nixos { services.hello.enable = true; services.openssh.enable = true; }).config.system.build.toplevel;
in
map (package: package.drvPath) (
  builtins.filter pkgs.lib.isDerivation (builtins.attrValues pkgs ++ builtins.attrValues pkgs.python3Packages)
  ++ [ system ]
)
END
  for version in nix28 nix226; do
    # Evaluation is lazy: a file that nothing needs yet must at least parse.
    find "$work/tree" -name '*.nix' -exec "$nix/$version" nix-instantiate --parse {} + >/dev/null || fail "$slug does not parse with $version"
    "$nix/$version" nix-instantiate --eval --strict --json "$work/all.nix" >"$work/$version.drvs" || fail "$slug does not evaluate with $version"
    [[ $("$nix/$version" nix-env -f "$work/tree" -qa) == *hello-* ]] || fail "$slug: nix-env finds no hello with $version"
  done
  [[ $(cat "$work/nix28.drvs") == "$(cat "$work/nix226.drvs")" ]] || fail "$slug: the versions of Nix disagree about its derivations"
  echo "$slug: $(python3 -c 'import json, sys; print(len(json.load(sys.stdin)))' <"$work/nix28.drvs") derivations"
}

# Builds attributes of $work/tree with each version of Nix; their contents must agree. Prints the path of the last.
build() {
  local version path hash last=
  for version in nix28 nix226; do
    path=$("$nix/$version" nix-build --no-out-link "$@" 2>"$work/log") || { cat "$work/log" >&2; fail "$* does not build with $version"; }
    hash=$("$nix/$version" nix-hash --type sha256 "$path")
    [[ -z $last || $last == "$path $hash" ]] || fail "$*: the versions of Nix built $last and $path $hash"
    last="$path $hash"
  done
  echo "$path"
}

check_releases() {
  local slug verdict version path wrapper
  while read -r slug verdict version; do
    [[ $verdict != reject ]] || continue
    checkout "$(commit_of "$work/upstream" "$slug")"
    path=$(build "$work/tree" -A hello)
    for wrapper in nix28 nix226; do
      [[ $("$nix/$wrapper" "$path/bin/hello") == "Hello, world!" && $("$nix/$wrapper" "$path/bin/hello" -v) == "hello $version" ]] ||
        fail "$slug: hello is not $version"
    done
    echo "$slug: $path"
  done < <(plan)
  for path in hello.tests.version cowsay dovetail fortune iana-etc lantern pfetch shunit2 which; do
    path=$(build "$work/tree" -A "$path")
  done
}

# The hostile script must have run in range B, or the demo would show nothing; at the end it must be gone.
check_hook() {
  local path
  checkout "$(commit_of "$work/upstream" 14-lantern-1.5)"
  path=$(build "$work/tree" -A lantern)
  "$nix/nix28" test -e "$path/share/lantern/was-here" || fail "the hook of 14-lantern-1.5 did not run"
  [[ $(git -C "$work/upstream" rev-parse "$(commit_of "$work/upstream" 11-hello-2.12.2):pkgs/by-name/la") == \
    $(git -C "$work/upstream" rev-parse "$(commit_of "$work/upstream" 18-hello-2.12.3):pkgs/by-name/la") ]] || fail "lantern differs between 11 and 18"
}

check_system() {
  local path
  checkout "$(commit_of "$work/upstream" 18-hello-2.12.3)"
  printf '.20260513.demo' >"$work/tree/.version-suffix"
  printf 'demo' >"$work/tree/.git-revision"
  echo '{ networking.hostName = "demo"; services.hello = { enable = true; greeting = "Good morning"; }; }' >"$work/configuration.nix"
  path=$(build "$work/tree/nixos" -A system --arg configuration "$work/configuration.nix")
  [[ $("$nix/nix28" cat "$path/nixos-version" "$path/configuration-revision") == 26.05.20260513.demodemo ]] || fail "the system does not know its version"
  echo "system: $path"
}

check_profile() {
  local version
  for version in nix28 nix226; do
    "$nix/$version" nix-env -f "$work/tree" -iA hello cowsay 2>"$work/log" || { cat "$work/log" >&2; fail "nix-env -iA fails with $version"; }
    [[ $("$nix/$version" sh -c '"$HOME/.nix-profile/bin/hello" -v') == "hello 2.12.3" ]] || fail "the profile has no hello with $version"
  done
}

main
