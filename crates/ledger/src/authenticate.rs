//! Whether the history of a commit was made by those who may, from an introduction on.
//!
//! Every commit that the target reaches and the introduction does not is judged at its position: under the root that was
//! in force when the people of the next root (or of a release) vouched for the history up to there, and those after the
//! last such place under the newest root, now. So somebody who was removed, or whose key was found, adds nothing to a
//! branch that forked before, whatever dates the commits have. What was imported from upstream is not judged commit by
//! commit: whoever merges it signs the merge, and the import has its own statement.
//!
//! Who may is `policy`'s to say ([`Jury`]); this walks and reports.

mod breaks;
mod remembered;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    num::NonZeroUsize,
    sync::mpsc,
    thread,
};

use attestation::{GitOid, PersonName, RoleName, Sha256Digest, Time, git::Note};
use gix::ObjectId;
use policy::{
    Facts,
    jury::{Candidate, Heard, Jury, Work},
};

use crate::history::{History, HistoryError, Node, Reach};
use breaks::breaks;
use remembered::Answer;

pub use breaks::{Break, BreakReason};

/// How many commits are judged at once.
const PIECE: usize = 16 << 10;

/// How many such pieces may wait, in memory, for those who judge.
const AHEAD: usize = 4;

/// A stretch of history, and who may have made it.
pub struct Position<'j> {
    /// The version of the root that governs it.
    pub root_version: u64,
    /// The people of that root, at the time at which the stretch was closed (or now).
    pub jury: Jury<'j>,
    /// Which role signs commits, and how many of its people; `None` if that root lets nobody commit.
    pub committers: Option<(RoleName, u32)>,
    /// The commit up to which history belongs here; `None` for the last position.
    pub through: Option<ObjectId>,
}

/// What is asked.
pub struct Question<'a> {
    /// The commit that is trusted for reasons of the asker's own.
    pub introduction: ObjectId,
    /// The commit that is asked about.
    pub target: ObjectId,
    /// From the oldest to the newest; at least one, and the last one has no end.
    pub positions: &'a [Position<'a>],
    /// Commits of upstream that people imported.
    pub imported: &'a BTreeSet<ObjectId>,
    /// What [`crate::Courts::digest`] says, if an answer that was given under it may stand, and this one be remembered.
    pub under: Option<Sha256Digest>,
    /// How many threads may work.
    pub threads: NonZeroUsize,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Report {
    /// How many commits were judged.
    pub commits: usize,
    /// How many of them were judged before, under the same digest of everything that decides.
    pub before: usize,
    /// How many commits each person signed.
    pub signers: BTreeMap<PersonName, usize>,
    /// How many commits were judged under which root.
    pub roots: BTreeMap<u64, usize>,
    /// The imports on which the judged commits rest.
    pub imports: BTreeSet<ObjectId>,
    /// Where the chain of trust breaks, the oldest first; empty if it does not.
    pub breaks: Vec<Break>,
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticateError {
    /// The target is older than what is trusted.
    #[error(
        "{target} is an ancestor of the introduction {introduction}: it was before anybody could be held to a policy"
    )]
    Ancestor {
        /// The commit that is asked about.
        target: ObjectId,
        /// The introduction.
        introduction: ObjectId,
    },
    /// The target parted from what is trusted.
    #[error("{target} does not descend from the introduction {introduction}: they parted before it")]
    Sibling {
        /// The commit that is asked about.
        target: ObjectId,
        /// The introduction.
        introduction: ObjectId,
    },
    /// The target has nothing to do with what is trusted.
    #[error("{target} has no history in common with the introduction {introduction}")]
    Unrelated {
        /// The commit that is asked about.
        target: ObjectId,
        /// The introduction.
        introduction: ObjectId,
    },
    /// There is no position to judge at.
    #[error("no root says who may commit")]
    NoPosition,
    /// The history cannot be read.
    #[error(transparent)]
    History(#[from] HistoryError),
}

/// Judges every commit from the introduction to the target. What was answered before, under the same digest, is not
/// judged again; what was calculated is added to `facts`.
pub fn authenticate(
    history: &History,
    question: &Question<'_>,
    facts: &mut Facts,
) -> Result<Report, AuthenticateError> {
    let known = remembered::find(history, question, facts);
    if let Some(same) = known.iter().find(|answer| answer.tip == question.target) {
        return Ok(same.report());
    }
    let further = match known.first() {
        Some(before) => judge(history, question, Some(before), facts)?,
        None => None,
    };
    let judgement = match further {
        Some(judgement) => judgement,
        None => judge(history, question, None, facts)?.ok_or(AuthenticateError::NoPosition)?,
    };
    remembered::keep(question, &judgement, facts);
    Ok(judgement.report)
}

/// A report, and what of it decides whether it may be remembered.
struct Judgement {
    report: Report,
    /// The ends of positions that were met.
    ends: BTreeSet<ObjectId>,
    /// The latest date of a signature that counted.
    latest: Option<Time>,
}

