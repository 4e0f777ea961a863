//! Mirrors held against each other. Each is asked for the one file that says what is newest, so that one which is
//! behind, or shows somebody else's truth, is noticed and not only believed or passed over.

use policy::{TrustError, TrustedSet, trusted_set::TimestampOutcome};

use crate::{download::Mirror, resource::Resource, update::UpdateError, workflow::TIMESTAMP_BYTES};
use install::BaseUrl;

/// How a mirror was met.
#[derive(Debug)]
pub struct MirrorView {
    /// The mirror.
    pub mirror: BaseUrl,
    /// What it showed.
    pub view: View,
}

/// What a mirror showed, beside what is known to be the newest.
#[derive(Debug)]
pub enum View {
    /// It is where the newest state came from.
    Used,
    /// It shows the same.
    Agrees,
    /// What it shows is signed, and older.
    Behind {
        /// The version of its timestamp.
        found: u64,
        /// The newest version that is known.
        newest: u64,
    },
    /// What it shows is signed, and is not the other file of the same version: whoever holds the online key has
    /// signed two truths, or had the key stolen.
    Contradicts {
        /// The version that there are two of.
        version: u64,
    },
    /// It did not do: no answer, or something that is refused.
    Failed(UpdateError),
}

impl View {
    /// Of a mirror that was tried, and why it did not do: a rollback is a mirror that is behind.
    pub(crate) fn of_failure(error: UpdateError) -> Self {
        match error {
            UpdateError::Trust(TrustError::Rollback { role, found, seen }) if role == "timestamp" => {
                Self::Behind { found, newest: seen }
            }
            UpdateError::Trust(TrustError::TwoPayloads { role, version }) if role == "timestamp" => {
                Self::Contradicts { version }
            }
            error => Self::Failed(error),
        }
    }
}

/// What a look at a mirror that was not needed gives.
pub(crate) enum Glance {
    /// Nothing newer.
    Seen(View),
    /// Something newer, or something that takes the whole workflow to judge: perhaps its root is newer.
    Newer,
}

/// Asks a mirror for its timestamp, and holds it against what is trusted.
pub(crate) fn glance(mirror: &Mirror<'_>, newest: &TrustedSet) -> Glance {
    let bytes = match mirror.get(&Resource::Timestamp, TIMESTAMP_BYTES) {
        Ok(bytes) => bytes,
        Err(error) => return Glance::Seen(View::Failed(error.into())),
    };
    match newest.clone().update_timestamp(&bytes) {
        Ok(TimestampOutcome::Unchanged) => Glance::Seen(View::Agrees),
        Err(error @ (TrustError::Rollback { .. } | TrustError::TwoPayloads { .. })) => {
            Glance::Seen(View::of_failure(error.into()))
        }
        Ok(TimestampOutcome::Updated) | Err(_) => Glance::Newer,
    }
}
