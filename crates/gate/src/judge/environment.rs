//! `nix-env`: links to packages become a profile.

use std::{collections::BTreeSet, str};

use nixstore::{StoreDir, StorePath};

use super::{Judge, Refusal};
use crate::{approvals::Fact, store::Recipe};

/// Nix's own code does it: it makes links, and runs nothing.
pub(super) const BUILDER: &[u8] = b"builtin:buildenv";

/// What `buildenv.nix` of Nix gives it, and nothing else.
const VARIABLES: [&str; 8] = [
    "allowSubstitutes",
    "builder",
    "derivations",
    "manifest",
    "name",
    "out",
    "preferLocalBuild",
    "system",
];

/// An environment in an environment in an environment, and no deeper.
pub(super) const DEEPEST: usize = 3;

impl Judge {
    /// Passes an environment in which every package is approved.
    pub(super) fn environment(&self, recipe: &Recipe) -> Result<(), Refusal> {
        self.environment_at(recipe, DEEPEST)
    }

    pub(super) fn environment_at(&self, recipe: &Recipe, depth: usize) -> Result<(), Refusal> {
        for object in packages(recipe)? {
            if !self.approvals.has(Fact::Object(&object))? && !self.passed_before(&object, depth)? {
                return Err(Refusal::Object {
                    derivation: recipe.path.clone(),
                    object,
                });
            }
        }
        Ok(())
    }
}

/// The packages of an environment, if it has exactly the form that Nix gives it.
fn packages(recipe: &Recipe) -> Result<Vec<StorePath>, Refusal> {
    let derivation = &recipe.derivation;
    let refuse = |expected| Refusal::Form {
        derivation: recipe.path.clone(),
        kind: "an environment",
        expected,
    };
    let variables: BTreeSet<&[u8]> = derivation.environment.keys().map(Vec::as_slice).collect();
    if variables != VARIABLES.iter().map(|name| name.as_bytes()).collect() {
        return Err(refuse("exactly the variables of buildenv.nix"));
    }
    let is = |name, value: &str| derivation.variable(name) == Some(value.as_bytes());
    if !is("builder", "builtin:buildenv") || !is("system", "builtin") || derivation.system != b"builtin" {
        return Err(refuse("system and builder to be builtin"));
    }
    if recipe.name() != "user-environment" || !is("name", "user-environment") || !derivation.arguments.is_empty() {
        return Err(refuse("the name user-environment and no arguments"));
    }
    if !is("allowSubstitutes", "") || !is("preferLocalBuild", "1") {
        return Err(refuse("a local build"));
    }
    if !derivation.outputs.keys().eq(["out"]) || derivation.fixed().is_some() {
        return Err(refuse("one output that is not fixed"));
    }
    let mut sources = derivation.input_sources.iter();
    let (Some(manifest), None, true) = (sources.next(), sources.next(), derivation.input_derivations.is_empty()) else {
        return Err(refuse("one source, its manifest, and no needed derivation"));
    };
    if manifest.name() != "env-manifest.nix" || !is("manifest", &format!("{}/{manifest}", StoreDir::default())) {
        return Err(refuse("its source to be env-manifest.nix"));
    }
    derivation.check_outputs(recipe.name(), &|_: &StorePath| None)?;
    let listed = str::from_utf8(derivation.variable("derivations").unwrap_or_default());
    listed
        .ok()
        .and_then(listed_packages)
        .ok_or_else(|| refuse("a list of packages, each with whether it is active, its priority and its paths"))
}

/// Reads `ACTIVE PRIORITY COUNT PATH…`, again and again, as `builtinBuildenv` of Nix does.
fn listed_packages(text: &str) -> Option<Vec<StorePath>> {
    let store = StoreDir::default();
    let mut words = text.split(' ').filter(|word| !word.is_empty());
    let mut found = Vec::new();
    while let Some(active) = words.next() {
        let known = matches!(active, "true" | "false");
        let _priority: i64 = words.next()?.parse().ok()?;
        let count: usize = words.next()?.parse().ok()?;
        for _ in 0..count {
            found.push(StorePath::parse_in(&store, words.next()?).ok()?);
        }
        known.then_some(())?;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_list_as_nix_does_and_refuses_what_is_left_over() {
        let (a, b) = (
            "/nix/store/rygcw4gik7hh7q9iw2liniv92l7glm4g-hello-2.12",
            "/nix/store/rw7inc1angha9y1sq6wsxk65crllgqr6-nixpkgs",
        );
        let count = |text: &str| listed_packages(text).map(|found| found.len());
        assert_eq!(count(""), Some(0));
        assert_eq!(count(&format!("true 5 1 {a}")), Some(1));
        assert_eq!(count(&format!("true 5 2 {a} {b} false -10 1 {a}")), Some(3));
        for bad in [
            "true".to_owned(),
            "true 5 1".to_owned(),
            format!("true 5 1 {a} {b}"),
            format!("maybe 5 1 {a}"),
            format!("true 5 1 {a}/bin"),
            format!("true 5 2 {a}"),
            "true 5 1 /tmp/x".to_owned(),
        ] {
            assert_eq!(count(&bad), None, "{bad}");
        }
    }
}
