//! Who may depend on whom. docs/architecture.md draws the table; here it is enforced.

use std::collections::BTreeSet;

use super::Problem;
use crate::metadata::{Follow, Metadata};

/// What each crate may use of ours, directly. Data flows one way, so whatever lies below an entry is allowed too.
const TABLE: &[(&str, &[&str])] = &[
    ("nixstore", &[]),
    ("attestation", &["nixstore"]),
    ("policy", &["attestation"]),
    ("ledger", &["policy"]),
    ("importer", &["attestation", "nixstore"]),
    ("nixexpr", &["attestation"]),
    ("review", &["ledger", "importer", "nixexpr"]),
    ("signer", &["attestation"]),
    ("channel", &["ledger", "importer"]),
    ("install", &["policy", "nixstore"]),
    ("fetcher", &["install"]),
    ("gate", &["install"]),
    ("assay", &["review", "signer", "channel"]),
    ("touchstone", &["fetcher", "gate"]),
    ("testkit", &["policy", "signer"]),
    ("xtask", &[]),
];

/// Crates that only tests may use.
const TESTS_ONLY: &[&str] = &["testkit"];

/// Third parties that stay in their corner: a family of crates (`tokio` covers `tokio-util`), who may link it, and why.
const CORNERS: &[(&str, &[&str], &str)] = &[
    (
        "tokio",
        &["fetcher", "gate", "touchstone"],
        "async stays where the network is",
    ),
    ("reqwest", &["fetcher", "touchstone"], "one transport, in one place"),
    (
        "gix",
        &["ledger", "importer", "review", "channel", "assay", "testkit"],
        "subscribers read files that were verified, never repositories",
    ),
    (
        "rnix",
        &["nixexpr", "review", "assay"],
        "subscribers never parse expressions",
    ),
    (
        "openpgp-card",
        &["signer", "assay", "testkit"],
        "subscribers hold no keys",
    ),
];

/// Every dependency between crates of ours is in the table, and none of a release is for tests only.
pub(super) fn table(metadata: &Metadata) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (name, member) in metadata.members() {
        let Some(allowed) = below(name) else {
            let message = "is not in the dependency table; give it a row in xtask/src/tidy/dependencies.rs and \
                           docs/architecture.md";
            problems.push(Problem::new("dependency-table", name, message));
            continue;
        };
        for used in metadata.direct_members(member).difference(&allowed) {
            let message = if TESTS_ONLY.contains(used) {
                format!("depends on `{used}`, which is for tests: make it a dev-dependency")
            } else {
                let allowed = allowed.iter().copied().collect::<Vec<_>>().join(", ");
                format!("depends on `{used}`; the table allows it: {}", or_nothing(&allowed))
            };
            problems.push(Problem::new("dependency-table", name, message));
        }
    }
    problems
}

/// Third parties are linked only by those who may.
pub(super) fn reach(metadata: &Metadata) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (name, member) in metadata.members() {
        let reached = metadata.reachable(member, Follow::Normal);
        for (family, may, why) in CORNERS.iter().filter(|(_, may, _)| !may.contains(&name)) {
            for (package, parent) in reached.iter().filter(|(package, _)| is_of(&package.name, family)) {
                let through = parent.map_or("?", |parent| parent.name.as_str());
                let message = format!(
                    "links `{}` through `{through}`; only {} may: {why}",
                    package.name,
                    may.join(", ")
                );
                problems.push(Problem::new("third-party-corner", name, message));
            }
        }
    }
    problems
}

/// `xtask` is built on a machine that has nothing yet, so nothing in it may need a native library.
pub(super) fn nothing_native_in_xtask(metadata: &Metadata) -> Vec<Problem> {
    let Some(xtask) = metadata.members().get("xtask").copied() else {
        return vec![Problem::new("light-xtask", "xtask", "is not a member of the workspace")];
    };
    let native = |package: &crate::metadata::Package| {
        let library = package.links.as_deref()?;
        let message = format!("uses `{}`, which links the native library `{library}`", package.name);
        Some(Problem::new("light-xtask", "xtask", message))
    };
    metadata
        .reachable(xtask, Follow::NormalAndBuild)
        .into_iter()
        .filter_map(|(package, _)| native(package))
        .collect()
}

/// All that `name` may use, or `None` if the table does not know it.
fn below(name: &str) -> Option<BTreeSet<&'static str>> {
    let row = |name: &str| TABLE.iter().find(|(crate_name, _)| *crate_name == name);
    let mut found = BTreeSet::new();
    let mut queue = row(name)?.1.to_vec();
    while let Some(next) = queue.pop() {
        if found.insert(next) {
            queue.extend(row(next).map_or(&[][..], |(_, uses)| uses));
        }
    }
    Some(found)
}

fn is_of(name: &str, family: &str) -> bool {
    name.strip_prefix(family)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

fn or_nothing(list: &str) -> &str {
    if list.is_empty() { "nothing of ours" } else { list }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::tests::graph;

    #[test]
    fn the_table_has_no_circle_and_no_unknown_name() {
        for (name, uses) in TABLE {
            assert!(!below(name).expect("a row").contains(name), "{name} is below itself");
            for used in *uses {
                assert!(below(used).is_some(), "{name} uses {used}, which has no row");
            }
        }
    }

    #[test]
    fn what_lies_below_an_allowed_dependency_is_allowed() {
        let honest = graph(
            &[
                ("review", &["ledger", "attestation"]),
                ("ledger", &[]),
                ("attestation", &[]),
            ],
            &[],
        );
        assert_eq!(table(&honest), []);
    }

    #[test]
    fn refuses_data_that_turns_back() {
        let back = graph(&[("policy", &["ledger"]), ("ledger", &[])], &[]);
        let problems = table(&back);
        assert_eq!(problems.len(), 1);
        assert!(
            problems[0]
                .message
                .contains("`ledger`; the table allows it: attestation, nixstore"),
            "{problems:?}"
        );
    }

    #[test]
    fn refuses_a_crate_without_a_row() {
        assert_eq!(table(&graph(&[("newcomer", &[])], &[])).len(), 1);
    }

    #[test]
    fn refuses_testkit_outside_tests() {
        assert_eq!(
            table(&graph(&[("policy", &["dev:testkit"]), ("testkit", &[])], &[])),
            []
        );
        let problems = table(&graph(&[("policy", &["testkit"]), ("testkit", &[])], &[]));
        assert!(problems[0].message.contains("dev-dependency"), "{problems:?}");
    }

    #[test]
    fn refuses_tokio_where_no_network_is() {
        let strangers: &[(&str, &[&str])] = &[("h2", &["tokio-util"]), ("tokio-util", &[])];
        assert_eq!(reach(&graph(&[("fetcher", &["h2"])], strangers)), []);
        let problems = reach(&graph(&[("assay", &["h2"])], strangers));
        assert_eq!(problems.len(), 1);
        assert!(
            problems[0].message.starts_with("links `tokio-util` through `h2`"),
            "{problems:?}"
        );
    }

    #[test]
    fn a_family_is_not_a_prefix() {
        assert!(is_of("gix", "gix") && is_of("gix-hash", "gix"));
        assert!(!is_of("gixy", "gix") && !is_of("rnix", "gix"));
    }

    #[test]
    fn refuses_a_native_library_under_xtask() {
        let mut graph = graph(&[("xtask", &["build:z"])], &[("z", &[])]);
        assert_eq!(nothing_native_in_xtask(&graph), []);
        graph.package_mut("z").links = Some("libz".into());
        assert_eq!(nothing_native_in_xtask(&graph).len(), 1);
    }
}
