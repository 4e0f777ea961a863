//! `nix develop`: the environment of a derivation, as its builder would see it.
//!
//! Nix takes a derivation, puts a script of its own in the place of the arguments, `-env` behind the name, and leaves out
//! which references are allowed. What remains, the *shape*, is the same in both; the shapes of approved derivations are
//! approved. So nothing in the environment can be other than what was vouched for. Seen on 2.8.0 and 2.26.3, of which the
//! latter puts `-env` behind the variable `name` too.

use nixstore::StoreDir;

use super::{Judge, Refusal};
use crate::{approvals::Fact, store::Recipe};

/// What Nix puts behind the name.
pub(super) const SUFFIX: &str = "-env";

/// The name of Nix's script.
const SCRIPT: &str = "get-env.sh";

/// The longest script.
const LONGEST: u64 = 1 << 20;

impl Judge {
    /// Passes the development environment of an approved derivation.
    pub(super) fn develop(&self, recipe: &Recipe) -> Result<(), Refusal> {
        let derivation = &recipe.derivation;
        let not_approved = || Refusal::NotApproved {
            derivation: recipe.path.clone(),
        };
        let refuse = |expected| Refusal::Form {
            derivation: recipe.path.clone(),
            kind: "a development environment",
            expected,
        };
        let mut scripts = derivation.input_sources.iter().filter(|path| path.name() == SCRIPT);
        let (Some(script), None) = (scripts.next(), scripts.next()) else {
            // Many an ordinary package is called something-env.
            return Err(not_approved());
        };
        let argument = format!("{}/{script}", StoreDir::default()).into_bytes();
        if derivation.arguments != [argument] {
            return Err(refuse("Nix's own script as the only argument"));
        }
        if derivation.fixed().is_some() {
            // Its sandbox would have a network.
            return Err(refuse("outputs that are not fixed"));
        }
        let name = recipe.name().strip_suffix(SUFFIX).unwrap_or_default();
        let said = derivation.variable("name").unwrap_or_default();
        if said != name.as_bytes() && said != recipe.name().as_bytes() {
            return Err(refuse("the name of the derivation that it is of"));
        }
        let mut original = derivation.clone();
        original.input_sources.remove(script);
        if !self.approvals.has(Fact::Develop(name, original.develop_shape()))? {
            return Err(not_approved());
        }
        let found = self.store.hash_file(script, LONGEST)?;
        if self.settings.is_develop_script(&found) {
            return Ok(());
        }
        Err(Refusal::Script {
            script: script.clone(),
            found,
        })
    }
}
