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
