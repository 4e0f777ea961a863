//! What a release is made of: the same bytes on every machine that has the same commit.
//!
//! Nothing here is chosen. From the commit, the policy and the releases before follow the tarball, the
//! list of releases and the targets that people sign; whoever signs derives all of it again from their own clone.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    io::Write,
    num::NonZero,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{PermissionsExt as _, symlink},
    },
    path::Path,
};

use attestation::{
    ChainId, ChannelName, GitOid, RoleName, Sha256Digest, StatementId, Time,
    chain::{ChannelPolicy, Release, ReleaseMark, StatementList},
    patch::PatchList,
    releases::{ReleaseLine, ReleaseList},
    series::Patched,
    tuf::{Metadata as _, SPEC_VERSION, TargetFile, Targets},
};
use importer::{Extra, NarError, Node, ObjectError, ObjectId, Repository, VisitError};

use crate::{
    patch::{self, PatchError, Side},
    tarball::{self, Contents, PackError},
};

/// The name of the tarball that nix-channel asks for.
pub const TARBALL: &str = "nixexprs.tar.xz";
/// The name of the list of releases.
pub const RELEASES: &str = "releases.json";
/// The name of the list of statements.
pub const STATEMENTS: &str = "statements.txt";

/// From so many earlier releases a patch leads to a new one: of a channel with a release a day, those of the week before.
pub const PATCHES: usize = 8;

/// What a release follows from.
pub struct Inputs<'a> {
    /// The chain.
    pub chain: ChainId,
    /// The version of the root in force.
    pub root_version: u64,
    /// The channel.
    pub channel: &'a ChannelName,
    /// Its entry in the policy.
    pub policy: &'a ChannelPolicy,
    /// The releases before, oldest first, each with the digest of its payload.
    pub before: &'a [(Release, Sha256Digest)],
    /// The version of the targets: the next one that nobody has signed.
    pub version: u64,
    /// The commit.
    pub commit: ObjectId,
    /// What it has on top of upstream's, if it is not upstream's.
    pub patched: Option<&'a Patched>,
    /// When the release was proposed.
    pub time: Time,
    /// Every statement so far.
    pub statements: &'a std::collections::BTreeSet<StatementId>,
    /// The lists of derivations, by file name: what evaluating the channel's tree gave.
    pub manifests: BTreeMap<String, Vec<u8>>,
}

/// A release, derived.
pub struct Derived {
    /// What people sign.
    pub targets: Targets,
    /// `releases.json`.
    pub releases: Vec<u8>,
    /// `statements.txt`.
    pub statements: Vec<u8>,
    /// The lists of derivations, by file name.
    pub manifests: BTreeMap<String, Vec<u8>>,
    /// The patches from earlier releases, by name: those that are less than half of the tarball.
    pub patches: BTreeMap<String, Vec<u8>>,
}

