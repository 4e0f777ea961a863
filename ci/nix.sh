#!/usr/bin/env bash
# Two real Nix versions for the demo and the tests: 2.8.0 (Debian 12) and 2.26.3 (Debian 13).
#
#   ci/nix.sh DIR           makes, everything below DIR and nothing on the host:
#     DIR/nix28  CMD ARG…   runs CMD with Nix 2.8.0
#     DIR/nix226 CMD ARG…   runs CMD with Nix 2.26.3
#     DIR/env.sh            to be sourced: puts both wrappers, and the nix-* commands of 2.8.0, on PATH
#
# Debian's packages are only unpacked, never installed. A wrapper enters the unpacked root by pivot_root in a
# mount namespace of its own, with the host's other top-level directories bound into it: absolute paths, the
# working directory and the loopback network are those of the host, /nix is a folder below DIR.
#
# TOUCHSTONE_NIX_HOME=FOLDER (read by the wrappers) gives a run its own store, profiles, channels and HOME: /nix is
# FOLDER/nix28/nix or FOLDER/nix226/nix, HOME is beside it. Of the environment, CMD sees NIX_PATH, NIX_CONFIG,
# NIX_REMOTE, TMPDIR, TERM and NO_COLOR; `DIR/nix28 env NAME=value CMD…` adds to it.
#
# Safe to run again and by two at once. Exit codes: 0 ready, 3 this machine lacks something (one line says what),
# 4 the Debian mirror could not be reached.
set -euo pipefail

# name of the wrapper, Debian release, version that its Nix must have
readonly versions=("nix28 bookworm 2.8." "nix226 trixie 2.26.")
readonly keyring=/usr/share/keyrings/debian-archive-keyring.gpg

