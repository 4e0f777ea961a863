//! What a release build has switched on.

use super::Problem;
use crate::failure::Result;
use crate::process::{Line, Terminal};
use crate::workspace;

/// Features that must be off in what is released: the crate, the feature, and what it would do there.
const DEVELOPMENT: &[(&str, &str, &str)] = &[
    ("signer", "software", "a private key could lie in a file"),
    ("assay", "software-keys", "a private key could lie in a file"),
];

/// A release build (`cargo build --release -p assay -p touchstone`, as `flake.nix` and docs say) signs with tokens only.
///
/// Resolved by cargo for exactly these two packages: over the whole workspace the features of `testkit` would be
/// counted in.
pub(super) fn release_has_no_software_keys(terminal: &Terminal) -> Result<Vec<Problem>> {
    let tree = Line::cargo()
        .args(["tree", "-p", "assay", "-p", "touchstone", "--edges", "normal,build"])
        .args(["--prefix", "none", "--format", "{p}|{f}"])
        .directory(workspace::root())
        .text(terminal)?;
    Ok(development_features(&tree))
}

/// What Nix runs before each build starts in a millisecond and can be read in an afternoon: no network, no OpenPGP, no
/// runtime. A release builds it alone (`cargo build --release -p gate`), without the features of those who use the crate.
const NOT_IN_THE_HOOK: &[&str] = &["gix", "hyper", "reqwest", "rustls", "sequoia-openpgp", "tokio"];

/// The hook links nothing that could talk to anybody.
pub(super) fn hook_is_small(terminal: &Terminal) -> Result<Vec<Problem>> {
    let tree = Line::cargo()
        .args([
            "tree",
            "-p",
            "gate",
            "--edges",
            "normal,build",
            "--prefix",
            "none",
            "--format",
            "{p}|{f}",
        ])
        .directory(workspace::root())
        .text(terminal)?;
    Ok(linked_by_the_hook(&tree))
}

fn linked_by_the_hook(tree: &str) -> Vec<Problem> {
    let names = || tree.lines().filter_map(|line| line.split(' ').next());
    let mut problems: Vec<Problem> = NOT_IN_THE_HOOK
        .iter()
        .filter(|family| names().any(|name| name == **family || name.starts_with(&format!("{family}-"))))
        .map(|family| {
            Problem::new(
                "small-hook",
                "gate",
                format!("the hook links `{family}`: put it behind the feature `service`"),
            )
        })
        .collect();
    if !names().any(|name| name == "gate") {
        problems.push(Problem::new("small-hook", "gate", "is not in its own tree"));
    }
    problems
}

/// Reads lines of `name vVERSION (path)|feature,feature`; a line that repeats an earlier one ends in ` (*)`.
fn development_features(tree: &str) -> Vec<Problem> {
    let is_on = |name: &str, feature: &str| {
        tree.lines()
            .filter_map(|line| line.split_once('|'))
            .any(|(package, features)| {
                package.split(' ').next() == Some(name)
                    && features
                        .trim_end_matches("(*)")
                        .trim()
                        .split(',')
                        .any(|on| on == feature)
            })
    };
    let mut problems: Vec<Problem> = DEVELOPMENT
        .iter()
        .filter(|(name, feature, _)| is_on(name, feature))
        .map(|(name, feature, why)| {
            let message = format!("feature `{feature}` is on in a release build: {why}");
            Problem::new("release-features", *name, message)
        })
        .collect();
    // A rule that looks for something must notice when it looks at nothing.
    for (name, ..) in DEVELOPMENT {
        if !tree.lines().any(|line| line.starts_with(&format!("{name} v"))) {
            problems.push(Problem::new(
                "release-features",
                *name,
                "is not in the tree of a release build",
            ));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_a_software_signer_in_a_release() {
        let tree = |on: &str| format!("assay v0.1.0 (/x)|\nsigner v0.1.0 (/y)|{on}\nsigner v0.1.0 (/y)|{on} (*)\n");
        assert_eq!(development_features(&tree("")), []);
        assert_eq!(development_features(&tree("cards")), []);
        assert_eq!(development_features(&tree("software")).len(), 1);
        assert_eq!(development_features(&tree("cards,software")).len(), 1);
    }

    #[test]
    fn refuses_a_hook_that_could_talk() {
        assert_eq!(linked_by_the_hook("gate v0.1.0 (/x)|\nrustix v1.0.0|net\n"), []);
        assert_eq!(linked_by_the_hook("gate v0.1.0 (/x)|\ntokio-util v1.0.0|\n").len(), 1);
        assert_eq!(linked_by_the_hook("").len(), 1);
    }

    #[test]
    fn refuses_to_judge_an_empty_tree() {
        assert_eq!(development_features("").len(), DEVELOPMENT.len());
    }

    #[test]
    fn notices_the_development_feature_in_a_development_build() {
        let tree = Line::cargo()
            .args([
                "tree",
                "-p",
                "assay",
                "--features",
                "software-keys",
                "--edges",
                "normal,build",
            ])
            .args(["--prefix", "none", "--format", "{p}|{f}"])
            .directory(workspace::root())
            .text(&Terminal::from_environment(false))
            .expect("cargo tree");
        let crates: Vec<String> = development_features(&tree).into_iter().map(|p| p.place).collect();
        assert_eq!(crates, ["signer", "assay"]);
    }
}
