//! Releases that approve nothing, since somebody found them to be bad: said when the approvals are made, and kept beside
//! them for `gate why`. What is kept explains; it approves nothing, and no approval depends on it.

use std::{fs, io::Write as _, path::PathBuf};

use attestation::{Sha256Digest, chain::Release};
use gate::{Place, channel::WantedManifest};
use nixstore::Manifest;
use policy::trusted_set::Violated;
use serde::{Deserialize, Serialize};

use super::environment;
use crate::failure::Failure;

const NEXT: &str = "touchstone update, then touchstone gate refresh: the release that replaces it. Until there is one, touchstone \
                    rollback goes back to one before it";

/// A release whose approvals are gone.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct LeftOut {
    /// Its number.
    pub(super) release: u64,
    channel: String,
    violated: Vec<Said>,
    /// SHA-256 of its list of derivations for this machine.
    manifest: Option<String>,
    next: String,
}

/// What one person said of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Said {
    by: String,
    reason: String,
    statement: String,
}

impl LeftOut {
    pub(super) fn new(release: &Release, by: &[Violated], manifest: Option<&WantedManifest>) -> Self {
        let said = |said: &Violated| Said {
            by: said.by.to_string(),
            reason: said.reason.clone(),
            statement: said.statement.to_string(),
        };
        Self {
            release: release.sequence,
            channel: release.channel.to_string(),
            violated: by.iter().map(said).collect(),
            manifest: manifest.map(|manifest| manifest.sha256.to_string()),
            next: NEXT.to_owned(),
        }
    }

    /// `release 2 of unstable is left out: dave says "a backdoor" (statement 0123…)`.
    pub(super) fn in_words(&self) -> String {
        let each = self
            .violated
            .iter()
            .map(|said| format!("{} says {:?} (statement {:.12}…)", said.by, said.reason, said.statement));
        format!(
            "release {} of {} is left out: {}",
            self.release,
            self.channel,
            each.collect::<Vec<_>>().join("; ")
        )
    }

    /// What to do.
    pub(super) fn next(&self) -> &str {
        &self.next
    }

    /// Its list of derivations, if it was fetched before somebody found it to be bad.
    pub(super) fn derivations(&self, place: &Place) -> Option<Manifest> {
        let digest = self.manifest.as_ref()?;
        let digest = digest.parse::<Sha256Digest>().ok()?;
        let bytes = fs::read(place.directory().join("manifests").join(digest.to_string())).ok()?;
        if Sha256Digest::of(&bytes) != digest {
            return None;
        }
        Manifest::parse(&String::from_utf8_lossy(&bytes)).ok()
    }
}

fn file(place: &Place) -> PathBuf {
    place.directory().join("left-out.json")
}

/// Keeps them in the place of those before.
pub(super) fn write(place: &Place, left_out: &[LeftOut]) -> Result<(), Failure> {
    let mut text = serde_json::to_vec_pretty(left_out).expect("what we keep is JSON");
    text.push(b'\n');
    place
        .replace(&file(place), 0o644, |out| out.write_all(&text))
        .map_err(|error| environment(error, "check the disk"))
}

/// Those of the last refresh; none where that cannot be read, since it only explains.
pub(super) fn read(place: &Place) -> Vec<LeftOut> {
    let bytes = place.read_ours(&file(place)).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}
