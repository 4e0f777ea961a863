//! What may be served: verified releases on this machine, as tarballs.

use std::{
    fs::File,
    io::{self, Seek as _},
    path::PathBuf,
    sync::Arc,
};

use attestation::{Sha256Digest, chain::Release};
use install::{
    Generation, GenerationNumber, State,
    archive::{self, ArchiveError, Tree},
};
use policy::Verified;

use crate::{
    commands::verify,
    failure::{Failure, Kind},
};

/// So many tarballs are kept at a time, each as large as its tree: the two of the current release, and two that
/// somebody has locked.
const KEPT: usize = 4;

/// The releases of a state directory.
pub(crate) struct Library {
    state: PathBuf,
    /// Those made last, the newest last.
    made: Vec<Made>,
}

#[derive(Clone)]
struct Made {
    generation: GenerationNumber,
    tree: Tree,
    nar: Sha256Digest,
    tarball: Arc<File>,
    length: u64,
}

/// A tarball that may be given away now.
pub(crate) struct Tarball {
    pub(crate) release: Verified<Release>,
    pub(crate) tree: Tree,
    pub(crate) file: Arc<File>,
    pub(crate) length: u64,
}

impl Library {
    pub(crate) const fn new(state: PathBuf) -> Self {
        Self {
            state,
            made: Vec::new(),
        }
    }

    /// The current generation's release, if its signatures count.
    pub(crate) fn current(&self) -> Result<(Generation, Verified<Release>), Failure> {
        let state = State::open(&self.state)?;
        let generation = verify::find(&state, None)?;
        let release = verify::authenticate(&state, &state.subscription()?, &generation)?;
        Ok((generation, release))
    }

    /// A tree of the current generation.
    pub(crate) fn newest(&mut self, tree: Tree) -> Result<Tarball, Failure> {
        let (generation, release) = self.current()?;
        self.tarball(&generation, release, tree)
    }

    /// The tree with this NAR digest, of whatever generation of the channel has it; `None` if none has.
    pub(crate) fn locked(&mut self, tree: Tree, nar: Sha256Digest) -> Result<Option<Tarball>, Failure> {
        let state = State::open(&self.state)?;
        let subscription = state.subscription()?;
        for generation in state.generations()?.into_iter().rev() {
            // A hint: what counts is what was signed.
            if !generation.record().is_ok_and(|record| tree.nar(&record.release) == nar) {
                continue;
            }
            let release = verify::authenticate(&state, &subscription, &generation)?;
            if tree.nar(release.get()) == nar {
                return self.tarball(&generation, release, tree).map(Some);
            }
        }
        Ok(None)
    }

    fn tarball(&mut self, generation: &Generation, release: Verified<Release>, tree: Tree) -> Result<Tarball, Failure> {
        let nar = tree.nar(release.get());
        let fits = |made: &Made| made.generation == generation.number() && made.tree == tree && made.nar == nar;
        let made = match self.made.iter().find(|made| fits(made)) {
            Some(made) => made.clone(),
            None => {
                let made = make(generation, &release, tree)?;
                if self.made.len() >= KEPT {
                    self.made.remove(0);
                }
                self.made.push(made.clone());
                made
            }
        };
        Ok(Tarball {
            release,
            tree,
            file: made.tarball,
            length: made.length,
        })
    }
}

/// Makes the tarball in a file that has no name: nobody can change it afterwards.
fn make(generation: &Generation, release: &Verified<Release>, tree: Tree) -> Result<Made, Failure> {
    let top = match tree {
        Tree::Source => "source".to_owned(),
        Tree::Channel => {
            let Release {
                channel,
                version_suffix,
                ..
            } = release.get();
            format!("{channel}-{version_suffix}")
        }
    };
    let made = tempfile::tempfile().map_err(ArchiveError::Write).and_then(|file| {
        let out = archive::write(
            generation,
            release,
            tree,
            &top,
            io::BufWriter::with_capacity(1 << 20, file),
        )?;
        out.into_inner()
            .map_err(|error| ArchiveError::Write(error.into_error()))
    });
    let measured = made.and_then(|mut file| {
        let length = file.stream_position().map_err(ArchiveError::Write)?;
        Ok((file, length))
    });
    let (file, length) = measured.map_err(|error| failure(generation.number(), error))?;
    Ok(Made {
        generation: generation.number(),
        tree,
        nar: tree.nar(release.get()),
        tarball: Arc::new(file),
        length,
    })
}

fn failure(generation: GenerationNumber, error: ArchiveError) -> Failure {
    match error {
        ArchiveError::OtherTree { .. } | ArchiveError::Kind { .. } | ArchiveError::Depth { .. } => Failure::new(
            Kind::Refused,
            "other-tree",
            error,
            format!("generation {generation} was touched: touchstone update --repair"),
        ),
        _ => Failure::new(
            Kind::Environment,
            "io",
            error,
            "check the disk, and where TMPDIR points",
        ),
    }
}
