//! Coming back to what an earlier release had.

use std::collections::BTreeMap;

use importer::ObjectId;
use review::{changes, mark_returns};

use super::{
    HELLO, PATCH, World, chain,
    collections::{ALL, collection},
};

/// The releases that a channel had, oldest first, and then what an import leads to: which units come back to what a release
/// before the last had, and which.
fn returns(world: &World, releases: &[&[(&str, &str)]], new: &[(&str, &str)]) -> BTreeMap<String, Option<u64>> {
    let trees: Vec<_> = (1..).zip(releases.iter().map(|files| world.tree(files))).collect();
    let ((_, last), earlier) = trees.split_last().unwrap();
    let earlier: Vec<_> = earlier.iter().rev().copied().collect();
    let to = world.tree(new);
    let mut found = changes(&world.repository, chain(), Some(*last), to).unwrap();
    mark_returns(&world.repository, *last, to, &earlier, &mut found).unwrap();
    // By the definition: the unit's content is the one that it has between that tree and this one.
    for change in found.iter().filter(|change| !change.delta.unit.as_str().contains('#')) {
        let had = |tree: ObjectId| {
            let whole = changes(&world.repository, chain(), Some(tree), to).unwrap();
            change.delta.to.is_some() && whole.iter().all(|other| other.delta.unit != change.delta.unit)
        };
        let expected = earlier
            .iter()
            .find(|(_, tree)| had(*tree))
            .map(|(sequence, _)| *sequence);
        assert_eq!(change.left, expected, "{}", change.delta.unit);
    }
    found
        .into_iter()
        .map(|change| (change.delta.unit.to_string(), change.left))
        .collect()
}

fn one<'a>(found: &'a BTreeMap<String, Option<u64>>, unit: &str) -> &'a Option<u64> {
    &found[unit]
}

#[test]
fn a_content_that_the_channel_left_is_known_again() {
    let world = World::new();
    let hello = "pkgs/by-name/he/hello";
    let with = |text| vec![(HELLO, text), (PATCH, "p"), ("lib/x.nix", "1")];
    let (a, b, c) = (with("a"), with("b"), with("c"));
    let history: [&[_]; 3] = [&a, &b, &c];
    assert_eq!(*one(&returns(&world, &history, &a), hello), Some(1));
    assert_eq!(*one(&returns(&world, &history, &b), hello), Some(2));
    // The newest of several, and through releases that changed nothing.
    assert_eq!(*one(&returns(&world, &[&a, &b, &a, &a, &c, &c], &a), hello), Some(4));
    // Honest twins: what was never there; what only the last release has; the first release.
    assert_eq!(*one(&returns(&world, &history, &with("d")), hello), None);
    assert_eq!(*one(&returns(&world, &[&a, &b, &b], &with("d")), hello), None);
    assert_eq!(*one(&returns(&world, &[&b], &a), hello), None);
}

#[test]
fn a_return_is_of_the_whole_listing() {
    let world = World::new();
    let hello = "pkgs/by-name/he/hello";
    let a = [(HELLO, "a"), (PATCH, "p")];
    let b = [(HELLO, "b"), (PATCH, "p")];
    for (new, expected) in [
        (vec![(HELLO, "a"), (PATCH, "p")], Some(1)),
        (vec![(HELLO, "a"), (PATCH, "q")], None),
        (vec![(HELLO, "a")], None),
        (vec![(HELLO, "->a"), (PATCH, "p")], None),
        (
            vec![(HELLO, "a"), (PATCH, "p"), ("pkgs/by-name/he/hello/more", "m")],
            None,
        ),
    ] {
        assert_eq!(*one(&returns(&world, &[&a, &b], &new), hello), expected, "{new:?}");
    }
    // Away altogether in between, and back.
    let none = [("lib/x.nix", "1")];
    let back = [("lib/x.nix", "1"), (HELLO, "a"), (PATCH, "p")];
    assert_eq!(*one(&returns(&world, &[&back, &none], &back), hello), Some(1));
    // To be gone is no content.
    assert_eq!(*one(&returns(&world, &[&none, &back], &none), hello), None);
    // Under another path it is another unit's content.
    let moved = [("lib/x.nix", "1"), ("pkgs/by-name/ha/hallo/package.nix", "a")];
    assert_eq!(
        *one(&returns(&world, &[&back, &none], &moved), "pkgs/by-name/ha/hallo"),
        None
    );
}

/// What a unit is depends on both trees: a directory that had its own `default.nix` for a while is judged as what it is now.
#[test]
fn a_return_is_known_through_another_partition() {
    let world = World::new();
    let unit = "pkgs/tools/x";
    let (main, part) = ("pkgs/tools/x/default.nix", "pkgs/tools/x/sub/a.nix");
    let own = "pkgs/tools/x/sub/default.nix";
    let a = [(main, "1"), (part, "vulnerable")];
    let split = [(main, "2"), (part, "mended"), (own, "{ }")];
    let b = [(main, "2"), (part, "mended")];
    assert_eq!(*one(&returns(&world, &[&a, &split, &b], &a), unit), Some(1));
    assert_eq!(*one(&returns(&world, &[&split, &b], &a), unit), None);
}

#[test]
fn a_line_of_a_collection_that_comes_back_is_known_again() {
    let world = World::new();
    let with = |call: &str| {
        collection(&format!(
            "  jq = callPackage {call} {{ }};\n  z = callPackage ../z {{ }};\n"
        ))
    };
    let (a, b, c) = (with("../jq/1"), with("../jq/2"), with("../jq/3"));
    // In between the file could not be read.
    let broken = format!("{b}}}");
    let unit = format!("{ALL}#jq");
    let (a, b, c) = (a.as_str(), b.as_str(), c.as_str());
    let history: [&[_]; 3] = [&[(ALL, a)], &[(ALL, broken.as_str())], &[(ALL, b)]];
    assert_eq!(*one(&returns(&world, &history, &[(ALL, a)]), &unit), Some(1));
    assert_eq!(*one(&returns(&world, &history, &[(ALL, c)]), &unit), None);
    // What is only a part of what was bound: a comment belongs to its binding.
    let commented = a.replace("  jq =", "  # why\n  jq =");
    let history: [&[_]; 2] = [&[(ALL, commented.as_str())], &[(ALL, b)]];
    assert_eq!(*one(&returns(&world, &history, &[(ALL, a)]), &unit), None);
    let history: [&[_]; 2] = [&[(ALL, commented.as_str())], &[(ALL, a)]];
    let again = returns(&world, &history, &[(ALL, commented.as_str())]);
    assert_eq!(*one(&again, &unit), Some(1));
}