/// Judges what the target reaches, and what was answered before does not; `None` if the target does not descend from the
/// commit of that answer, or a position ends between them: then what was answered before says nothing.
fn judge(
    history: &History,
    question: &Question<'_>,
    before: Option<&Answer>,
    facts: &mut Facts,
) -> Result<Option<Judgement>, AuthenticateError> {
    let newest = question.positions.last().ok_or(AuthenticateError::NoPosition)?;
    let mut trusted = vec![question.introduction];
    trusted.extend(before.map(|answer| answer.tip));
    let mut excluded = trusted.clone();
    for import in question.imported {
        // A statement may name a commit that this clone never fetched; then nothing here rests on it.
        if history.has(*import) {
            excluded.push(*import);
        }
    }
    let noted = history.noted().map_err(HistoryError::from)?;
    let mut bench = Bench {
        history: history.clone(),
        noted,
        threads: question.threads,
        facts,
    };
    // While one thread reads, others judge as if all belonged to the newest position, where most do.
    let (sender, receiver) = mpsc::sync_channel::<Vec<Read>>(AHEAD);
    let (reach, judged) = thread::scope(|scope| {
        let judging = scope.spawn(move || -> Result<_, AuthenticateError> {
            let mut judged = HashMap::new();
            for piece in receiver {
                bench.judge(newest, &piece, &mut judged)?;
            }
            Ok((bench, judged))
        });
        let mut piece = Vec::new();
        let reach = history.reach(question.target, &excluded, |id, bytes| {
            piece.push((id, bytes.to_vec()));
            if piece.len() == PIECE {
                // A judge that is gone has a reason, which is met below.
                let _ = sender.send(std::mem::take(&mut piece));
            }
        });
        let _ = sender.send(piece);
        drop(sender);
        let judged = judging
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok::<_, AuthenticateError>((reach?, judged))
    })?;
    let (mut bench, mut outcomes) = judged;
    let ends = question.positions.iter().filter_map(|position| position.through);
    let ends: Vec<_> = ends.collect();
    let met: BTreeSet<_> = ends.iter().copied().filter(|end| reach.has(end)).collect();
    match before {
        None => relation(history, question, &reach)?,
        Some(answer) if met.is_empty() && reach.edge().contains(&answer.tip) => {}
        Some(_) => return Ok(None),
    }
    let counted = before.map(|answer| counted(history, &reach, answer.tip)).transpose()?;
    let counted = counted.unwrap_or_default();

    let positions = reach.positions(&ends);
    for (index, position) in question.positions.iter().enumerate().take(ends.len()) {
        let belong = reach.nodes().iter().zip(&positions).filter(|(_, at)| **at == index);
        let belong: Vec<&Node> = belong.map(|(node, _)| node).collect();
        for piece in belong.chunks(PIECE) {
            let read = bench.read(piece)?;
            bench.judge(position, &read, &mut outcomes)?;
        }
    }

    let mut report = before.map(Answer::report).unwrap_or_default();
    report.commits += reach.nodes().len() - counted.len();
    report.imports.extend(reach.edge().intersection(question.imported));
    let (mut refused, mut latest) = (BTreeMap::new(), None);
    for node in reach.nodes() {
        let Some(outcome) = outcomes.remove(&node.id) else {
            return Err(HistoryError::Missing { id: node.id }.into());
        };
        if counted.contains(&node.id) {
            continue;
        }
        *report.roots.entry(outcome.root_version).or_default() += 1;
        latest = latest.max(outcome.latest);
        for person in outcome.signers {
            *report.signers.entry(person).or_default() += 1;
        }
        if let Some(reason) = outcome.refused {
            refused.insert(node.id, (outcome.root_version, reason));
        }
    }
    // Those that only their dates left among the judged ones.
    let spared = history.ancestors_among(&excluded, &refused.keys().copied().collect())?;
    report
        .imports
        .extend(behind(history, question, &trusted, &reach, &spared)?);
    for commit in spared {
        if let Some((root_version, _)) = refused.remove(&commit) {
            report.commits -= 1;
            *report.roots.entry(root_version).or_default() -= 1;
        }
    }
    report.breaks = breaks(history, question, &reach, refused)?;
    let ends = before.map(|answer| answer.ends.clone()).unwrap_or(met);
    Ok(Some(Judgement { report, ends, latest }))
}

/// Those of the commits that an answer up to `tip` has counted: commits of one second, and ones with dates that are a
/// little wrong, can be met again. (A date that is more wrong lets one be counted twice, and changes nothing else.)
fn counted(history: &History, reach: &Reach, tip: ObjectId) -> Result<BTreeSet<ObjectId>, HistoryError> {
    const DAY: i64 = 86_400;
    let beside = reach.beside(tip);
    let oldest = beside.iter().map(|node| node.committed).min();
    let beside = beside.iter().map(|node| node.id).collect();
    history.ancestors_since(&[tip], &beside, oldest.unwrap_or(i64::MAX).saturating_sub(DAY))
}

