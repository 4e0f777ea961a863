//! The partition of trees into units, version [`attestation::unit::PARTITION_VERSION`].
//!
//! It is a pure function of the paths of the old and the new tree together, so both sides of a change are cut
//! alike, and each path is in exactly one unit. A file's unit depends on nothing but its own path and on which
//! directories above it have a `default.nix` or `package.nix`: no file elsewhere can move it.
//!
//! A collection file (`pkgs/top-level/all-packages.nix`) is a unit here; [`crate::changes`] cuts it further, into its
//! bindings, where both trees have it (version 2). A module is a unit wherever a distribution keeps them (version 3). Changing any rule here changes what contents mean: it takes a new
//! version.

use std::collections::BTreeSet;

use attestation::UnitPath;
use importer::TreePath;

/// Directories that stand for nothing by themselves: a `default.nix` there makes no package.
const CONTAINERS: [&str; 4] = ["nixos", "nixos/modules", "pkgs", "pkgs/by-name"];

/// Areas: what in them lies in no nearer package directory is one unit.
const AREAS: [&str; 8] = [
    ".github",
    "ci",
    "doc",
    "docs",
    "lib",
    "maintainers",
    "pkgs/build-support",
    "pkgs/stdenv",
];

/// Which unit each file of two trees belongs to.
#[derive(Debug, Clone)]
pub struct Partition {
    /// Directories with a `default.nix` or `package.nix` in either tree.
    packages: BTreeSet<String>,
}

impl Partition {
    /// The partition of a tree, or of two together, with these paths. Order and repetition do not matter.
    pub fn of<'a>(paths: impl IntoIterator<Item = &'a TreePath>) -> Self {
        let packages = paths
            .into_iter()
            .filter(|path| matches!(path.name(), "default.nix" | "package.nix"))
            .filter_map(TreePath::parent)
            .filter(|directory| !CONTAINERS.contains(directory))
            .map(ToOwned::to_owned)
            .collect();
        Self { packages }
    }

    /// The unit of the file at `path`.
    pub fn unit(&self, path: &TreePath) -> UnitPath {
        let unit = by_name(path.as_str())
            .or_else(|| is_its_own(path).then_some(path.as_str()))
            .or_else(|| self.package(path))
            .or_else(|| area(path.as_str()))
            .or_else(|| path.parent());
        unit.map_or_else(UnitPath::root, |unit| {
            unit.parse()
                .expect("a part of a tree's path is a unit's path: both refuse the same names")
        })
    }

    /// The nearest directory with a `default.nix` or `package.nix`; within an area, at most the area.
    fn package<'a>(&self, path: &'a TreePath) -> Option<&'a str> {
        let top = area(path.as_str()).unwrap_or("");
        let mut directory = path.parent();
        while let Some(candidate) = directory.filter(|candidate| candidate.len() >= top.len()) {
            if self.packages.contains(candidate) {
                return Some(candidate);
            }
            directory = candidate.rsplit_once('/').map(|(parent, _)| parent);
        }
        None
    }
}

/// `pkgs/by-name/<shard>/<name>`, whatever is in it.
fn by_name(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("pkgs/by-name/")?;
    let (shard, rest) = rest.split_once('/')?;
    let (name, _) = rest.split_once('/')?;
    path.get(.."pkgs/by-name/".len() + shard.len() + 1 + name.len())
}

/// Whether the file is a unit: a collection, whatever is in `pkgs/top-level`, a module of NixOS, or of a distribution that
/// has its modules at the top.
fn is_its_own(path: &TreePath) -> bool {
    let name = path.as_str();
    let module = name.starts_with("nixos/modules/") || name.starts_with("modules/");
    is_collection(path) || module && name.ends_with(".nix")
}

/// Whether one file names many packages, and a line in it may repoint any of them.
pub(crate) fn is_collection(path: &TreePath) -> bool {
    let name = path.as_str();
    name.starts_with("pkgs/top-level/") || name.starts_with("pkgs/") && name.ends_with("-packages.nix")
}

fn area(path: &str) -> Option<&'static str> {
    AREAS.into_iter().find(|area| is_below(path, area))
}