/// Why a release could not be derived.
#[derive(Debug, thiserror::Error)]
pub enum DeriveError {
    /// The commit or its objects cannot be read.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// The tree has no NAR digest.
    #[error("the channel's NAR digest could not be computed")]
    Nar(#[from] NarError),
    /// The tarball could not be made.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// A patch could not be made.
    #[error("the patch from an earlier release could not be made")]
    Patch(#[from] PatchError),
    /// Reading and writing.
    #[error("the tarball could not be stored")]
    Io(#[from] std::io::Error),
}

/// Why a tree could not be written for an evaluator.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The commit cannot be read.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// A file cannot be written, or the tree is refused.
    #[error("the tree could not be written")]
    Tree(#[from] VisitError<std::io::Error>),
    /// The directory cannot be made.
    #[error("the directory could not be made")]
    Directory(#[from] std::io::Error),
}

/// Derives the release. The tarball is written to `tarball`, on `threads` threads; its bytes do not depend on
/// their number.
pub fn derive(
    repository: &Repository,
    inputs: &Inputs<'_>,
    threads: NonZero<u32>,
    tarball: impl Write,
) -> Result<Derived, DeriveError> {
    let commit = repository.commit(inputs.commit)?;
    let sequence = inputs.before.len() as u64 + 1;
    let id = commit.id.to_string();
    let version_suffix = version_suffix(sequence, &id);
    let extras = extras(&id, &version_suffix);
    let tree_nar = repository.tree_nar(commit.tree, &[])?.sha256;
    let channel_nar = repository.tree_nar(commit.tree, &extras)?.sha256;
    let top_directory = format!("{}-{version_suffix}", inputs.channel);
    let contents = Contents {
        tree: commit.tree,
        extras: &extras,
        top_directory: &top_directory,
        mtime: u64::try_from(commit.committed).unwrap_or(0),
    };
    let packed = tarball::pack(repository, &contents, threads, tarball)?;
    let release = Release {
        channel: inputs.channel.clone(),
        sequence,
        previous: inputs.before.last().map(|(_, payload)| *payload),
        root_version: inputs.root_version,
        time: inputs.time,
        commit: oid(commit.id),
        tree: oid(commit.tree),
        patched: inputs.patched.cloned(),
        tree_nar,
        channel_nar,
        version_suffix,
        statements: StatementList::of(inputs.statements),
    };
    let releases = releases_file(inputs, &release);
    let statements = StatementList::text(inputs.statements).into_bytes();
    let new = Side {
        tree: commit.tree,
        extras: &extras,
    };
    let patches = patches(repository, inputs.before, new, packed.length)?;
    let name = |file: &str| format!("{}/{file}", inputs.channel);
    let listed = |bytes: &[u8]| TargetFile::new(bytes.len() as u64, Sha256Digest::of(bytes));
    let mut files = BTreeMap::from([
        (name(TARBALL), TargetFile::new(packed.length, packed.sha256)),
        (name(RELEASES), listed(&releases)),
        (name(STATEMENTS), listed(&statements)),
    ]);
    files.extend(inputs.manifests.iter().map(|(file, bytes)| (name(file), listed(bytes))));
    files.extend(patches.iter().map(|(file, bytes)| (name(file), listed(bytes))));
    let targets = Targets {
        type_tag: Targets::TYPE.to_owned(),
        spec_version: SPEC_VERSION.to_owned(),
        version: inputs.version,
        expires: inputs.time.plus(inputs.policy.expires),
        targets: files,
        delegations: None,
        mark: Some(ReleaseMark {
            chain: inputs.chain,
            role: RoleName::from(inputs.channel.clone()),
            release: Some(release),
        }),
    };
    Ok(Derived {
        targets,
        releases,
        statements,
        manifests: inputs.manifests.clone(),
        patches,
    })
}

fn version_suffix(sequence: u64, commit: &str) -> String {
    format!("pre{sequence}.{}", &commit[..12])
}

/// The name of the list of derivations for a kind of machine (`x86_64-linux`).
pub fn manifest_name(system: &str) -> String {
    format!("derivations-{system}.txt")
}

/// The kind of machine whose list of derivations has that name.
pub fn system_of_manifest(name: &str) -> Option<&str> {
    let system = name.strip_prefix("derivations-")?.strip_suffix(".txt")?;
    nixstore::manifest::is_system(system).then_some(system)
}

/// Writes the channel's tree of a release to a directory that is made for it, as its tarball holds it: for an evaluator.
pub fn export(repository: &Repository, commit: ObjectId, sequence: u64, into: &Path) -> Result<(), ExportError> {
    let commit = repository.commit(commit)?;
    let id = commit.id.to_string();
    let extras = extras(&id, &version_suffix(sequence, &id));
    fs::create_dir(into)?;
    repository.visit_tree(commit.tree, &extras, |node| match node {
        Node::EnterDirectory { path } => fs::create_dir(into.join(path.as_str())),
        Node::LeaveDirectory => Ok(()),
        Node::File {
            path,
            executable,
            contents,
        } => {
            let path = into.join(path.as_str());
            fs::write(&path, contents)?;
            let mode = if executable { 0o755 } else { 0o644 };
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))
        }
        Node::Symlink { path, target } => symlink(OsStr::from_bytes(target), into.join(path.as_str())),
    })?;
    Ok(())
}

/// The patches that save enough: a new release of the same few changes is a few kilobytes, and what is more than half
/// of a tarball is not worth its second download when it fails.
fn patches(
    repository: &Repository,
    before: &[(Release, Sha256Digest)],
    new: Side<'_>,
    tarball: u64,
) -> Result<BTreeMap<String, Vec<u8>>, DeriveError> {
    let mut made = BTreeMap::new();
    let new = patch::Tree::read(repository, new)?;
    for (release, _) in before.iter().rev().take(PATCHES) {
        let extras = extras(release.commit.as_str(), &release.version_suffix);
        let old = Side {
            tree: object_id(&release.tree),
            extras: &extras,
        };
        let old = patch::Tree::read(repository, old)?;
        let patch = patch::make(repository, &old, &new)?;
        if let Some(patch) = patch.filter(|patch| (patch.len() as u64) < tarball / 2) {
            made.insert(PatchList::file_name(release.channel_nar), patch);
        }
    }
    Ok(made)
}

fn object_id(id: &GitOid) -> ObjectId {
    ObjectId::from_hex(id.as_str().as_bytes()).expect("40 hexadecimal digits are a git id")
}

/// What a channel adds to upstream's tree, as NixOS's own channels do.
fn extras(commit: &str, version_suffix: &str) -> [Extra; 3] {
    let valid = "literal names of one component";
    [
        Extra::file(".git-revision", commit).expect(valid),
        Extra::file(".version-suffix", version_suffix).expect(valid),
        Extra::symlink("nixpkgs", ".").expect(valid),
    ]
}

fn releases_file(inputs: &Inputs<'_>, newest: &Release) -> Vec<u8> {
    let all = inputs.before.iter().map(|(release, _)| release).chain([newest]);
    let list = ReleaseList {
        chain: inputs.chain,
        channel: inputs.channel.clone(),
        releases: all.map(ReleaseLine::from).collect(),
    };
    list.to_bytes()
}

/// A git object id as the formats write it.
pub fn oid(id: ObjectId) -> GitOid {
    id.to_string()
        .parse()
        .expect("gix writes 40 lower-case hexadecimal digits for SHA-1")
}
