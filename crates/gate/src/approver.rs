//! What no release lists, approved on request: attributes of the signed package set, and what the owner of the machine
//! wrote on top of it, a system's configuration above all.
//!
//! Somebody asks ([`request`]). A process of a user who has no other work, in namespaces without a network, evaluates the
//! signed tree and what is the owner's, with a store of its own that is empty ([`evaluate`]); its answer is bytes, every one
//! of which is checked by the process that may write approvals ([`answer`]). What is the owner's is what nobody but root can
//! change ([`owner`]).
//!
//! The request is kept, not its result ([`kept`]): whenever the approvals are made anew it is evaluated again, against the
//! release that is then installed. So what was approved on request goes with the release that it rests on. That an expression
//! over a tree means these derivations is a fact that may be remembered ([`known`]); that they are approved is not.
//!
//! Evaluation decides *how* things are built. *What from* is decided here: a source that is downloaded must be one that a
//! signed list knows, or one that root named ([`unknown_sources`]).

pub mod answer;
pub mod evaluate;
pub mod kept;
pub mod known;
pub mod owner;
pub mod request;

use std::collections::BTreeSet;

use nixstore::{Derivation, derivation::Output};
use serde::Serialize;

use crate::approvals::{Draft, Fact};
use answer::Evaluated;
use request::Source;

/// A source that is downloaded, and that no signed list knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnknownSource {
    /// Where it will be in the store: its hash is in this.
    pub path: Source,
    /// From where the expression would have it, if it says.
    pub url: Option<String>,
    /// By which algorithm it is fixed.
    pub algorithm: &'static str,
    /// Whether that is broken, so that naming it does not help.
    pub broken: bool,
}

/// The sources of an evaluation that neither `signed` (approvals of releases alone) nor `named` knows.
///
/// The output of a derivation that is not listed may be one that is: the same bytes, fetched by another tool. Then it is
/// known. A broken hash names no bytes, so there only the derivation itself may be known.
pub fn unknown_sources(evaluated: &Evaluated, signed: &Draft, named: &BTreeSet<Source>) -> Vec<UnknownSource> {
    let mut unknown = Vec::new();
    for found in evaluated.derivations.values() {
        let Some(Output::Fixed { path, algorithm, .. }) = found.derivation.fixed() else {
            continue;
        };
        let listed = signed.has(Fact::Derivation(&found.name, found.digest));
        let known = signed.has(Fact::Object(path)) || named.contains(&Source::from(path.clone()));
        if listed || (known && !algorithm.is_broken()) {
            continue;
        }
        unknown.push(UnknownSource {
            path: path.clone().into(),
            url: url(&found.derivation),
            algorithm: algorithm.as_str(),
            broken: algorithm.is_broken(),
        });
    }
    unknown.sort_by(|left, right| left.path.cmp(&right.path));
    unknown.dedup_by(|left, right| left.path == right.path);
    unknown
}

/// What fetchers call where they fetch from.
fn url(derivation: &Derivation) -> Option<String> {
    let text = derivation.variable("urls").or_else(|| derivation.variable("url"))?;
    let shown = String::from_utf8_lossy(text);
    let plain = shown.chars().filter(|letter| !letter.is_control());
    Some(plain.take(200).collect())
}

/// Approves all of an evaluation.
pub fn approve(evaluated: &Evaluated, draft: &mut Draft) {
    for found in evaluated.derivations.values() {
        draft.approve_derivation(&found.name, &found.derivation);
    }
}
