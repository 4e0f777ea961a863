//! The paths that follow from a derivation: its own, and those of its outputs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use data_encoding::HEXLOWER;

use super::{
    Algorithm, Derivation, Method, Output,
    aterm::{self, Inputs, Outputs},
};
use crate::{Sha256Digest, StoreDir, StorePath, StorePathError, store_path};

/// What a derivation is, whatever the paths of the derivations that it needs: two ways to fetch the same bytes have
/// one. Nix calls it the derivation modulo fixed-output derivations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DerivationHash(Sha256Digest);

/// Why the paths of a derivation's outputs are not known, or not the right ones.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// A derivation that is needed is not known.
    #[error("the derivation {missing} that is needed is not known")]
    Missing {
        /// Which.
        missing: StorePath,
    },
    /// The path does not end in `.drv`.
    #[error("expected a path that ends in .drv, found {found}")]
    NoDerivation {
        /// The path.
        found: StorePath,
    },
    /// An output is not where it must be.
    #[error("expected output {name} at {expected}, found {found}")]
    Output {
        /// Its name.
        name: String,
        /// Where it must be.
        expected: StorePath,
        /// Where it is said to be.
        found: StorePath,
    },
    /// The name of an output makes no store path.
    #[error(transparent)]
    Name(#[from] StorePathError),
}

impl fmt::Display for DerivationHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Derivation {
    /// The path of the `.drv` file of the derivation of that name. It commits to every byte of it.
    pub fn path(&self, name: &str) -> Result<StorePath, StorePathError> {
        let contents = Sha256Digest::of(self.to_aterm());
        let references: BTreeSet<&StorePath> = self.input_sources.iter().chain(self.input_derivations.keys()).collect();
        store_path::text_store_path(&StoreDir::default(), &format!("{name}.drv"), &contents, references)
    }

    /// What it is. `known` gives what each needed derivation is.
    pub fn hash(&self, known: &impl Fn(&StorePath) -> Option<DerivationHash>) -> Result<DerivationHash, PathError> {
        if let Some(Output::Fixed {
            path,
            method,
            algorithm,
            hash,
        }) = self.fixed()
        {
            let store = StoreDir::default();
            let text = format!("{}:{store}/{path}", fixed_fingerprint(*method, *algorithm, hash));
            return Ok(DerivationHash(Sha256Digest::of(text)));
        }
        self.hash_with(known, Outputs::Shown)
    }

    /// Checks that every output is where it must be, for a derivation of that name.
    pub fn check_outputs(
        &self,
        name: &str,
        known: &impl Fn(&StorePath) -> Option<DerivationHash>,
    ) -> Result<(), PathError> {
        let masked = match self.fixed() {
            Some(_) => None,
            None => Some(self.hash_with(known, Outputs::Masked)?),
        };
        for (output, found) in &self.outputs {
            let full = if output == "out" {
                name.to_owned()
            } else {
                format!("{name}-{output}")
            };
            let expected = match (found, masked) {
                (
                    Output::Fixed {
                        method,
                        algorithm,
                        hash,
                        ..
                    },
                    _,
                ) => fixed_store_path(&full, *method, *algorithm, hash)?,
                (Output::InputAddressed(_), Some(DerivationHash(hash))) => {
                    store_path::make(&StoreDir::default(), &format!("output:{output}"), &hash, &full)?
                }
                (Output::InputAddressed(path), None) => path.clone(),
            };
            if expected != *found.path() {
                return Err(PathError::Output {
                    name: output.clone(),
                    expected,
                    found: found.path().clone(),
                });
            }
        }
        Ok(())
    }

    fn hash_with(
        &self,
        known: &impl Fn(&StorePath) -> Option<DerivationHash>,
        outputs: Outputs,
    ) -> Result<DerivationHash, PathError> {
        let mut inputs: BTreeMap<DerivationHash, BTreeSet<String>> = BTreeMap::new();
        for (path, names) in &self.input_derivations {
            let hash = known(path).ok_or_else(|| PathError::Missing { missing: path.clone() })?;
            inputs.entry(hash).or_default().extend(names.iter().cloned());
        }
        let text = aterm::write(self, Inputs::Hashes(&inputs), outputs);
        Ok(DerivationHash(Sha256Digest::of(text)))
    }
}

/// The name of the derivation at a path that ends in `.drv`.
pub fn derivation_name(path: &StorePath) -> Result<&str, PathError> {
    let name = path.name().strip_suffix(".drv").filter(|name| !name.is_empty());
    name.ok_or_else(|| PathError::NoDerivation { found: path.clone() })
}

/// The path of what has that hash, as a fixed output, a `nix-prefetch-url` or a `nix-store --add-fixed` makes it.
pub fn fixed_store_path(
    name: &str,
    method: Method,
    algorithm: Algorithm,
    hash: &[u8],
) -> Result<StorePath, StorePathError> {
    let store = StoreDir::default();
    if let (Method::Recursive, Algorithm::Sha256, Ok(bytes)) = (method, algorithm, <[u8; 32]>::try_from(hash)) {
        return crate::source_store_path(&store, name, &Sha256Digest::from_bytes(bytes));
    }
    let text = format!("{}:", fixed_fingerprint(method, algorithm, hash));
    store_path::make(&store, "output:out", &Sha256Digest::of(text), name)
}

fn fixed_fingerprint(method: Method, algorithm: Algorithm, hash: &[u8]) -> String {
    format!(
        "fixed:out:{}{}:{}",
        method.prefix(),
        algorithm.as_str(),
        HEXLOWER.encode(hash)
    )
}
