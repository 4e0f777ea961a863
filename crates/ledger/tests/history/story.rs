//! A repository and the chain that says who commits to it.

use std::{collections::BTreeSet, num::NonZeroUsize};

use attestation::{
    Seconds, Time,
    chain::{PolicyDocument, ReleaseRole, RepositoryPolicy},
};
use gix::ObjectId;
use ledger::{
    Courts, History,
    authenticate::{AuthenticateError, BreakReason, Question, Report, authenticate, object_id},
};
use policy::{
    Facts,
    jury::{ObjectRefusal, Seen},
};
use testkit::{Repo, TestChain, TestPerson, chain::people};

pub(crate) const NOW: Time = Time::JAN_2026;

pub(crate) fn later(days: u64) -> Time {
    NOW.plus(Seconds::days(days))
}

/// Alice, bob and carol commit (they are `reviewers`); dave is known to the policy and does not.
pub(crate) struct Story {
    pub(crate) repo: Repo,
    pub(crate) chain: TestChain,
    pub(crate) introduction: String,
    pub(crate) imported: BTreeSet<ObjectId>,
    pub(crate) facts: std::cell::RefCell<Facts>,
}

impl Story {
    pub(crate) fn new() -> Self {
        Self::with_threshold(1)
    }

    pub(crate) fn with_threshold(threshold: u32) -> Self {
        Self::with_people(people(NOW), threshold)
    }

    pub(crate) fn with_people(people: Vec<TestPerson>, threshold: u32) -> Self {
        let repo = Repo::new();
        let before = repo.commit(&[], "long ago", &[], NOW);
        let introduction = repo.commit(&[&before], "introduction", &[], NOW);
        let commits = ReleaseRole {
            role: "reviewers".parse().unwrap(),
            threshold,
        };
        let named = introduction.parse().unwrap();
        let chain = TestChain::with_policy(people, NOW, |policy| {
            policy.repository = Some(RepositoryPolicy {
                introduction: named,
                commits,
            });
        });
        Self {
            repo,
            chain,
            introduction,
            imported: BTreeSet::new(),
            facts: std::cell::RefCell::default(),
        }
    }

    /// A commit on top of `parent` that these people signed.
    pub(crate) fn on(&self, parent: &str, message: &str, people: &[&str]) -> String {
        self.merge(&[parent], message, people)
    }

    /// A commit with these parents that these people signed.
    pub(crate) fn merge(&self, parents: &[&str], message: &str, people: &[&str]) -> String {
        let people: Vec<_> = people.iter().map(|name| self.chain.person(name)).collect();
        self.repo.commit(parents, message, &people, self.chain.now)
    }

    /// The next root, which vouches for the history up to `introduction`.
    pub(crate) fn rotate(&mut self, introduction: &str, edit: impl FnOnce(&mut PolicyDocument)) {
        let introduction = introduction.parse().unwrap();
        self.chain.rotate(|policy| {
            if let Some(repository) = &mut policy.repository {
                repository.introduction = introduction;
            }
            edit(policy);
        });
    }

    /// The files of all roots.
    pub(crate) fn roots(&self) -> Vec<Vec<u8>> {
        (1..)
            .map_while(|version| self.chain.files.get(&format!("metadata/{version}.root.json")).cloned())
            .collect()
    }

    pub(crate) fn courts(&self) -> Courts {
        Courts::of(self.chain.id(), &self.roots(), &self.chain.keyring, self.chain.now).unwrap()
    }

    pub(crate) fn history(&self) -> History {
        History::open(&self.repo.path()).unwrap()
    }

    /// Judges from the introduction to `target`.
    pub(crate) fn judge(&self, target: &str) -> Result<Report, AuthenticateError> {
        self.judge_from(&self.introduction, target)
    }

    pub(crate) fn judge_from(&self, introduction: &str, target: &str) -> Result<Report, AuthenticateError> {
        let courts = self.courts();
        let positions = courts.positions().unwrap();
        let history = self.history();
        let mut question = Question {
            introduction: id(introduction),
            target: history.target(target)?.commit,
            positions: &positions,
            imported: &self.imported,
            under: None,
            threads: NonZeroUsize::new(2).unwrap(),
        };
        let anew = authenticate(&history, &question, &mut Facts::default());
        // Whatever was answered before, the answer is the one that nobody remembers.
        question.under = Some(courts.digest("tests").unwrap());
        let again = authenticate(&history, &question, &mut self.facts.borrow_mut());
        let said = |answer: &Result<Report, AuthenticateError>| match answer {
            Ok(found) => format!(
                "{} {:?} {:?} {:?} {:?}",
                found.commits, found.signers, found.roots, found.imports, found.breaks
            ),
            Err(error) => error.to_string(),
        };
        assert_eq!(said(&anew), said(&again));
        again
    }

    /// Judged and found good: how many commits there were.
    #[track_caller]
    pub(crate) fn authentic(&self, target: &str) -> usize {
        let report = self.judge(target).unwrap();
        assert!(report.breaks.is_empty(), "{:?}", report.breaks);
        report.commits
    }

    /// Judged and found broken: the commits at which it is, those first at which it begins.
    #[track_caller]
    pub(crate) fn broken(&self, target: &str) -> Vec<(String, Why)> {
        let report = self.judge(target).unwrap();
        assert!(!report.breaks.is_empty(), "taken for authentic");
        report
            .breaks
            .iter()
            .map(|found| (found.commit.to_string(), why(&found.reason)))
            .collect()
    }
}

/// What kind of refusal it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    Unsigned,
    OtherKind,
    TooFew,
    NotesAlone,
    Nobody,
    Malformed,
}

pub(crate) fn why(reason: &BreakReason) -> Why {
    match reason {
        BreakReason::Refused(ObjectRefusal::Threshold { seen, .. }) => match seen {
            Seen::Unsigned => Why::Unsigned,
            Seen::NotCounted(_) => Why::OtherKind,
            Seen::OpenPgp => Why::TooFew,
        },
        BreakReason::Refused(ObjectRefusal::NotesAlone(_)) => Why::NotesAlone,
        BreakReason::Refused(other) => panic!("{other}"),
        BreakReason::Nobody { .. } => Why::Nobody,
        BreakReason::Object(_) => Why::Malformed,
    }
}

pub(crate) fn id(text: &str) -> ObjectId {
    object_id(&text.parse().unwrap())
}
