//! Who vouches for a git object: by signatures in it, and by notes about it.

use std::collections::BTreeSet;

use attestation::{
    GitOid, PersonName, RoleName, Time,
    git::{ArmorError, Commit, GitObjectError, Note, OtherKind, Signatures, SignedBytes, Tag},
    openpgp::{PgpFormError, packets},
};

use super::{Job, Jury, key_id, work::Work};
use crate::{
    facts::{Fact, Facts},
    seal::{Verified, Vouch},
    signature::SignatureRefusal,
    threshold::{self, Shortfall, Tally, Voter},
};

/// No object may carry more signatures: those after are not looked at.
const MAX_SIGNATURES: usize = 64;

/// A git object that somebody may vouch for. Its id is its reader's word: nothing here computes a SHA-1.
#[derive(Debug, Clone)]
pub struct Candidate<'a> {
    id: GitOid,
    object: Object<'a>,
    notes: Vec<Note<'a>>,
}

#[derive(Debug, Clone)]
enum Object<'a> {
    Commit(Commit<'a>),
    Tag(Tag<'a>),
}

/// What kind of signatures an object carries itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// None.
    Unsigned,
    /// OpenPGP.
    OpenPgp,
    /// Of a kind that is not counted.
    NotCounted(OtherKind),
}

/// Too few people vouch for an object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectRefusal {
    /// Fewer than it takes.
    #[error("{shortfall}{}", also(*.seen, unreadable))]
    Threshold {
        /// Who signed, what was not counted, who could still sign.
        #[source]
        shortfall: Shortfall,
        /// What kind of signatures it carries.
        seen: Seen,
        /// Signatures that could not be read, so that nobody knows whose they are.
        unreadable: Vec<String>,
    },
    /// Only notes, which bind its SHA-1 name and nothing of its bytes.
    #[error("{} by notes alone, which bind a SHA-1 name: one of them must also have signed the object itself", who(.0))]
    NotesAlone(Vec<Vouch>),
    /// The object cannot be read in one way.
    #[error("the object cannot be judged")]
    Unreadable(#[from] GitObjectError),
    /// Judged without a chain.
    #[error("people of a keyring without a chain prove nothing; they can be counted")]
    NoChain,
}

fn who(vouches: &[Vouch]) -> String {
    let names: Vec<_> = vouches.iter().filter_map(|vouch| vouch.person.as_ref()).collect();
    let names: Vec<_> = names.into_iter().map(PersonName::as_str).collect();
    format!("signed by {}", names.join(", "))
}

fn also(seen: Seen, unreadable: &[String]) -> String {
    let mut out = match seen {
        Seen::Unsigned => "; it carries no signature".to_owned(),
        Seen::OpenPgp => String::new(),
        Seen::NotCounted(kind) => format!("; it has an {kind} signature, which is not counted"),
    };
    for reason in unreadable.iter().take(8) {
        out += &format!("; not read: {reason}");
    }
    out
}

impl<'a> Candidate<'a> {
    /// A commit object's content under its id.
    pub fn commit(id: GitOid, bytes: &'a [u8]) -> Result<Self, GitObjectError> {
        let object = Object::Commit(Commit::parse(bytes)?);
        let notes = Vec::new();
        Ok(Self { id, object, notes })
    }

    /// A tag object's content under its id.
    pub fn tag(id: GitOid, bytes: &'a [u8]) -> Result<Self, GitObjectError> {
        let object = Object::Tag(Tag::parse(bytes)?);
        let notes = Vec::new();
        Ok(Self { id, object, notes })
    }

    /// With notes about it. A note about anything else does not count.
    #[must_use]
    pub fn with_notes(mut self, notes: impl IntoIterator<Item = Note<'a>>) -> Self {
        self.notes.extend(notes);
        self
    }

    /// Its id.
    pub const fn id(&self) -> &GitOid {
        &self.id
    }

    /// The commit, if it is one.
    pub const fn as_commit(&self) -> Option<&Commit<'a>> {
        match &self.object {
            Object::Commit(commit) => Some(commit),
            Object::Tag(_) => None,
        }
    }

    /// The tag, if it is one.
    pub const fn as_tag(&self) -> Option<&Tag<'a>> {
        match &self.object {
            Object::Tag(tag) => Some(tag),
            Object::Commit(_) => None,
        }
    }

    const fn signed(&self) -> &SignedBytes<'a> {
        match &self.object {
            Object::Commit(commit) => commit.signed(),
            Object::Tag(tag) => tag.signed(),
        }
    }

    fn is_about(&self, note: &Note<'_>) -> bool {
        note.commit() == self.id && self.as_commit().is_some_and(|commit| commit.tree() == note.tree())
    }
}

