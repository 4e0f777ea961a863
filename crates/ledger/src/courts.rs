//! A chain's roots as places where a history is judged.
//!
//! A root whose `[repository]` names another introduction than the root before vouches, by the people who signed it, for
//! the history up to there, and so closes what the root before governs: that stretch is judged under the root before, at
//! the time at which this one was proposed. What no root has closed is judged under the newest one, now. A date that a
//! commit or a signature gives decides nothing.

use attestation::{ChainId, Sha256Digest, Time, tuf::Metadata as _};
use gix::ObjectId;
use policy::{Keyring, TrustError, TrustedSet, trusted_set::Judge};

use crate::authenticate::{Position, object_id};

/// The roots under which a history is judged, each at its time.
pub struct Courts {
    places: Vec<Place>,
    first: Option<ObjectId>,
    /// Of the chain, its roots and the certificates.
    given: Sha256Digest,
}

struct Place {
    set: TrustedSet,
    through: Option<ObjectId>,
}

impl Courts {
    /// The places of a chain: `roots` are the files of its roots, from version 1, `keyring` everybody's certificates.
    pub fn of(chain: ChainId, roots: &[Vec<u8>], keyring: &Keyring, now: Time) -> Result<Self, TrustError> {
        let up_to = |version: usize, at| {
            let first = roots.first().map_or(&[][..], Vec::as_slice);
            let mut set = TrustedSet::pinned(chain, first, keyring.clone(), Judge::Authentic, at)?;
            for file in roots.iter().take(version).skip(1) {
                set.update_root(file)?;
            }
            Ok::<_, TrustError>(set)
        };
        let mut set = up_to(1, now)?;
        let mut before = introduction(&set);
        let (mut first, mut places) = (before, Vec::new());
        for (index, file) in roots.iter().enumerate().skip(1) {
            set.update_root(file)?;
            let names = introduction(&set);
            first = first.or(names);
            if let Some(commit) = names.filter(|_| names != before) {
                let root = set.root();
                let at = root.policy.as_ref().and_then(|policy| root.proposed_at(policy));
                places.push(Place {
                    set: up_to(index, at.unwrap_or(now).min(now))?,
                    through: Some(commit),
                });
            }
            before = names.or(before);
        }
        places.push(Place { set, through: None });
        let mut given = format!("{chain}\n{}\n", Sha256Digest::of(keyring.to_bytes()));
        given.extend(roots.iter().map(|root| format!("{}\n", Sha256Digest::of(root))));
        let given = Sha256Digest::of(given);
        Ok(Self { places, first, given })
    }

    /// A digest of everything but the repository that decides whether a history is authentic: the chain and its roots,
    /// the certificates, when each place judges, and which keys sign validly now. `judge` names who judges (a version
    /// of this program): rules may differ.
    pub fn digest(&self, judge: &str) -> Result<Sha256Digest, TrustError> {
        let mut all = format!("history\n{judge:?}\n{}\n", self.given);
        for place in &self.places {
            let position = place.position()?;
            let closed = place.through.map(|_| position.jury.now().unix());
            all += &format!("{:?} {closed:?} {:?}\n", place.through, position.committers);
            if closed.is_none() {
                all.extend(
                    position
                        .jury
                        .standing()
                        .map(|(key, stands)| format!("{key} {stands}\n")),
                );
            }
        }
        Ok(Sha256Digest::of(all))
    }

    /// The introduction of the first root that names one.
    pub const fn introduction(&self) -> Option<ObjectId> {
        self.first
    }

    /// The positions, from the oldest to the newest.
    pub fn positions(&self) -> Result<Vec<Position<'_>>, TrustError> {
        self.places.iter().map(Place::position).collect()
    }
}

impl Place {
    fn position(&self) -> Result<Position<'_>, TrustError> {
        let court = self.set.court()?;
        let repository = court.policy().repository.as_ref();
        Ok(Position {
            root_version: self.set.root().version,
            committers: repository.map(|it| (it.commits.role.clone(), it.commits.threshold)),
            jury: court.jury(),
            through: self.through,
        })
    }
}

fn introduction(set: &TrustedSet) -> Option<ObjectId> {
    let repository = set.root().policy.as_ref()?.repository.as_ref()?;
    Some(object_id(&repository.introduction))
}
