//! Outputs of builds that passed by their form: channels and environments.
//!
//! Nix names them by their paths only, which do not say what they are made from. So the hook remembers which derivation was
//! to make an output. That is a hint and proves nothing: the derivation is read, judged under the approvals of now, and its
//! output path computed again.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    str,
};

use nixstore::StorePath;

use super::{Judge, Refusal, environment, unpack};
use crate::store::Recipe;

/// So many hints are kept; then the hook begins anew, and who meets a lost one installs again.
const MOST: usize = 4096;

impl Judge {
    /// Remembers which derivation makes which outputs. That it fails stops no build.
    pub fn remember(&self, path: &StorePath) -> io::Result<()> {
        let Ok(recipe) = self.store.recipe(path) else {
            return Ok(());
        };
        let directory = self.place.passed();
        if fs::read_dir(&directory)?.count() > MOST {
            for entry in fs::read_dir(&directory)? {
                fs::remove_file(entry?.path())?;
            }
        }
        for output in recipe.derivation.output_paths() {
            let hint = directory.join(output.base_name());
            let written = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&hint);
            match written {
                Ok(mut file) => file.write_all(path.base_name().as_bytes())?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether an object is the output of a channel or an environment that passes now.
    pub(super) fn passed_before(&self, object: &StorePath, depth: usize) -> Result<bool, Refusal> {
        let Some(depth) = depth.checked_sub(1) else {
            return Ok(false);
        };
        let Some(recipe) = self.hinted(object) else {
            return Ok(false);
        };
        // Form and output path are checked by the rules themselves.
        let verdict = match recipe.derivation.builder.as_slice() {
            unpack::BUILDER => self.unpack(&recipe),
            environment::BUILDER => self.environment_at(&recipe, depth),
            _ => return Ok(false),
        };
        match verdict {
            Ok(()) => Ok(recipe.derivation.output_paths().any(|output| output == object)),
            Err(refusal @ (Refusal::Settings(_) | Refusal::Approvals(_))) => Err(refusal),
            Err(_) => Ok(false),
        }
    }

    fn hinted(&self, object: &StorePath) -> Option<Recipe> {
        let hint = self.place.passed().join(object.base_name());
        let bytes = self.place.read_ours(&hint).ok()?;
        let path: StorePath = str::from_utf8(&bytes).ok()?.trim().parse().ok()?;
        self.store.recipe(&path).ok()
    }
}
