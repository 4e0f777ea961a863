//! What a path alone tells.

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
pub fn is_foundation(path: &str) -> bool {
    let entry = !path.contains('/') && (path.ends_with(".nix") || path == "flake.lock");
    entry || is_collection(path) || FOUNDATION.iter().any(|directory| is_below(path, directory))
}

/// Whether the file belongs to a package of tier zero: a directory below `pkgs` has its name, perhaps with a
/// version (`gcc`, `gcc-4.8`, `openssl_3`, `glibc/2.18`).
pub fn is_tier_zero(path: &str) -> bool {
    let Some((directory, _)) = path.rsplit_once('/') else {
        return false;
    };
    let Some(directory) = directory.strip_prefix("pkgs/") else {
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

/// Whether a name of a collection stands for what others are made with, whatever it is bound to: `stdenv` and its kin, fetchers,
/// `lib`, what calls files, and functions that make packages (`buildPythonPackage`, `makeWrapper`).
pub fn is_foundation_name(name: &str) -> bool {
    let first = name.split('.').next().unwrap_or(name);
    let makes = ["build", "make", "mk", "override", "run", "wrap", "write"]
        .iter()
        .any(|verb| {
            let rest = first.strip_prefix(verb);
            rest.is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_uppercase()))
        });
    makes
        || first.to_ascii_lowercase().contains("stdenv")
        || ["fetch", "callPackage", "bootstrap", "newScope"]
            .iter()
            .any(|begin| first.starts_with(begin))
        || matches!(
            first,
            "lib" | "pkgs" | "self" | "super" | "config" | "system" | "platform" | "crossSystem" | "builderDefs"
        )
}

/// Whether a name of a collection is that of a package of tier zero, perhaps with a version (`gcc48`, `openssl_3`).
pub fn is_tier_zero_name(name: &str) -> bool {
    let first = name.split('.').next().unwrap_or(name);
    TIER_ZERO
        .iter()
        .filter_map(|known| first.strip_prefix(known))
        .any(is_version)
}

/// Whether the file decides who and what may merge.
pub fn is_merge_authority(path: &str) -> bool {
    path.rsplit('/').next() == Some("CODEOWNERS") || MERGE_AUTHORITY.iter().any(|directory| is_below(path, directory))
}

/// Whether one file names many packages, and a line in it may repoint any of them.
pub fn is_collection(path: &str) -> bool {
    path.starts_with("pkgs/top-level/") || path.starts_with("pkgs/") && path.ends_with("-packages.nix")
}

/// Whether the file configures a system or a home rather than builds a package.
pub fn is_module(path: &str) -> bool {
    path.starts_with("modules/")
        || path.contains("/modules/")
        || path.starts_with("nixos/")
        || path == "flake.nix"
        || path.ends_with("configuration.nix")
}

/// Whether `path` lies below `directory`, at any depth.
fn is_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
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

#[cfg(test)]
mod tests {
    use super::*;

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
            assert!(is_foundation(foundation), "{foundation}");
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
            assert!(!is_foundation(other), "{other}");
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
            assert!(is_tier_zero(tier_zero), "{tier_zero}");
        }
        for other in [
            "pkgs/by-name/ba/bash-completion/package.nix",
            "pkgs/by-name/ni/nixfmt/package.nix",
            "pkgs/by-name/xz/xzgv/package.nix",
            "nixos/modules/nix/x.nix",
            "pkgs/tools/nix",
        ] {
            assert!(!is_tier_zero(other), "{other}");
        }
    }
}