/// A git object and everybody's signatures on it, each judged. It counts for nothing until a role and a threshold are
/// asked for.
pub struct Heard<'j> {
    jury: &'j Jury<'j>,
    id: GitOid,
    seen: Seen,
    votes: Vec<Vote>,
    unreadable: Vec<String>,
}

struct Vote {
    issuer: [u8; 20],
    /// In the object itself, not in a note.
    inside: bool,
    outcome: Result<Vouch, SignatureRefusal>,
}

impl Jury<'_> {
    /// Judges every signature of every candidate.
    pub fn hear<'j>(&'j self, candidates: &[Candidate<'_>], work: &mut Work<'_>) -> Vec<Heard<'j>> {
        work.share(candidates, |piece, facts, learnt| {
            let piece: Vec<_> = piece.iter().collect();
            self.hear_piece(&piece, facts, learnt)
        })
    }

    /// From the contents of commits to proof: each is read, heard, and held against a role and a threshold.
    pub fn authenticate(
        &self,
        commits: &[(GitOid, Vec<u8>)],
        role: &RoleName,
        needed: u32,
        work: &mut Work<'_>,
    ) -> Vec<Result<Verified<GitOid>, ObjectRefusal>> {
        self.hear_each(
            commits,
            |(id, bytes)| Candidate::commit(id.clone(), bytes),
            |_, heard| heard?.require(role, needed),
            work,
        )
    }

    /// Reads each item, judges every signature of what was read, and asks `outcome` of it, in the order of the items.
    /// All three are shared out among threads.
    pub fn hear_each<'i, 'j, T: Sync, R: Send>(
        &'j self,
        items: &'i [T],
        read: impl Fn(&'i T) -> Result<Candidate<'i>, GitObjectError> + Sync,
        outcome: impl Fn(&'i T, Result<Heard<'j>, GitObjectError>) -> R + Sync,
        work: &mut Work<'_>,
    ) -> Vec<R> {
        work.share(items, |piece, facts, learnt| {
            let read: Vec<_> = piece.iter().map(&read).collect();
            let candidates: Vec<_> = read.iter().flatten().collect();
            let mut heard = self.hear_piece(&candidates, facts, learnt).into_iter();
            let each = piece.iter().zip(read).filter_map(|(item, read)| match read {
                Err(error) => Some(outcome(item, Err(error))),
                // What was read was heard.
                Ok(_) => Some(outcome(item, Ok(heard.next()?))),
            });
            each.collect()
        })
    }

    fn hear_piece<'j>(
        &'j self,
        candidates: &[&Candidate<'_>],
        facts: &Facts,
        learnt: &mut Vec<Fact>,
    ) -> Vec<Heard<'j>> {
        let mut jobs = Vec::with_capacity(candidates.len());
        let mut heard: Vec<_> = candidates
            .iter()
            .enumerate()
            .map(|(place, candidate)| self.listen(place, candidate, &mut jobs))
            .collect();
        self.calculate(&mut jobs, facts, learnt, |job| {
            let (object, vote) = job.place;
            heard[object].votes[vote].outcome = Ok(self.vouch(job.key, job.packet.created()));
        });
        heard
    }

    /// Reads every signature; what remains to be calculated is added to `jobs`. Until it is, it is bad.
    fn listen<'j, 'c>(&'j self, place: usize, candidate: &'c Candidate<'_>, jobs: &mut Vec<Job<'c>>) -> Heard<'j> {
        let signed = candidate.signed();
        let mut heard = Heard {
            jury: self,
            id: candidate.id.clone(),
            seen: match signed.signatures() {
                Signatures::None => Seen::Unsigned,
                Signatures::OpenPgp(_) => Seen::OpenPgp,
                Signatures::NotCounted(kind) => Seen::NotCounted(*kind),
            },
            votes: Vec::new(),
            unreadable: Vec::new(),
        };
        if let Signatures::OpenPgp(blocks) = signed.signatures() {
            for block in blocks {
                match block {
                    Ok(bytes) => heard.add(self, place, &signed.payload(), bytes, true, jobs),
                    Err(error) => heard.cannot_read(error),
                }
            }
        }
        for note in &candidate.notes {
            if candidate.is_about(note) {
                heard.add(self, place, &[note.payload()], note.packets(), false, jobs);
            } else {
                heard.unreadable.push(format!(
                    "a note about commit {} and tree {}",
                    note.commit(),
                    note.tree()
                ));
            }
        }
        heard
    }
}