main() {
  (($# == 1)) || { echo "usage: ci/nix.sh DIR" >&2; exit 2; }
  dir=$(realpath -m "$1")
  require_host
  mkdir -p "$dir"
  exec 9>"$dir/.lock"
  flock 9
  local name release version
  for entry in "${versions[@]}"; do
    read -r name release version <<<"$entry"
    # Presence of the root means that it is whole: it is unpacked elsewhere and renamed.
    [[ -d $dir/$release ]] || unpack "$release"
    write_wrapper "$name" "$release"
    check_version "$name" "$version"
  done
  write_env
}

lacks() { echo "ci/nix.sh: $1" >&2; exit 3; }

require_host() {
  local tool
  # A mount point inside a mounted-over directory could not be seen from the unpacked root.
  case $dir in /bin/* | /dev/* | /etc/* | /lib/* | /lib32/* | /lib64/* | /libx32/* | /nix/* | /proc/* | /sbin/* | /usr/*)
    lacks "$dir lies below a directory that the unpacked system replaces; choose one elsewhere" ;;
  esac
  [[ $(uname -s) == Linux ]] || lacks "Linux is needed, this is $(uname -s)"
  ((EUID == 0)) || lacks "root is needed to enter mount namespaces; run: sudo ci/nix.sh $dir"
  for tool in apt-get:apt dpkg:dpkg unshare:util-linux pivot_root:util-linux flock:util-linux; do
    command -v "${tool%:*}" >/dev/null || lacks "the command ${tool%:*} is missing (Debian package ${tool#*:})"
  done
  [[ -r $keyring ]] || lacks "$keyring is missing (Debian package debian-archive-keyring)"
  unshare --mount true 2>/dev/null || lacks "mount namespaces are not permitted here (in a container: CAP_SYS_ADMIN, as --privileged gives)"
}

# Writes standard input to a file, in one step for whoever runs the old one at this moment.
put() { cat >"$1.new" && chmod "${2:-644}" "$1.new" && mv "$1.new" "$1"; }

# --- unpacking -------------------------------------------------------------------------------------------------

unpack() {
  local release=$1 root=$dir/.unpack/$1 deb d
  rm -rf "$dir/.unpack"
  mkdir -p "$root"
  download "$release" "$dir/.unpack/apt"
  for deb in "$dir"/.unpack/apt/cache/archives/*.deb; do dpkg -x "$deb" "$root"; done
  for d in bin sbin lib lib64; do [[ -e $root/$d ]] || ln -s "usr/$d" "$root/$d"; done
  mkdir -p "$root"/{proc,dev,nix,etc/nix,.old}
  # Both roots have the busybox of the first, so that a build gives the same bytes with both versions of Nix.
  if [[ -e $dir/bookworm ]]; then cp "$dir/bookworm/bin/busybox" "$root/bin/busybox"; fi
  # No maintainer script has run, so there is no shell yet; env is what `CMD` starts under.
  ln -sf busybox "$root/bin/sh"
  ln -sf busybox "$root/bin/env"
  configure "$root/etc"
  mv "$root" "$dir/$release"
  rm -rf "$dir/.unpack"
}

# Downloads Nix and all that it depends on, with private apt directories and an empty list of installed packages.
download() {
  local release=$1 apt=$2 mirror
  mkdir -p "$apt"/{etc/preferences.d,state/lists/partial,cache/archives/partial}
  : >"$apt/status"
  # The host's own mirror where it has one, since it may be the only one reachable.
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | sort -u | head -n 1)
  echo "deb [signed-by=$keyring] ${mirror:-http://deb.debian.org/debian} $release main" >"$apt/etc/sources.list"
  {
    apt-config dump | grep -iE '^Acquire::https?::.*proxy' || true
    cat <<END
Dir::Etc "$apt/etc"; Dir::Etc::sourcelist "$apt/etc/sources.list"; Dir::Etc::sourceparts "/nonexistent"; Dir::Etc::parts "/nonexistent";
Dir::State "$apt/state"; Dir::State::status "$apt/status"; Dir::Cache "$apt/cache";
APT::Install-Recommends "false"; APT::Sandbox::User "root"; Debug::NoLocking "true"; Acquire::Retries "3";
END
  } >"$apt/apt.conf"
  export APT_CONFIG=$apt/apt.conf
  if ! { apt-get update -qq && apt-get -y -qq --download-only install nix-bin busybox-static; } >"$apt/log" 2>&1; then
    echo "ci/nix.sh: cannot download Nix of Debian $release: $(grep -E '^[EW]:' "$apt/log" | head -n 1)" >&2
    exit 4
  fi
  unset APT_CONFIG
}

# The parts of /etc that Nix reads.
configure() {
  local etc=$1
  printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/tmp:/bin/sh\n' >"$etc/passwd"
  printf 'root:x:0:\nnogroup:x:65534:\n' >"$etc/group"
  printf '127.0.0.1 localhost\n' >"$etc/hosts"
  printf 'hosts: files dns\n' >"$etc/nsswitch.conf"
  echo '{"version": 2, "flakes": []}' >"$etc/nix/registry.json"
  # - build-users-group: empty for root without a daemon.
  # - sandbox-fallback: with it, a sandbox that cannot start is silently none, and the pre-build hook is not called.
  # - sandbox-paths: the shell of a build must be static; this busybox brings its applets along.
  # - tarball-ttl: a channel update must ask the server every time.
  cat >"$etc/nix/nix.conf" <<'END'
build-users-group =
sandbox = true
sandbox-fallback = false
sandbox-paths = /bin/sh=/bin/busybox
substituters =
tarball-ttl = 0
flake-registry = /etc/nix/registry.json
experimental-features = nix-command flakes
END
}

# --- wrappers --------------------------------------------------------------------------------------------------

# pivot_root, not chroot: under chroot Nix cannot make its sandbox, falls back and does not call the hook.
# `--make-rprivate` comes with unshare; the host never sees a mount of ours.
write_wrapper() {
  local name=$1 release=$2
  {
    printf '#!/usr/bin/env bash\n# Made by ci/nix.sh.\nset -euo pipefail\ndir=%q name=%q release=%q\n' "$dir" "$name" "$release"
    cat <<'END'
home=$(realpath -m "${TOUCHSTONE_NIX_HOME:-$dir/home}")
export root=$dir/$release state=$home/$name
mkdir -p "$state"/{nix,home}
exec unshare --mount --propagation private bash -euo pipefail -c '
  cwd=$PWD
  mount --bind "$root" "$root"
  for top in /*; do
    case $top in /bin | /dev | /etc | /lib | /lib32 | /lib64 | /libx32 | /nix | /proc | /sbin | /usr | /lost+found) continue ;; esac
    [[ -d $top && ! -L $top ]] || continue
    mkdir -p "$root$top"
    mount --rbind "$top" "$root$top"
  done
  mount --bind "$state/nix" "$root/nix"
  mount --rbind /dev "$root/dev"
  mount -t proc proc "$root/proc"
  cd "$root"
  pivot_root . .old
  /bin/busybox umount -l /.old
  cd "$cwd" 2>/dev/null || cd /
  keep=()
  for var in NIX_PATH NIX_CONFIG NIX_REMOTE TMPDIR TERM NO_COLOR; do
    if [[ -v $var ]]; then keep+=("$var=${!var}"); fi
  done
  exec /bin/env -i HOME="$state/home" USER=root PATH=/usr/sbin:/usr/bin:/sbin:/bin "${keep[@]}" "$@"
' -- "$@"
END
  } | put "$dir/$name" 755
}

check_version() {
  local name=$1 wanted=$2 found
  found=$("$dir/$name" nix --version) || lacks "$dir/$name cannot run Nix (the line above says why)"
  [[ $found == *" $wanted"* ]] || lacks "$dir/$name is $found, expected ${wanted}x; remove $dir and run again"
  echo "$name: $found"
}

write_env() {
  local command
  mkdir -p "$dir/bin"
  for command in nix nix-build nix-channel nix-daemon nix-env nix-hash nix-instantiate nix-store; do
    printf '#!/bin/sh\nexec %q %s "$@"\n' "$dir/nix28" "$command" | put "$dir/bin/$command" 755
  done
  ln -sfn ../nix28 "$dir/bin/nix28"
  ln -sfn ../nix226 "$dir/bin/nix226"
  printf 'export PATH=%q:$PATH\nunset NIX_REMOTE\n' "$dir/bin" | put "$dir/env.sh"
}

main "$@"
