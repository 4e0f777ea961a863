//! The derivations of a channel's package set, by the Nix on `PATH`: what machines with a gate may build.
//!
//! The tree is the release's own, from this clone's objects. Evaluation has a store, a home and a configuration that are
//! made for it and thrown away, no search path, no network to build with and no builds at all (import from derivation is
//! off), so the same tree gives the same list on every machine. Seen to be equal with Nix 2.8.0 and 2.26.3.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    path::Path,
    process::{Command, Stdio},
};

use attestation::{ChannelName, tuf::Targets};
use channel::release::{self, manifest_name, system_of_manifest};
use importer::{ObjectId, Repository};
use nixstore::{Derivation, Manifest, StoreDir, StorePath, manifest::is_system};

use crate::{
    exit::{Exit, Failure, OrExit as _, Outcome},
    output,
};

/// So many attributes are instantiated by one process: as many as a command line holds.
const AT_ONCE: usize = 1000;

/// The kinds of machine that a person named, sorted.
pub(crate) fn checked(systems: &[String]) -> Outcome<Vec<String>> {
    if let Some(bad) = systems.iter().find(|system| !is_system(system)) {
        return Err(Failure::new(Exit::Usage, format!("{bad:?} is no kind of machine"))
            .next("name one as Nix does: --evaluate x86_64-linux"));
    }
    let sorted: BTreeSet<&String> = systems.iter().collect();
    Ok(sorted.into_iter().cloned().collect())
}

/// The kinds of machine for which a release lists derivations, sorted.
pub(crate) fn systems(targets: &Targets, channel: &ChannelName) -> Vec<String> {
    let prefix = format!("{channel}/");
    let names = targets.targets.keys().filter_map(|name| name.strip_prefix(&prefix));
    names.filter_map(system_of_manifest).map(str::to_owned).collect()
}

/// The lists of derivations of a release, by file name.
pub(crate) fn manifests(
    repository: &Repository,
    commit: ObjectId,
    sequence: u64,
    systems: &[String],
) -> Outcome<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    if systems.is_empty() {
        return Ok(found);
    }
    let work = tempfile::tempdir().or_exit(Exit::Environment)?;
    let tree = work.path().join("nixexprs");
    release::export(repository, commit, sequence, &tree).or_exit(Exit::Environment)?;
    for system in systems {
        let _working = output::working("evaluating the package set");
        let manifest = evaluate(work.path(), &tree, system)?;
        found.insert(manifest_name(system), manifest.to_text().into_bytes());
    }
    Ok(found)
}

fn evaluate(work: &Path, tree: &Path, system: &str) -> Outcome<Manifest> {
    let nix = Nix {
        work,
        tree: tree.display().to_string(),
        system,
    };
    let listed = nix.run("nix-env", &["-f", &nix.tree, "-qaP", "--no-name", "--drv-path"])?;
    let attributes: Vec<&str> = listed
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    if attributes.is_empty() {
        return Err(
            Failure::new(Exit::Refused, format!("the package set has nothing for {system}"))
                .next("name the kinds of machine that the package set is for with --evaluate"),
        );
    }
    let mut roots = BTreeSet::new();
    for some in attributes.chunks(AT_ONCE) {
        let mut arguments = vec![nix.tree.as_str()];
        arguments.extend(some.iter().flat_map(|attribute| ["-A", *attribute]));
        let printed = nix.run("nix-instantiate", &arguments)?;
        // An output that is not the first is named behind an exclamation mark.
        roots.extend(
            printed
                .lines()
                .filter_map(|line| line.split('!').next())
                .map(str::to_owned),
        );
    }
    closure(&nix, roots)
}

/// These derivations and all that they need, as they lie in the store.
fn closure(nix: &Nix<'_>, roots: BTreeSet<String>) -> Outcome<Manifest> {
    let store = StoreDir::default();
    let mut queue = Vec::new();
    for root in roots {
        queue.push(StorePath::parse_in(&store, &root).or_exit(Exit::Environment)?);
    }
    let mut found: BTreeMap<StorePath, Derivation> = BTreeMap::new();
    while let Some(path) = queue.pop() {
        if found.contains_key(&path) {
            continue;
        }
        let file = nix.work.join("store/nix/store").join(path.base_name());
        let bytes = std::fs::read(&file).or_exit(Exit::Environment)?;
        let derivation = Derivation::parse(&bytes).or_exit_with(Exit::Refused, || {
            format!("{path} cannot be approved; the package set must not use content-addressed derivations")
        })?;
        queue.extend(derivation.input_derivations.keys().cloned());
        found.insert(path, derivation);
    }
    Ok(Manifest::new(nix.system, &found))
}

struct Nix<'a> {
    work: &'a Path,
    tree: String,
    system: &'a str,
}

impl Nix<'_> {
    fn run(&self, program: &str, arguments: &[&str]) -> Outcome<String> {
        const CONFIGURATION: &str =
            "allow-import-from-derivation = false\nbuild-users-group =\nsubstituters =\nbuilders =\n";
        let home = self.work.join("home");
        let mut command = Command::new(program);
        command
            .env_clear()
            .envs(env::var_os("PATH").map(|path| ("PATH", path)))
            .env("HOME", &home)
            .env("NIX_CONF_DIR", &home)
            .env("NIX_CONFIG", CONFIGURATION)
            .env("NIX_PATH", "")
            .env("NIX_REMOTE", self.work.join("store"))
            .args(arguments)
            .args(["--argstr", "system", self.system])
            .stdin(Stdio::null());
        let output = command.output().or_exit_with(Exit::Environment, || {
            "install Nix, of any version from 2.8 on; it needs no root and no daemon for this. Or have others sign this release"
                .to_owned()
        })?;
        if output.status.success() {
            return String::from_utf8(output.stdout).or_exit(Exit::Environment);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said
            .lines()
            .rev()
            .find(|line| line.contains("error:"))
            .unwrap_or(said.trim());
        Err(
            Failure::new(Exit::Environment, format!("{program} failed: {}", last.trim())).next(format!(
                "try by hand: {program} -f TREE -qaP --argstr system {}",
                self.system
            )),
        )
    }
}
