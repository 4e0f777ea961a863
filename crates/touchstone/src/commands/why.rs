//! `touchstone why`: which release, and whose signatures, brought a file or a store path to this machine.

use std::{
    fs,
    path::{Component, Path, PathBuf},
    process::ExitCode,
};

use attestation::Sha256Digest;
use clap::Args;
use fetcher::{TargetName, Transport, fetch_target};
use install::{Generation, State, archive::Tree};
use nixstore::{Manifest, StoreDir, StorePath, nar::hash_directory, source_store_path};
use serde::Serialize;

use crate::{
    failure::{Failure, Kind},
    known::{self, Found, Known},
    mirrors::NetworkArguments,
    output::{Output, WARNING},
};

/// Say which release brought a path, and who signed it.
#[derive(Debug, Args)]
#[command(after_help = "\
A path is a file of an installed generation, a channel or a flake's source in the Nix store, or a derivation or output that a
release lists. Trees are hashed again and lists fetched by their signed digest: the answer is what people signed about the bytes
that are there, not what the path is called. What the gate thinks of a derivation: touchstone gate why.

Examples:
  touchstone why /var/lib/touchstone/current/nixexprs/pkgs/by-name/he/hello/package.nix
  touchstone why ~/.nix-defexpr/channels/nixpkgs
  touchstone why $(nix-build '<nixpkgs>' -A hello)")]
pub(crate) struct Arguments {
    /// The path
    path: PathBuf,

    /// Ask no mirror: know only what is installed
    #[arg(long)]
    offline: bool,

    #[command(flatten)]
    network: NetworkArguments,
}

/// The longest list of derivations: all of Nixpkgs is some 60 MB.
const LONGEST: u64 = 512 << 20;

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Why {
    path: PathBuf,
    /// `file`, `tree`, `derivation` or `output`.
    is: &'static str,
    /// The file within the tree.
    file: Option<PathBuf>,
    /// The derivation whose output it is.
    derivation: Option<String>,
    release: Found,
}