/// The imports that keep a commit from being judged without being met themselves: a history can merge what an imported
/// commit descends from.
fn behind(
    history: &History,
    question: &Question<'_>,
    trusted: &[ObjectId],
    reach: &Reach,
    spared: &BTreeSet<ObjectId>,
) -> Result<BTreeSet<ObjectId>, HistoryError> {
    let unexplained = |id: &&ObjectId| !question.imported.contains(*id) && !trusted.contains(*id);
    let mut hidden: BTreeSet<_> = reach.edge().iter().chain(spared).filter(unexplained).copied().collect();
    for older in history.ancestors_among(trusted, &hidden)? {
        hidden.remove(&older);
    }
    // Those that are met may be reason enough.
    let met = question.imported.intersection(reach.edge());
    let mut found = BTreeSet::new();
    for import in met.chain(question.imported) {
        if hidden.is_empty() {
            break;
        }
        for covered in history.ancestors_among(&[*import], &hidden)? {
            hidden.remove(&covered);
            found.insert(*import);
        }
    }
    Ok(found)
}

/// A commit and its bytes.
type Read = (ObjectId, Vec<u8>);

/// What was found about one commit.
struct Judged {
    root_version: u64,
    signers: Vec<PersonName>,
    latest: Option<Time>,
    refused: Option<BreakReason>,
}

struct Bench<'f> {
    history: History,
    noted: BTreeSet<ObjectId>,
    threads: NonZeroUsize,
    facts: &'f mut Facts,
}

impl Bench<'_> {
    fn judge(
        &mut self,
        position: &Position<'_>,
        piece: &[Read],
        judged: &mut HashMap<ObjectId, Judged>,
    ) -> Result<(), AuthenticateError> {
        let mut notes = BTreeMap::new();
        for (id, _) in piece.iter().filter(|(id, _)| self.noted.contains(id)) {
            notes.insert(*id, self.history.note_lines(*id).map_err(HistoryError::from)?);
        }
        let mut work = Work {
            threads: self.threads,
            facts: self.facts,
        };
        let root_version = position.root_version;
        let outcomes = position.jury.hear_each(
            piece,
            |(id, bytes)| candidate(*id, bytes, &notes),
            |(id, _), heard| {
                let outcome = match heard {
                    Ok(heard) => Judged {
                        root_version,
                        signers: heard.signers().into_iter().cloned().collect(),
                        latest: heard.latest(),
                        refused: verdict(position, &heard).err(),
                    },
                    Err(error) => Judged {
                        root_version,
                        signers: Vec::new(),
                        latest: None,
                        refused: Some(error.into()),
                    },
                };
                (*id, outcome)
            },
            &mut work,
        );
        judged.extend(outcomes);
        Ok(())
    }

    fn read(&self, nodes: &[&Node]) -> Result<Vec<Read>, HistoryError> {
        let mut all = Vec::with_capacity(nodes.len());
        for node in nodes {
            let mut bytes = Vec::new();
            self.history.commit_bytes(node.id, &mut bytes)?;
            all.push((node.id, bytes));
        }
        Ok(all)
    }
}

fn candidate<'a>(
    id: ObjectId,
    bytes: &'a [u8],
    notes: &'a BTreeMap<ObjectId, Vec<String>>,
) -> Result<Candidate<'a>, attestation::git::GitObjectError> {
    let lines = notes.get(&id).into_iter().flatten();
    // A line that is none neither counts nor spoils anything.
    let lines = lines.filter_map(|line| Note::parse(line.as_bytes()).ok());
    Ok(Candidate::commit(oid(id), bytes)?.with_notes(lines))
}

fn verdict(position: &Position<'_>, heard: &Heard<'_>) -> Result<(), BreakReason> {
    let Position { root_version, .. } = *position;
    let (role, needed) = position
        .committers
        .as_ref()
        .ok_or(BreakReason::Nobody { root_version })?;
    heard.require(role, *needed)?;
    Ok(())
}

/// Whether the target descends from the introduction; if not, what they have to do with each other.
fn relation(history: &History, question: &Question<'_>, reach: &Reach) -> Result<(), AuthenticateError> {
    let Question {
        introduction, target, ..
    } = *question;
    if target == introduction || reach.edge().contains(&introduction) {
        return Ok(());
    }
    Err(if history.descends_from(introduction, target)? {
        AuthenticateError::Ancestor { target, introduction }
    } else if history.has_common_ancestor(introduction, target)? {
        AuthenticateError::Sibling { target, introduction }
    } else {
        AuthenticateError::Unrelated { target, introduction }
    })
}

/// A git id as the rest of the workspace names it.
pub fn oid(id: ObjectId) -> GitOid {
    id.to_hex()
        .to_string()
        .parse()
        .expect("repositories are opened with SHA-1 names")
}

/// A git id as gix names it.
pub fn object_id(oid: &GitOid) -> ObjectId {
    ObjectId::from_hex(oid.as_str().as_bytes()).expect("a git id is 40 hexadecimal digits")
}