impl<'j> Heard<'j> {
    fn add<'c>(
        &mut self,
        jury: &Jury<'_>,
        place: usize,
        document: &[&[u8]],
        bytes: &'c [u8],
        inside: bool,
        jobs: &mut Vec<Job<'c>>,
    ) {
        for packet in packets(bytes) {
            if self.votes.len() + self.unreadable.len() >= MAX_SIGNATURES {
                self.unreadable
                    .push(format!("more than {MAX_SIGNATURES} signatures on one object"));
                return;
            }
            let packet = match packet {
                Ok(packet) => packet,
                Err(error) => {
                    self.form(&error);
                    continue;
                }
            };
            let refusal = match jury.admissible(&packet) {
                Ok(key) => {
                    jobs.push(Job::new((place, self.votes.len()), key, packet, document));
                    SignatureRefusal::Bad
                }
                Err(refusal) => refusal,
            };
            self.votes.push(Vote {
                issuer: *packet.issuer(),
                inside,
                outcome: Err(refusal),
            });
        }
    }

    fn cannot_read(&mut self, error: &ArmorError) {
        self.unreadable.push(error.to_string());
    }

    fn form(&mut self, error: &PgpFormError) {
        self.unreadable.push(error.to_string());
    }

    /// The object's id.
    pub const fn id(&self) -> &GitOid {
        &self.id
    }

    /// What kind of signatures it carries itself.
    pub const fn seen(&self) -> Seen {
        self.seen
    }

    /// Everybody whose signature is good, each once, whatever their role: to be shown. It proves nothing.
    pub fn signers(&self) -> BTreeSet<&PersonName> {
        let good = self.votes.iter().filter_map(|vote| vote.outcome.as_ref().ok());
        good.filter_map(|vouch| vouch.person.as_ref()).collect()
    }

    /// The latest date of a good signature on it.
    pub fn latest(&self) -> Option<Time> {
        let good = self.votes.iter().filter_map(|vote| vote.outcome.as_ref().ok());
        good.filter_map(|vouch| vouch.signed_at).max()
    }

    /// The object, if so many distinct people of `role` vouch for it, under the court's policy at its position. Notes
    /// count beside a signature of somebody of the role in the object itself.
    pub fn require(&self, role: &RoleName, needed: u32) -> Result<Verified<GitOid>, ObjectRefusal> {
        let court = self.jury.court.as_ref().ok_or(ObjectRefusal::NoChain)?;
        let members = court.policy().roles.get(role).map(|role| &role.people);
        let nobody = BTreeSet::new();
        let members = members.unwrap_or(&nobody);
        let vouches = self.enough(members, role, needed)?;
        let is_inside = |vote: &Vote| vote.inside && is_member(vote, members);
        if !self.votes.iter().any(is_inside) {
            return Err(ObjectRefusal::NotesAlone(vouches));
        }
        Ok(Verified::new(
            self.id.clone(),
            court.evidence(role.clone(), needed, vouches),
        ))
    }

    /// Who of `group` vouches for the object, notes alone included, if they are so many: counted, and no proof.
    pub fn count(&self, group: &BTreeSet<PersonName>, needed: u32) -> Result<Vec<Vouch>, ObjectRefusal> {
        self.enough(group, &crate::root::role("group"), needed)
    }

    fn enough(
        &self,
        members: &BTreeSet<PersonName>,
        role: &RoleName,
        needed: u32,
    ) -> Result<Vec<Vouch>, ObjectRefusal> {
        let good = self.votes.iter().filter_map(|vote| vote.outcome.as_ref().ok());
        if let Some(vouches) = threshold::enough(members, good, needed) {
            return Ok(vouches);
        }
        self.tally(members)
            .require(role, needed)
            .map_err(|shortfall| ObjectRefusal::Threshold {
                shortfall,
                seen: self.seen,
                unreadable: self.unreadable.clone(),
            })
    }

    fn tally(&self, members: &BTreeSet<PersonName>) -> Tally {
        let electorate = members.iter().cloned().map(Voter::Person).collect();
        let votes = self.votes.iter().map(|vote| {
            let outcome = vote.outcome.clone().and_then(|vouch| match &vouch.person {
                Some(person) => Ok((Voter::Person(person.clone()), vouch)),
                None => Err(SignatureRefusal::NotInRole),
            });
            (key_id(&vote.issuer), outcome)
        });
        threshold::count(&electorate, votes)
    }
}

fn is_member(vote: &Vote, members: &BTreeSet<PersonName>) -> bool {
    let person = vote.outcome.as_ref().ok().and_then(|vouch| vouch.person.as_ref());
    person.is_some_and(|person| members.contains(person))
}
