//! What kind of change it is, as far as paths and listings tell. Whether an edit is a mere bump takes the
//! expression engine.

use attestation::Class;
use importer::TreePath;

use crate::partition::{is_below, is_collection};

/// What everything is built with or evaluated through.
const FOUNDATION: [&str; 5] = ["lib", "pkgs/build-support", "pkgs/lib", "pkgs/stdenv", "pkgs/top-level"];

/// The way code is let in.
const MERGE_AUTHORITY: [&str; 2] = [".github", "ci"];

/// Packages whose compromise is the worst case, by the name of their directory.
const TIER_ZERO: [&str; 9] = [
    "bash",
    "coreutils",
    "gcc",
    "glibc",
    "kernel",
    "nix",
    "openssl",
    "systemd",
    "xz",
];

/// Whether the file reaches everything: stdenv, fetchers, `lib`, what maps names to packages, and what in the
/// root Nix evaluates first.
pub(crate) fn is_foundation(path: &TreePath) -> bool {
    let name = path.as_str();
    let entry = path.parent().is_none() && (name.ends_with(".nix") || name == "flake.lock");
    entry || is_collection(path) || FOUNDATION.iter().any(|directory| is_below(name, directory))
}

/// Whether the file belongs to a package of tier zero: a directory below `pkgs` has its name, perhaps with a
/// version (`gcc`, `gcc-4.8`, `openssl_3`, `glibc/2.18`).
pub(crate) fn is_tier_zero(path: &TreePath) -> bool {
    let Some(directory) = path.parent().and_then(|parent| parent.strip_prefix("pkgs/")) else {
        return false;
    };
    // A shard is a prefix of names and not a name: `xz` is a shard too.
    let directory = match directory.strip_prefix("by-name/") {
        Some(sharded) => sharded.split_once('/').map_or("", |(_, rest)| rest),
        None => directory,
    };
    directory.split('/').any(|component| {
        TIER_ZERO
            .iter()
            .filter_map(|name| component.strip_prefix(name))
            .any(is_version)
    })
}

/// Whether the file decides who and what may merge.
pub(crate) fn is_merge_authority(path: &TreePath) -> bool {
    path.name() == "CODEOWNERS"
        || MERGE_AUTHORITY
            .iter()
            .any(|directory| is_below(path.as_str(), directory))
}

/// Nothing, or a version after an optional separator.
fn is_version(rest: &str) -> bool {
    let version = rest.strip_prefix(['-', '_']).unwrap_or(rest);
    rest.is_empty()
        || version.starts_with(|first: char| first.is_ascii_digit())
            && version
                .bytes()
                .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-'))
}

/// The class of a change whose unit is (`was`, `is`) in the old and new tree.
pub(crate) const fn of(was: bool, is: bool, moved: bool, sensitive: bool) -> Class {
    match (was, is) {
        _ if sensitive => Class::Sensitive,
        _ if moved => Class::Moved,
        (true, false) => Class::Removed,
        (false, true) => Class::New,
        _ => Class::Edit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::parse(text).unwrap()
    }

    #[test]
    fn foundation_is_what_reaches_everything() {
        for foundation in [
            "default.nix",
            "flake.nix",
            "flake.lock",
            "lib/strings.nix",
            "pkgs/stdenv/linux/bootstrap-files/x.nix",
            "pkgs/build-support/fetchurl/builder.sh",
            "pkgs/top-level/all-packages.nix",
            "pkgs/development/haskell-modules/hackage-packages.nix",
        ] {
            assert!(is_foundation(&path(foundation)), "{foundation}");
        }
        for other in [
            "README.md",
            "lib",
            "library/x.nix",
            "nixos/lib/x.nix",
            "pkgs/tools/x/default.nix",
            "pkgs/stdenv-tools/default.nix",
            "pkgs/by-name/li/lib/package.nix",
            "doc/my-packages.nix",
        ] {
            assert!(!is_foundation(&path(other)), "{other}");
        }
    }

    #[test]
    fn tier_zero_goes_by_the_directory_and_not_by_a_prefix() {
        for tier_zero in [
            "pkgs/by-name/ni/nix/package.nix",
            "pkgs/by-name/ba/bash/a/b.patch",
            "pkgs/by-name/xz/xz/package.nix",
            "pkgs/development/libraries/glibc/2.18/default.nix",
            "pkgs/development/compilers/gcc-4.8/default.nix",
            "pkgs/development/libraries/openssl_3_0/default.nix",
            "pkgs/os-specific/linux/kernel/linux-3.10.nix",
        ] {
            assert!(is_tier_zero(&path(tier_zero)), "{tier_zero}");
        }
        for other in [
            "pkgs/by-name/ba/bash-completion/package.nix",
            "pkgs/by-name/ni/nixfmt/package.nix",
            "pkgs/by-name/xz/xzgv/package.nix",
            "nixos/modules/nix/x.nix",
            "pkgs/tools/nix",
        ] {
            assert!(!is_tier_zero(&path(other)), "{other}");
        }
    }

    #[test]
    fn the_strictest_class_wins() {
        assert_eq!(of(true, true, false, true), Class::Sensitive);
        assert_eq!(of(false, true, true, true), Class::Sensitive);
        assert_eq!(of(false, true, true, false), Class::Moved);
        assert_eq!(of(false, true, false, false), Class::New);
        assert_eq!(of(true, false, false, false), Class::Removed);
        assert_eq!(of(true, true, false, false), Class::Edit);
    }
}