/// Whether `path` lies below `directory`, at any depth.
pub(crate) fn is_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn units(paths: &[&str]) -> BTreeMap<String, String> {
        let paths: Vec<_> = paths.iter().map(|path| TreePath::parse(path).unwrap()).collect();
        let partition = Partition::of(&paths);
        paths
            .iter()
            .map(|path| (path.to_string(), partition.unit(path).to_string()))
            .collect()
    }

    fn check(expected: &[(&str, &str)]) {
        let paths: Vec<_> = expected.iter().map(|(path, _)| *path).collect();
        let found = units(&paths);
        for (path, unit) in expected {
            assert_eq!(found[*path], *unit, "{path}");
        }
    }

    #[test]
    fn todays_tree_falls_into_packages_modules_and_areas() {
        check(&[
            (".editorconfig", "."),
            ("default.nix", "."),
            ("flake.nix", "."),
            (".github/CODEOWNERS", ".github"),
            (".github/workflows/build.yml", ".github"),
            ("ci/default.nix", "ci"),
            ("ci/eval/default.nix", "ci/eval"),
            ("ci/eval/compare/a.jq", "ci/eval"),
            ("lib/default.nix", "lib"),
            ("lib/strings.nix", "lib"),
            ("lib/systems/default.nix", "lib/systems"),
            ("lib/systems/parse.nix", "lib/systems"),
            ("nixos/default.nix", "nixos"),
            ("nixos/lib/eval-config.nix", "nixos/lib"),
            ("nixos/modules/module-list.nix", "nixos/modules/module-list.nix"),
            (
                "nixos/modules/services/x/default.nix",
                "nixos/modules/services/x/default.nix",
            ),
            (
                "nixos/modules/services/x/helper.nix",
                "nixos/modules/services/x/helper.nix",
            ),
            ("nixos/modules/services/x/config.json", "nixos/modules/services/x"),
            ("nixos/modules/services/y.conf", "nixos/modules/services"),
            ("nixos/tests/login.nix", "nixos/tests"),
            ("modules/programs/git.nix", "modules/programs/git.nix"),
            ("modules/programs/zsh/default.nix", "modules/programs/zsh/default.nix"),
            ("modules/programs/zsh/init.sh", "modules/programs/zsh"),
            ("pkgs/README.md", "pkgs"),
            ("pkgs/by-name/README.md", "pkgs/by-name"),
            ("pkgs/by-name/he/hello/package.nix", "pkgs/by-name/he/hello"),
            ("pkgs/by-name/he/hello/test/default.nix", "pkgs/by-name/he/hello"),
            ("pkgs/by-name/he/hello/a/b/c.patch", "pkgs/by-name/he/hello"),
            ("pkgs/by-name/he/stray", "pkgs/by-name/he"),
            ("pkgs/top-level/all-packages.nix", "pkgs/top-level/all-packages.nix"),
            ("pkgs/top-level/release-lib.nix", "pkgs/top-level/release-lib.nix"),
            ("pkgs/top-level/default.nix", "pkgs/top-level/default.nix"),
            (
                "pkgs/development/haskell-modules/hackage-packages.nix",
                "pkgs/development/haskell-modules/hackage-packages.nix",
            ),
            (
                "pkgs/development/haskell-modules/default.nix",
                "pkgs/development/haskell-modules",
            ),
            ("pkgs/stdenv/generic/default.nix", "pkgs/stdenv/generic"),
            ("pkgs/stdenv/generic/setup.sh", "pkgs/stdenv/generic"),
            ("pkgs/build-support/fetchurl/default.nix", "pkgs/build-support/fetchurl"),
            ("pkgs/build-support/setup-hooks/strip.sh", "pkgs/build-support"),
        ]);
    }

    #[test]
    fn the_tree_of_2014_falls_into_packages() {
        check(&[
            (
                "pkgs/applications/editors/nano/default.nix",
                "pkgs/applications/editors/nano",
            ),
            (
                "pkgs/applications/editors/nano/fix.patch",
                "pkgs/applications/editors/nano",
            ),
            (
                "pkgs/applications/editors/emacs-24/default.nix",
                "pkgs/applications/editors/emacs-24",
            ),
            (
                "pkgs/applications/editors/emacs-24/macport.nix",
                "pkgs/applications/editors/emacs-24",
            ),
            (
                "pkgs/applications/editors/emacs-modes/org/default.nix",
                "pkgs/applications/editors/emacs-modes/org",
            ),
            (
                "pkgs/development/libraries/glibc/2.18/default.nix",
                "pkgs/development/libraries/glibc/2.18",
            ),
            (
                "pkgs/development/libraries/glibc/2.18/dont-use-system-ld-so-cache.patch",
                "pkgs/development/libraries/glibc/2.18",
            ),
            (
                "pkgs/os-specific/linux/kernel/linux-3.10.nix",
                "pkgs/os-specific/linux/kernel",
            ),
            (
                "pkgs/os-specific/linux/kernel/common-config.nix",
                "pkgs/os-specific/linux/kernel",
            ),
            (
                "pkgs/os-specific/linux/firmware/b43-firmware/5.1.138.nix",
                "pkgs/os-specific/linux/firmware/b43-firmware",
            ),
            ("pkgs/games/castle-combat/default.nix", "pkgs/games/castle-combat"),
            ("maintainers/scripts/copy-tarballs.sh", "maintainers"),
            ("doc/quick-start.xml", "doc"),
        ]);
    }

    #[test]
    fn a_default_nix_of_either_tree_cuts_both() {
        let old = ["pkgs/tools/x/a.nix", "pkgs/tools/x/b.nix"].map(|path| TreePath::parse(path).unwrap());
        let new = ["pkgs/tools/x/default.nix", "pkgs/tools/x/sub/c.nix"].map(|path| TreePath::parse(path).unwrap());
        let partition = Partition::of(old.iter().chain(&new));
        for path in old.iter().chain(&new) {
            assert_eq!(partition.unit(path).as_str(), "pkgs/tools/x", "{path}");
        }
    }

    #[test]
    fn a_default_nix_high_up_does_not_swallow_the_tree() {
        check(&[
            ("default.nix", "."),
            ("pkgs/default.nix", "pkgs"),
            ("nixos/default.nix", "nixos"),
            ("pkgs/tools/x/a.nix", "pkgs/tools/x"),
            ("nixos/tests/login.nix", "nixos/tests"),
            ("pkgs/stdenv/x/y.sh", "pkgs/stdenv"),
        ]);
    }

    /// Paths as a hostile author would choose them: few names, the ones that rules know, at many depths.
    fn path() -> impl Strategy<Value = TreePath> {
        let name = prop::sample::select(vec![
            "a",
            "b",
            "pkgs",
            "by-name",
            "top-level",
            "stdenv",
            "lib",
            "nixos",
            "modules",
            "default.nix",
            "package.nix",
            "x.nix",
            "my-packages.nix",
            "ci",
            ".github",
        ]);
        prop::collection::vec(name, 1..6).prop_map(|names| TreePath::parse(&names.join("/")).unwrap())
    }

    proptest! {
        #[test]
        fn every_path_is_in_one_unit_that_holds_it(paths in prop::collection::vec(path(), 1..40)) {
            let partition = Partition::of(&paths);
            let mut reversed = paths.clone();
            reversed.reverse();
            let again = Partition::of(&reversed);
            for path in &paths {
                let unit = partition.unit(path);
                prop_assert_eq!(&unit, &again.unit(path), "the order matters");
                let name = unit.as_str();
                prop_assert!(
                    name == path.as_str() || is_below(path.as_str(), name) || (name == "." && path.parent().is_none()),
                    "{} is in {}", path, name
                );
            }
        }

        #[test]
        fn a_file_elsewhere_moves_nothing(paths in prop::collection::vec(path(), 1..40), added in path()) {
            let before = Partition::of(&paths);
            let after = Partition::of(paths.iter().chain([&added]));
            for path in &paths {
                let related = added.parent().is_none_or(|directory| is_below(path.as_str(), directory));
                if !related {
                    prop_assert_eq!(before.unit(path), after.unit(path), "{} moved {}", added, path);
                }
            }
        }

        #[test]
        fn a_file_at_the_root_moves_nothing(paths in prop::collection::vec(path(), 1..40)) {
            let root = TreePath::parse("default.nix").unwrap();
            let before = Partition::of(&paths);
            let after = Partition::of(paths.iter().chain([&root]));
            for path in &paths {
                prop_assert_eq!(before.unit(path), after.unit(path));
            }
        }
    }
}
