//! What an evaluation answers: bytes from a process that is not trusted, and what is true of them.
//!
//! ```text
//! touchstone evaluation 1
//! root <name>                            a derivation that was asked for
//! source <name> recursive <SHA-256>      a tree of the store, and how its path follows from what it holds
//! source <name> flat <SHA-256>
//! source <name> text <SHA-256> <name>…
//! derivation <name> <length>             and then so many bytes, the file
//! end
//! ```
//!
//! or one line `failed <length>` and what Nix said.
//!
//! What is believed of it is what follows from the bytes: each derivation has the path of its bytes, each output the path
//! that the derivation gives it, and each source a path that is made of what it holds. So no path in it can stand for
//! something else, an output that somebody built without being asked above all. That the expression *means* these
//! derivations is the evaluator's word.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io::{self, BufRead, Read as _, Write},
};

use nixstore::{
    Derivation, Sha256Digest, StoreDir, StorePath, StorePathError,
    derivation::{Algorithm, DerivationError, DerivationHash, Method, PathError, derivation_name, fixed_store_path},
    source_store_path, text_store_path,
};

const FIRST: &str = "touchstone evaluation 1";

/// The longest line: a text may name many objects.
const LINE: u64 = 1 << 20;

/// The longest derivation.
const DERIVATION: u64 = 64 << 20;

/// How much an answer may hold.
const LONGEST: u64 = 1 << 30;

/// How long what Nix said may be.
const SAID: u64 = 8 << 10;

/// What was evaluated, whole, and with the paths that its bytes make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluated {
    /// What was asked for.
    pub roots: Vec<StorePath>,
    /// All that they consist of.
    pub derivations: BTreeMap<StorePath, Found>,
}

/// A derivation of an evaluation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub name: String,
    /// SHA-256 of its file.
    pub digest: Sha256Digest,
    /// What it says.
    pub derivation: Derivation,
}

/// How the path of a source follows from what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// The NAR of a tree.
    Recursive(Sha256Digest),
    /// The contents of a file.
    Flat(Sha256Digest),
    /// A text that names objects.
    Text(Sha256Digest, BTreeSet<StorePath>),
}

/// An answer before anything of it is believed.
#[derive(Debug, Default)]
pub struct Parts {
    /// What was asked for.
    pub roots: Vec<StorePath>,
    /// Sources, and how their paths follow from what they hold.
    pub sources: BTreeMap<StorePath, Address>,
    /// Files of derivations.
    pub derivations: BTreeMap<StorePath, Vec<u8>>,
}