pub(crate) fn run(arguments: &Arguments, directory: &Path, output: Output) -> Result<ExitCode, Failure> {
    let mut known = Known::installed(State::open(directory)?, output)?;
    let why = find(arguments, &mut known)?;
    output.result(&why, in_words);
    // Said, and refused: it is known where it came from, and it is bad.
    Ok(if why.release.violated.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

fn find(arguments: &Arguments, known: &mut Known) -> Result<Why, Failure> {
    let path = resolved(&arguments.path)?;
    if let Some(why) = in_generation(known, &path)? {
        return Ok(why);
    }
    let store = StoreDir::default();
    let object = object_of(&store, &path);
    let trees = match &object {
        Some((object, below)) => trees_on_the_way(&object.in_dir(&store), below),
        None if path.is_dir() => vec![path.clone()],
        None => Vec::new(),
    };
    if let Some(why) = of_trees(known, &path, &trees)? {
        return Ok(why);
    }
    if let Some((object, _)) = &object
        && let Some(why) = listed(arguments, known, object, &path)?
    {
        return Ok(why);
    }
    if !arguments.offline && !trees.is_empty() {
        known.fetch_list(&arguments.network)?;
        if let Some(why) = of_trees(known, &path, &trees)? {
            return Ok(why);
        }
    }
    let next = if arguments.offline {
        "run it without --offline: mirrors know older releases and lists of derivations"
    } else {
        "it came from elsewhere, or from a release that this machine has not seen: touchstone update; what a flake locks: touchstone \
         audit; what the gate thinks of a derivation: touchstone gate why PATH.drv"
    };
    let channel = known.subscription().channel.to_string();
    Err(Failure::new(
        Kind::Refused,
        "not-released",
        NotReleased { path, channel },
        next,
    ))
}

/// The path without links, if it is there; a path in the store is answered for also when it is gone.
fn resolved(path: &Path) -> Result<PathBuf, Failure> {
    match path.canonicalize() {
        Ok(path) => Ok(path),
        Err(_) if path.starts_with("/nix/store") && path.components().all(|part| part != Component::ParentDir) => {
            Ok(path.to_owned())
        }
        Err(source) => Err(Failure::new(
            Kind::Usage,
            "no-such-path",
            NoSuchPath {
                path: path.to_owned(),
                source,
            },
            "name a path that is there, or one in /nix/store",
        )),
    }
}

/// A file of a generation of this machine: the whole tree is hashed, and with it the file.
fn in_generation(known: &Known, path: &Path) -> Result<Option<Why>, Failure> {
    for generation in known.state().generations()? {
        let Ok(tree) = generation.nixexprs().canonicalize() else {
            continue;
        };
        let Ok(file) = path.strip_prefix(&tree) else { continue };
        known::earn_whole(known, &generation)?;
        return Ok(known.of_generation(&generation, Tree::Channel).map(|release| Why {
            path: path.to_owned(),
            is: if file.as_os_str().is_empty() { "tree" } else { "file" },
            file: Some(file.to_owned()).filter(|file| !file.as_os_str().is_empty()),
            derivation: None,
            release,
        }));
    }
    Ok(None)
}

/// The store object that a path lies in, and what of the path is below it.
fn object_of(store: &StoreDir, path: &Path) -> Option<(StorePath, PathBuf)> {
    let rest = path.strip_prefix(store.as_str()).ok()?;
    let mut parts = rest.components();
    let object: StorePath = parts.next()?.as_os_str().to_str()?.parse().ok()?;
    Some((object, parts.as_path().to_owned()))
}

/// The object, and the first directory in it on the way to the path: `nix-channel` unpacks a channel into one.
fn trees_on_the_way(object: &Path, below: &Path) -> Vec<PathBuf> {
    let mut trees = vec![object.to_owned()];
    trees.extend(below.components().next().map(|first| object.join(first)));
    trees.retain(|tree| tree.is_dir());
    // A channel of one directory, asked for by its object.
    if below.as_os_str().is_empty()
        && let Ok(entries) = fs::read_dir(object)
    {
        let inner: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        if let [only] = &inner[..]
            && only.is_dir()
            && !only.is_symlink()
        {
            trees.push(only.clone());
        }
    }
    trees
}

fn of_trees(known: &Known, path: &Path, trees: &[PathBuf]) -> Result<Option<Why>, Failure> {
    for tree in trees {
        let found = digest(tree)?;
        let Some(release) = known.with_nar(found) else { continue };
        let file = path.strip_prefix(tree).unwrap_or(Path::new("")).to_owned();
        return Ok(Some(Why {
            path: path.to_owned(),
            is: if file.as_os_str().is_empty() { "tree" } else { "file" },
            file: Some(file).filter(|file| !file.as_os_str().is_empty()),
            derivation: None,
            release,
        }));
    }
    refuse_other_bytes(known, trees)?;
    Ok(None)
}

fn digest(tree: &Path) -> Result<Sha256Digest, Failure> {
    let hashed = hash_directory(tree).map_err(|error| {
        Failure::new(
            Kind::Environment,
            "io",
            error,
            "check that the path can be read, as root if need be",
        )
    });
    Ok(hashed?.sha256)
}

/// A path that is named as a signed tree is, with other bytes in it, is no path of somebody else's: it was touched.
fn refuse_other_bytes(known: &Known, trees: &[PathBuf]) -> Result<(), Failure> {
    let store = StoreDir::default();
    for (_, vouched) in known.generations() {
        let Ok(signed) = source_store_path(&store, "source", &vouched.release.tree_nar) else {
            continue;
        };
        let signed = signed.in_dir(&store);
        if trees.contains(&signed) {
            let error = OtherBytes {
                path: signed.clone(),
                sequence: vouched.release.sequence,
            };
            let next = format!("have Nix look at it: nix-store --verify-path {}", signed.display());
            return Err(Failure::new(Kind::Refused, "other-tree", error, next));
        }
    }
    Ok(())
}

/// A derivation or an output that an installed release lists.
fn listed(arguments: &Arguments, known: &Known, object: &StorePath, path: &Path) -> Result<Option<Why>, Failure> {
    if arguments.offline {
        return Ok(None);
    }
    for (generation, _) in known.generations() {
        let Some(manifest) = manifest(arguments, known, generation)? else {
            continue;
        };
        let mut lines = manifest.derivations.iter();
        let Some(line) = lines.find(|line| line.path == *object || line.outputs.contains(object)) else {
            continue;
        };
        let is_derivation = line.path == *object;
        if is_derivation {
            refuse_other_derivation(path, line.digest)?;
        }
        return Ok(known.of_generation(generation, Tree::Source).map(|release| Why {
            path: path.to_owned(),
            is: if is_derivation { "derivation" } else { "output" },
            file: None,
            derivation: Some(line.path.in_dir(&StoreDir::default()).display().to_string()),
            release,
        }));
    }
    Ok(None)
}

/// The signed list has the digest of the whole file; the path has but 160 bits of it.
fn refuse_other_derivation(path: &Path, expected: Sha256Digest) -> Result<(), Failure> {
    match fs::read(path) {
        Ok(bytes) if Sha256Digest::of(&bytes) != expected => {
            let error = OtherDerivation { path: path.to_owned() };
            let next = format!("have Nix look at it: nix-store --verify-path {}", path.display());
            Err(Failure::new(Kind::Refused, "other-derivation", error, next))
        }
        // Not there any more: what is listed under its name is known.
        _ => Ok(()),
    }
}

/// The list of derivations for this machine that a generation's release brought; `None` where it brought none.
fn manifest(arguments: &Arguments, known: &Known, generation: &Generation) -> Result<Option<Manifest>, Failure> {
    let set = known::targets_of(known, generation)?;
    let channel = &known.subscription().channel;
    let listed = format!("{channel}/derivations-{}.txt", known::system());
    let (Ok(target), Ok(name)) = (
        set.target(channel.as_str(), &listed),
        TargetName::listed(&listed, channel),
    ) else {
        return Ok(None);
    };
    let transports = arguments.network.open(known.subscription())?;
    let mirrors: Vec<&dyn Transport> = transports.iter().map(|transport| &**transport).collect();
    let bytes = fetch_target(&mirrors, channel, &name, &target, LONGEST)?;
    let manifest = Manifest::parse(&String::from_utf8_lossy(&bytes)).map_err(|error| {
        let next = "this was signed: tell the people of the channel, and ask for another version of this program";
        Failure::new(Kind::Refused, "derivations", error, next)
    })?;
    Ok(Some(manifest))
}

fn in_words(why: &Why) -> String {
    let what = match (why.is, &why.derivation, &why.file) {
        ("file", _, Some(file)) => format!("{} is {} of", why.path.display(), file.display()),
        ("output", Some(derivation), _) => format!(
            "{} is an output of {derivation}, which is listed by",
            why.path.display()
        ),
        ("derivation", ..) => format!("{} is listed by", why.path.display()),
        _ => format!("{} is the {} tree of", why.path.display(), why.release.tree),
    };
    let mut text = format!("{what} {}", why.release.in_words());
    if let Some(said) = why.release.violation() {
        text += &format!(
            "\n{WARNING}violated since:{WARNING:#} {said}\n  next: touchstone update, for the release that replaces it"
        );
    }
    text
}

#[derive(Debug, thiserror::Error)]
#[error("no release of {channel} that is known here has {}", path.display())]
struct NotReleased {
    path: PathBuf,
    channel: String,
}

#[derive(Debug, thiserror::Error)]
#[error("cannot find {}", path.display())]
struct NoSuchPath {
    path: PathBuf,
    source: std::io::Error,
}

#[derive(Debug, thiserror::Error)]
#[error("{} is named as the tree of release {sequence}, and other bytes are in it", path.display())]
struct OtherBytes {
    path: PathBuf,
    sequence: u64,
}

#[derive(Debug, thiserror::Error)]
#[error("{} is named in a signed list, and other bytes are in it", path.display())]
struct OtherDerivation {
    path: PathBuf,
}
