//! `nix-channel --update`: the tarball becomes a tree in the store.

use std::collections::BTreeSet;

use nixstore::{StoreDir, StorePath};

use super::{Judge, Refusal};
use crate::{approvals::Fact, store::Recipe};

/// Nix's own code does it.
pub(super) const BUILDER: &[u8] = b"builtin:unpack-channel";

/// What `unpack-channel.nix` of Nix gives it, and nothing else.
const VARIABLES: [&str; 7] = [
    "builder",
    "channelName",
    "name",
    "out",
    "preferLocalBuild",
    "src",
    "system",
];

/// The longest tarball: Nixpkgs' is 30 MB.
const LONGEST: u64 = 1 << 30;

impl Judge {
    /// Passes the unpacking of an approved tarball. The tarball is hashed now: that its path is approved would say what it
    /// should hold, not what it holds.
    pub(super) fn unpack(&self, recipe: &Recipe) -> Result<(), Refusal> {
        let derivation = &recipe.derivation;
        let refuse = |expected| Refusal::Form {
            derivation: recipe.path.clone(),
            kind: "a channel",
            expected,
        };
        let variables: BTreeSet<&[u8]> = derivation.environment.keys().map(Vec::as_slice).collect();
        if variables != VARIABLES.iter().map(|name| name.as_bytes()).collect() {
            return Err(refuse("exactly the variables of unpack-channel.nix"));
        }
        let is = |name, value: &str| derivation.variable(name) == Some(value.as_bytes());
        if !is("builder", "builtin:unpack-channel") || !is("system", "builtin") || derivation.system != b"builtin" {
            return Err(refuse("system and builder to be builtin"));
        }
        if !is("name", recipe.name()) || !is("preferLocalBuild", "1") || !derivation.arguments.is_empty() {
            return Err(refuse("its own name, a local build and no arguments"));
        }
        let channel = derivation.variable("channelName").unwrap_or_default();
        if channel.is_empty() || channel.starts_with(b".") || !channel.iter().all(is_plain) {
            return Err(refuse("a plain name of the channel"));
        }
        if !derivation.outputs.keys().eq(["out"]) || derivation.fixed().is_some() {
            return Err(refuse("one output that is not fixed"));
        }
        let mut sources = derivation.input_sources.iter();
        let (Some(source), None, true) = (sources.next(), sources.next(), derivation.input_derivations.is_empty())
        else {
            return Err(refuse("one source and no needed derivation"));
        };
        if !is("src", &format!("{}/{source}", StoreDir::default())) {
            return Err(refuse("src to be its source"));
        }
        derivation.check_outputs(recipe.name(), &|_: &StorePath| None)?;
        let found = self.store.hash_file(source, LONGEST)?;
        if self.approvals.has(Fact::Tarball(found))? {
            return Ok(());
        }
        Err(Refusal::Tarball {
            tarball: source.clone(),
            found,
        })
    }
}

const fn is_plain(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'+')
}