/// Why an answer is not believed.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// Nix could not evaluate it.
    #[error("{said}")]
    Failed {
        /// What Nix said.
        said: String,
    },
    /// It broke off, or is none.
    #[error("expected {expected} in the evaluator's answer")]
    Syntax {
        /// What should be there.
        expected: &'static str,
    },
    /// Reading it failed.
    #[error("the evaluator's answer could not be read")]
    Read(#[from] io::Error),
    /// Not the name of an object in the store.
    #[error("the evaluator's answer names no store path")]
    Name(#[from] StorePathError),
    /// A derivation that is none, or whose outputs nobody knows before the build.
    #[error("{path} is not a derivation that can be approved")]
    Derivation {
        /// Which.
        path: StorePath,
        /// What is wrong.
        source: DerivationError,
    },
    /// A path that does not follow from what is there.
    #[error("expected {path} to have the path of what it holds, found {found}")]
    Other {
        /// What it says it is.
        path: StorePath,
        /// The path of what it holds.
        found: StorePath,
    },
    /// An output that is elsewhere than its derivation puts it.
    #[error("{path} says of an output what does not follow from it")]
    Output {
        /// The derivation.
        path: StorePath,
        /// What is wrong.
        source: PathError,
    },
    /// Something that is needed and of which nothing is said.
    #[error("{needed} is needed by {by}, and nothing says what it holds")]
    Missing {
        /// What.
        needed: StorePath,
        /// By whom.
        by: StorePath,
    },
}

/// Writes that Nix could not evaluate it.
pub fn write_failure(said: &str, out: &mut impl Write) -> io::Result<()> {
    let bytes = said.as_bytes();
    let bytes = &bytes[..bytes.len().min(usize::try_from(SAID).unwrap_or(0))];
    writeln!(out, "failed {}", bytes.len())?;
    out.write_all(bytes)?;
    out.flush()
}

impl Parts {
    /// Writes them.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{FIRST}")?;
        for root in &self.roots {
            writeln!(out, "root {root}")?;
        }
        for (path, address) in &self.sources {
            match address {
                Address::Recursive(digest) => writeln!(out, "source {path} recursive {digest}")?,
                Address::Flat(digest) => writeln!(out, "source {path} flat {digest}")?,
                Address::Text(digest, references) => {
                    write!(out, "source {path} text {digest}")?;
                    for reference in references {
                        write!(out, " {reference}")?;
                    }
                    writeln!(out)?;
                }
            }
        }
        for (path, bytes) in &self.derivations {
            writeln!(out, "derivation {path} {}", bytes.len())?;
            out.write_all(bytes)?;
        }
        writeln!(out, "end")?;
        out.flush()
    }

    /// Reads them.
    pub fn read(from: impl BufRead) -> Result<Self, AnswerError> {
        let mut from = from.take(LONGEST);
        let mut parts = Self::default();
        let first = line(&mut from)?;
        if let Some(length) = first.strip_prefix("failed ") {
            return Err(failed(&mut from, length)?);
        }
        if first != FIRST {
            return Err(expected("the first line"));
        }
        loop {
            let text = line(&mut from)?;
            let words: Vec<&str> = text.split(' ').collect();
            match words.as_slice() {
                ["root", path] => parts.roots.push(path.parse()?),
                ["source", path, rest @ ..] => {
                    let address = address(rest).ok_or_else(|| expected("how a source's path is made"))?;
                    parts.sources.insert(path.parse()?, address);
                }
                ["derivation", path, length] => {
                    let length: u64 = length
                        .parse()
                        .ok()
                        .filter(|length| *length <= DERIVATION)
                        .ok_or_else(|| expected("a length"))?;
                    let mut bytes = Vec::new();
                    from.by_ref().take(length).read_to_end(&mut bytes)?;
                    if bytes.len() as u64 != length {
                        return Err(expected("as many bytes as were announced"));
                    }
                    parts.derivations.insert(path.parse()?, bytes);
                }
                ["end"] => return Ok(parts),
                _ => return Err(expected("a line of one of four kinds")),
            }
        }
    }

    /// What is true of them.
    pub fn check(self) -> Result<Evaluated, AnswerError> {
        for (path, address) in &self.sources {
            let found = address.path(path.name())?;
            if found != *path {
                let path = path.clone();
                return Err(AnswerError::Other { path, found });
            }
        }
        let mut derivations = BTreeMap::new();
        for (path, bytes) in &self.derivations {
            derivations.insert(path.clone(), found(path, bytes)?);
        }
        let proven = |needed: &StorePath, by: &StorePath| {
            if self.sources.contains_key(needed) || derivations.contains_key(needed) {
                return Ok(());
            }
            Err(AnswerError::Missing {
                needed: needed.clone(),
                by: by.clone(),
            })
        };
        for (path, address) in &self.sources {
            if let Address::Text(_, references) = address {
                references.iter().try_for_each(|needed| proven(needed, path))?;
            }
        }
        for (path, found) in &derivations {
            let needed = found.derivation.input_sources.iter();
            needed
                .chain(found.derivation.input_derivations.keys())
                .try_for_each(|needed| proven(needed, path))?;
        }
        for root in &self.roots {
            if !derivations.contains_key(root) {
                return Err(expected("every derivation that was asked for"));
            }
        }
        check_outputs(&derivations)?;
        Ok(Evaluated {
            roots: self.roots,
            derivations,
        })
    }
}

impl Address {
    fn path(&self, name: &str) -> Result<StorePath, StorePathError> {
        let store = StoreDir::default();
        match self {
            Self::Recursive(digest) => source_store_path(&store, name, digest),
            Self::Flat(digest) => fixed_store_path(name, Method::Flat, Algorithm::Sha256, digest.as_bytes()),
            Self::Text(digest, references) => text_store_path(&store, name, digest, references),
        }
    }
}

