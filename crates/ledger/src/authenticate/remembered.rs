//! Answers that stand: "under exactly this, the history up to that commit is authentic".
//!
//! A commit names all that it reaches, so what was found of it holds as long as what decides is the same: the roots, the
//! certificates, which keys sign validly now, and the introduction ([`crate::Courts::digest`] and the question). What may
//! change beside that is asked each time: the imports on which the answer rests must still be imported, and the time
//! must not have gone back. Only an answer without a break is kept, and none that a signature from the future (of a clock
//! that runs ahead) had a part in, since its key is judged at a later time when that has come.
//!
//! Notes are not among what decides: they only add signatures, and one that was seen and counted was made.

use std::collections::{BTreeMap, BTreeSet};

use attestation::{PersonName, Sha256Digest, Time};
use gix::ObjectId;
use policy::Facts;

use super::{Judgement, Question, Report};
use crate::history::History;

/// What was found of a history without a break.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// The commit up to which it goes.
    pub tip: ObjectId,
    /// When it was given.
    at: Time,
    commits: usize,
    signers: BTreeMap<PersonName, usize>,
    roots: BTreeMap<u64, usize>,
    imports: BTreeSet<ObjectId>,
    /// The ends of positions that it has met: a later one places commits anew.
    pub ends: BTreeSet<ObjectId>,
}

/// The answers that still stand and are about commits that are here (one may have come with a push that was refused),
/// the newest first.
pub(super) fn find(history: &History, question: &Question<'_>, facts: &Facts) -> Vec<Answer> {
    let (Some(under), Some(now)) = (digest(question), now(question)) else {
        return Vec::new();
    };
    let answers = facts.answers(under).filter_map(Answer::read);
    let stands =
        |answer: &Answer| answer.at <= now && answer.imports.is_subset(question.imported) && history.has(answer.tip);
    answers.filter(stands).collect()
}

/// Remembers a report, if it may be.
pub(super) fn keep(question: &Question<'_>, judgement: &Judgement, facts: &mut Facts) {
    let (Some(under), Some(now)) = (digest(question), now(question)) else {
        return;
    };
    let Judgement { report, ends, latest } = judgement;
    if !report.breaks.is_empty() || latest.is_some_and(|latest| latest > now) {
        return;
    }
    let answer = Answer {
        tip: question.target,
        at: now,
        commits: report.commits,
        signers: report.signers.clone(),
        roots: report.roots.clone(),
        imports: report.imports.clone(),
        ends: ends.clone(),
    };
    facts.remember(under, answer.write().into_bytes());
}

/// Everything that decides and does not change while it is the same.
fn digest(question: &Question<'_>) -> Option<Sha256Digest> {
    let under = question.under?;
    Some(Sha256Digest::of(format!("{under} from {}", question.introduction)))
}

fn now(question: &Question<'_>) -> Option<Time> {
    Some(question.positions.last()?.jury.now())
}

impl Answer {
    pub(super) fn report(&self) -> Report {
        Report {
            commits: self.commits,
            before: self.commits,
            signers: self.signers.clone(),
            roots: self.roots.clone(),
            imports: self.imports.clone(),
            breaks: Vec::new(),
        }
    }

    /// A word and its values a line.
    fn write(&self) -> String {
        let mut lines = vec![
            format!("tip {}", self.tip),
            format!("at {}", self.at.unix()),
            format!("commits {}", self.commits),
        ];
        lines.extend(self.signers.iter().map(|(who, count)| format!("signer {who} {count}")));
        lines.extend(self.roots.iter().map(|(root, count)| format!("root {root} {count}")));
        lines.extend(self.imports.iter().map(|import| format!("import {import}")));
        lines.extend(self.ends.iter().map(|end| format!("end {end}")));
        lines.join("\n")
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (mut tip, mut at, mut commits) = (None, None, None);
        let (mut signers, mut roots) = (BTreeMap::new(), BTreeMap::new());
        let (mut imports, mut ends) = (BTreeSet::new(), BTreeSet::new());
        for line in str::from_utf8(bytes).ok()?.lines() {
            match line.split(' ').collect::<Vec<_>>().as_slice() {
                ["tip", commit] => tip = Some(id(commit)?),
                ["at", seconds] => at = Some(Time::from_unix(seconds.parse().ok()?)),
                ["commits", count] => commits = Some(count.parse().ok()?),
                ["signer", who, count] => {
                    signers.insert(who.parse().ok()?, count.parse().ok()?);
                }
                ["root", root, count] => {
                    roots.insert(root.parse().ok()?, count.parse().ok()?);
                }
                ["import", commit] => {
                    imports.insert(id(commit)?);
                }
                ["end", commit] => {
                    ends.insert(id(commit)?);
                }
                _ => return None,
            }
        }
        Some(Self {
            tip: tip?,
            at: at?,
            commits: commits?,
            signers,
            roots,
            imports,
            ends,
        })
    }
}

fn id(text: &str) -> Option<ObjectId> {
    ObjectId::from_hex(text.as_bytes()).ok()
}
