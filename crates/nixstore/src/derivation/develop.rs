//! What `nix develop` leaves of a derivation.

use super::{Derivation, Output};
use crate::{Sha256Digest, StorePath};

/// What Nix leaves out.
const LEFT_OUT: [&str; 4] = [
    "allowedReferences",
    "allowedRequisites",
    "disallowedReferences",
    "disallowedRequisites",
];

impl Derivation {
    /// The digest of what a derivation and its development environment have in common, but for the name.
    ///
    /// Nix puts a script of its own in the place of the arguments, `-env` behind the name, other output paths, and leaves
    /// out which references are allowed. Seen on 2.8.0 and 2.26.3.
    pub fn develop_shape(&self) -> Sha256Digest {
        // Any path will do, as long as it is the same one.
        let nowhere: StorePath = "00000000000000000000000000000000-x".parse().expect("a store path");
        let mut shape = self.clone();
        shape.arguments.clear();
        for (name, output) in &mut shape.outputs {
            *output = Output::InputAddressed(nowhere.clone());
            shape.environment.insert(name.clone().into_bytes(), Vec::new());
        }
        for name in LEFT_OUT.iter().chain(&["name"]) {
            shape.environment.remove(name.as_bytes());
        }
        Sha256Digest::of(shape.to_aterm())
    }
}