fn found(path: &StorePath, bytes: &[u8]) -> Result<Found, AnswerError> {
    let output = |source| AnswerError::Output {
        path: path.clone(),
        source,
    };
    let name = derivation_name(path).map_err(output)?;
    let derivation = Derivation::parse(bytes).map_err(|source| AnswerError::Derivation {
        path: path.clone(),
        source,
    })?;
    let found = derivation.path(name)?;
    if found != *path {
        let path = path.clone();
        return Err(AnswerError::Other { path, found });
    }
    Ok(Found {
        name: name.to_owned(),
        digest: Sha256Digest::of(bytes),
        derivation,
    })
}

/// Checks the outputs of all, what is needed first. (Paths are made of what they hold, so there are no circles.)
fn check_outputs(derivations: &BTreeMap<StorePath, Found>) -> Result<(), AnswerError> {
    let mut known: HashMap<&StorePath, DerivationHash> = HashMap::new();
    let mut stack: Vec<(&StorePath, bool)> = derivations.keys().map(|path| (path, false)).collect();
    while let Some((path, needs_done)) = stack.pop() {
        let (false, Some(found)) = (known.contains_key(path), derivations.get(path)) else {
            continue;
        };
        if !needs_done {
            stack.push((path, true));
            stack.extend(found.derivation.input_derivations.keys().map(|path| (path, false)));
            continue;
        }
        let lookup = |path: &StorePath| known.get(path).copied();
        let output = |source| AnswerError::Output {
            path: path.clone(),
            source,
        };
        found.derivation.check_outputs(&found.name, &lookup).map_err(output)?;
        let hash = found.derivation.hash(&lookup).map_err(output)?;
        known.insert(path, hash);
    }
    Ok(())
}

fn failed(from: &mut impl BufRead, length: &str) -> Result<AnswerError, AnswerError> {
    let length: u64 = length
        .parse()
        .ok()
        .filter(|length| *length <= SAID)
        .ok_or_else(|| expected("a length"))?;
    let mut bytes = Vec::new();
    from.take(length).read_to_end(&mut bytes)?;
    // It is shown on terminals.
    let said: String = String::from_utf8_lossy(&bytes)
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(AnswerError::Failed { said })
}

fn line(from: &mut impl BufRead) -> Result<String, AnswerError> {
    let mut bytes = Vec::new();
    from.take(LINE).read_until(b'\n', &mut bytes)?;
    match bytes.pop() {
        Some(b'\n') => String::from_utf8(bytes).map_err(|_| expected("text")),
        _ => Err(expected("a whole line")),
    }
}

fn address(words: &[&str]) -> Option<Address> {
    match words {
        ["recursive", digest] => Some(Address::Recursive(digest.parse().ok()?)),
        ["flat", digest] => Some(Address::Flat(digest.parse().ok()?)),
        ["text", digest, references @ ..] => {
            let references = references.iter().map(|path| path.parse().ok()).collect::<Option<_>>()?;
            Some(Address::Text(digest.parse().ok()?, references))
        }
        _ => None,
    }
}

const fn expected(expected: &'static str) -> AnswerError {
    AnswerError::Syntax { expected }
}

#[cfg(test)]
mod tests {
    use nixstore::derivation::Output;

    use super::*;

    fn derivation(change: impl FnOnce(&mut Derivation)) -> Derivation {
        let nowhere: StorePath = "00000000000000000000000000000000-x".parse().unwrap();
        let mut derivation = Derivation {
            outputs: [("out".to_owned(), Output::InputAddressed(nowhere))].into(),
            input_derivations: BTreeMap::new(),
            input_sources: BTreeSet::new(),
            system: b"x86_64-linux".to_vec(),
            builder: b"/bin/sh".to_vec(),
            arguments: Vec::new(),
            environment: [(b"out".to_vec(), Vec::new())].into(),
        };
        change(&mut derivation);
        derivation
    }

    /// With the output where it must be.
    fn honest(change: impl FnOnce(&mut Derivation)) -> (StorePath, Derivation) {
        let mut made = derivation(change);
        if let Err(PathError::Output { expected, .. }) = made.check_outputs("x", &|_| None) {
            made.environment.insert(
                b"out".to_vec(),
                format!("{}/{expected}", StoreDir::default()).into_bytes(),
            );
            made.outputs.insert("out".to_owned(), Output::InputAddressed(expected));
        }
        (made.path("x").unwrap(), made)
    }

    fn parts(path: &StorePath, derivation: &Derivation) -> Parts {
        Parts {
            roots: vec![path.clone()],
            sources: BTreeMap::new(),
            derivations: [(path.clone(), derivation.to_aterm())].into(),
        }
    }

