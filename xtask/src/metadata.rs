//! The dependency graph, as `cargo metadata` tells it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::failure::Result;
use crate::process::{Line, Terminal};
use crate::workspace;

/// The platform that releases are made for. Dependencies of other platforms are not ours to judge.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// Packages and the edges between them, with the features that a build of the whole workspace activates (so a
/// superset of what any one command links).
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
    resolve: Resolve,
}

/// One package, ours or not.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    /// An SPDX expression, or the older form with slashes.
    pub(crate) license: Option<String>,
    /// The native library that it links, if any.
    pub(crate) links: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    deps: Vec<Edge>,
}

#[derive(Debug, Deserialize)]
struct Edge {
    pkg: String,
    dep_kinds: Vec<EdgeKind>,
}

#[derive(Debug, Deserialize)]
struct EdgeKind {
    kind: Option<String>,
}

/// Which edges to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Follow {
    /// What is linked into the product.
    Normal,
    /// That, and what runs while it is built.
    NormalAndBuild,
}

impl Metadata {
    pub(crate) fn read(terminal: &Terminal) -> Result<Self> {
        Line::cargo()
            .args(["metadata", "--format-version", "1", "--filter-platform", PLATFORM])
            .directory(workspace::root())
            .json(terminal)
    }

    /// All packages that some build of the workspace uses, tests included.
    pub(crate) fn packages(&self) -> impl Iterator<Item = &Package> {
        let resolved: BTreeSet<&str> = self.resolve.nodes.iter().map(|node| node.id.as_str()).collect();
        self.packages
            .iter()
            .filter(move |package| resolved.contains(package.id.as_str()))
    }

    /// The crates of this workspace, by name.
    pub(crate) fn members(&self) -> BTreeMap<&str, &Package> {
        let ours = |package: &&Package| self.workspace_members.contains(&package.id);
        self.packages
            .iter()
            .filter(ours)
            .map(|package| (package.name.as_str(), package))
            .collect()
    }

    /// The crates of this workspace that `member` uses directly, not counting those that only its tests use.
    pub(crate) fn direct_members(&self, member: &Package) -> BTreeSet<&str> {
        let members = self.members();
        self.targets(&member.id, Follow::NormalAndBuild)
            .filter_map(|id| members.values().find(|package| package.id == id))
            .map(|package| package.name.as_str())
            .collect()
    }

    /// Everything that `from` reaches, itself not included, each with the package that reached it first.
    pub(crate) fn reachable(&self, from: &Package, follow: Follow) -> Vec<(&Package, Option<&Package>)> {
        let by_id: BTreeMap<&str, &Package> = self
            .packages
            .iter()
            .map(|package| (package.id.as_str(), package))
            .collect();
        let mut parents: BTreeMap<&str, &str> = BTreeMap::new();
        let mut queue: Vec<&str> = vec![&from.id];
        while let Some(id) = queue.pop() {
            for target in self.targets(id, follow) {
                if target != from.id && !parents.contains_key(target) {
                    parents.insert(target, id);
                    queue.push(target);
                }
            }
        }
        parents
            .into_iter()
            .filter_map(|(id, parent)| Some((*by_id.get(id)?, by_id.get(parent).copied())))
            .collect()
    }

    fn targets<'a>(&'a self, id: &str, follow: Follow) -> impl Iterator<Item = &'a str> {
        let wanted = move |kind: &EdgeKind| match kind.kind.as_deref() {
            None => true,
            Some("build") => follow == Follow::NormalAndBuild,
            Some(_) => false,
        };
        self.resolve
            .nodes
            .iter()
            .filter(move |node| node.id == id)
            .flat_map(|node| &node.deps)
            .filter(move |edge| edge.dep_kinds.iter().any(wanted))
            .map(|edge| edge.pkg.as_str())
    }
}

/// Small graphs for the tests of the rules.
#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    /// Members and strangers with their normal edges; a target written `dev:name` or `build:name` is of that kind.
    /// A name may carry a version after `@`.
    pub(crate) fn graph(members: &[(&str, &[&str])], strangers: &[(&str, &[&str])]) -> Metadata {
        let package = |id: &str| {
            let (name, version) = id.split_once('@').unwrap_or((id, "1.0.0"));
            json!({"id": id, "name": name, "version": version, "license": "MIT", "links": null})
        };
        let edge = |target: &str| match target.split_once(':') {
            Some((kind, id)) => json!({"pkg": id, "dep_kinds": [{"kind": kind}]}),
            None => json!({"pkg": target, "dep_kinds": [{"kind": null}]}),
        };
        let node = |(id, targets): &(&str, &[&str])| json!({"id": id, "deps": targets.iter().map(|t| edge(t)).collect::<Vec<_>>()});
        let all = || members.iter().chain(strangers);
        serde_json::from_value(json!({
            "packages": all().map(|(id, _)| package(id)).collect::<Vec<_>>(),
            "workspace_members": members.iter().map(|(id, _)| *id).collect::<Vec<_>>(),
            "resolve": {"nodes": all().map(node).collect::<Vec<_>>()},
        }))
        .expect("the shape that is parsed")
    }

    impl Metadata {
        /// The package of that name, to be changed by a test.
        pub(crate) fn package_mut(&mut self, name: &str) -> &mut Package {
            self.packages
                .iter_mut()
                .find(|package| package.name == name)
                .expect("in the graph")
        }
    }

    #[test]
    fn edges_of_tests_are_not_followed() {
        let graph = graph(
            &[("a", &["b", "dev:c", "build:d"]), ("b", &[]), ("c", &[]), ("d", &[])],
            &[],
        );
        let names = |follow| -> Vec<&str> {
            let a = graph.members()["a"];
            graph
                .reachable(a, follow)
                .iter()
                .map(|(package, _)| package.name.as_str())
                .collect()
        };
        assert_eq!(names(Follow::Normal), ["b"]);
        assert_eq!(names(Follow::NormalAndBuild), ["b", "d"]);
    }
}