    #[test]
    fn what_is_written_is_read_and_true() {
        let text = Sha256Digest::of("text");
        let source = text_store_path(&StoreDir::default(), "builder.sh", &text, []).unwrap();
        let (path, made) = honest(|derivation| {
            derivation.input_sources.insert(source.clone());
        });
        let mut written = parts(&path, &made);
        written.sources.insert(source, Address::Text(text, BTreeSet::new()));
        let mut bytes = Vec::new();
        written.write(&mut bytes).unwrap();
        let evaluated = Parts::read(&bytes[..]).unwrap().check().unwrap();
        assert_eq!((evaluated.roots, evaluated.derivations.len()), (vec![path], 1));
        for cut in [0, 5, bytes.len() / 2, bytes.len() - 2] {
            assert!(
                matches!(Parts::read(&bytes[..cut]), Err(AnswerError::Syntax { .. })),
                "{cut}"
            );
        }
    }

    #[test]
    fn refuses_an_output_that_is_somebody_elses() {
        let (_, mut made) = honest(|_| {});
        let theirs: StorePath = "rw7inc1angha9y1sq6wsxk65crllgqr6-built-by-a-developer".parse().unwrap();
        made.outputs.insert("out".to_owned(), Output::InputAddressed(theirs));
        let path = made.path("x").unwrap();
        assert!(matches!(parts(&path, &made).check(), Err(AnswerError::Output { .. })));
        let (path, made) = honest(|_| {});
        parts(&path, &made).check().unwrap();
    }

    #[test]
    fn refuses_a_source_that_is_an_output_in_disguise_or_of_which_nothing_is_said() {
        let theirs: StorePath = "rw7inc1angha9y1sq6wsxk65crllgqr6-built-by-a-developer".parse().unwrap();
        let (path, made) = honest(|derivation| {
            derivation.input_sources.insert(theirs.clone());
        });
        assert!(matches!(parts(&path, &made).check(), Err(AnswerError::Missing { .. })));
        for address in [
            Address::Recursive(Sha256Digest::of("x")),
            Address::Flat(Sha256Digest::of("x")),
            Address::Text(Sha256Digest::of("x"), BTreeSet::new()),
        ] {
            let mut claimed = parts(&path, &made);
            claimed.sources.insert(theirs.clone(), address);
            assert!(matches!(claimed.check(), Err(AnswerError::Other { .. })));
        }
        // A text may not bring it along either.
        let text = Sha256Digest::of("text");
        let carrier = text_store_path(&StoreDir::default(), "t", &text, [&theirs]).unwrap();
        let (path, made) = honest(|derivation| {
            derivation.input_sources.insert(carrier.clone());
        });
        let mut claimed = parts(&path, &made);
        claimed.sources.insert(carrier, Address::Text(text, [theirs].into()));
        assert!(matches!(claimed.check(), Err(AnswerError::Missing { .. })));
    }

    #[test]
    fn refuses_a_derivation_under_another_path_a_missing_one_and_an_unknown_root() {
        let (path, made) = honest(|_| {});
        let (other, _) = honest(|derivation| derivation.arguments.push(b"x".to_vec()));
        assert!(matches!(parts(&other, &made).check(), Err(AnswerError::Other { .. })));
        let mut rootless = parts(&path, &made);
        rootless.roots = vec![other.clone()];
        assert!(matches!(rootless.check(), Err(AnswerError::Syntax { .. })));
        let (needs, needing) = honest(|derivation| {
            derivation.input_derivations.insert(other, ["out".to_owned()].into());
        });
        assert!(matches!(
            parts(&needs, &needing).check(),
            Err(AnswerError::Missing { .. })
        ));
    }

    #[test]
    fn what_nix_said_is_bounded_and_has_no_control_characters() {
        let mut bytes = Vec::new();
        write_failure(&format!("error:\x1b[31m no\n {}", "x".repeat(100_000)), &mut bytes).unwrap();
        let Err(AnswerError::Failed { said }) = Parts::read(&bytes[..]) else {
            panic!("not refused");
        };
        assert!(
            said.starts_with("error: [31m no x") && said.len() < 9000,
            "{}",
            said.len()
        );
        assert!(Parts::read(&b"failed 100000000\n"[..]).is_err());
    }
}
