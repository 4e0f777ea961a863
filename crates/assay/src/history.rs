//! From a chain to what a history is judged by: its positions, and what of upstream was imported.

use std::{collections::BTreeSet, env, path::PathBuf};

use attestation::{
    ChainId, GitOid,
    statement::{Claim, Import},
};
use importer::ObjectId;
use ledger::{
    Courts, History, HistoryError, Snapshot,
    authenticate::{Question, Report, object_id},
};
use policy::Facts;

use crate::{
    chain_state::ChainState,
    desk::{Desk, OpenDesk},
    exit::{Exit, Failure, OrExit as _, Outcome},
};

/// The chain's roots as places where a history is judged.
pub(crate) fn courts(chain: &ChainState) -> Outcome<Courts> {
    Courts::of(chain.chain, &chain.root_files, &chain.keyring, chain.now).or_exit(Exit::Refused)
}

/// Upstream's commits that people of a channel's role say they imported, each with what they say of it.
pub(crate) fn imported(chain: &ChainState, snapshot: &Snapshot) -> Outcome<Vec<Import>> {
    let mut imports = Vec::new();
    for statement in chain.statements(snapshot)?.verified {
        let Claim::Import(import) = &statement.get().claim else {
            continue;
        };
        let channel = chain.policy.channels.get(&import.channel);
        let role = channel.and_then(|channel| chain.policy.roles.get(&channel.release.role));
        let may = role.is_some_and(|role| role.people.contains(&statement.get().author));
        let upstream = channel.is_some_and(|it| it.upstream == import.upstream && it.branch == import.branch);
        if may && upstream && !imports.contains(import) {
            imports.push(import.clone());
        }
    }
    Ok(imports)
}

/// Opens the history of the desk's repository; in a hook of a push, with what the push brings.
pub(crate) fn open(desk: &Desk) -> Outcome<History> {
    let history = History::open(desk.path()).map_err(|error| match error {
        HistoryError::Shallow { .. } => Failure::new(Exit::Environment, error).next("git fetch --unshallow"),
        error => Failure::new(Exit::Environment, error),
    })?;
    match (env::var_os("GIT_QUARANTINE_PATH"), env::var_os("GIT_OBJECT_DIRECTORY")) {
        (Some(_), Some(arriving)) => history
            .with_arriving(&PathBuf::from(arriving))
            .or_exit(Exit::Environment),
        _ => Ok(history),
    }
}

/// Whether the history up to `commit` is authentic under the roots so far, from the first introduction on. Without one
/// there is nothing to hold it to.
pub(crate) fn require(open: &OpenDesk, snapshot: &Snapshot, chain: &ChainState, commit: &GitOid) -> Outcome {
    let courts = courts(chain)?;
    let Some(first) = courts.introduction() else {
        return Ok(());
    };
    let history = self::open(&open.desk)?;
    let target = object_id(commit);
    if !history.has(target) {
        return Err(
            Failure::new(Exit::Environment, format!("commit {commit} is not in this clone"))
                .next("fetch the branch that has it, and run this again"),
        );
    }
    // Calculated anew: something is signed because of it.
    let report = judge(
        chain,
        snapshot,
        &history,
        &courts,
        (first, target),
        &mut Facts::default(),
    )?;
    match report.breaks.first() {
        None => Ok(()),
        Some(found) => Err(Failure::new(
            Exit::Refused,
            format!(
                "the history up to {commit} is not authentic: the chain of trust breaks at {} {:?}: {}",
                found.commit, found.subject, found.reason
            ),
        )
        .next(format!(
            "look at it (assay authenticate {commit}); if you know what it is, and everybody who signs does: assay sign \
             --vouch-for {commit}"
        ))),
    }
}

/// Judges the history from `introduction` to `target`.
pub(crate) fn judge(
    chain: &ChainState,
    snapshot: &Snapshot,
    history: &History,
    courts: &Courts,
    (introduction, target): (ObjectId, ObjectId),
    facts: &mut Facts,
) -> Outcome<Report> {
    let claims = imported(chain, snapshot)?;
    let commits: BTreeSet<ObjectId> = claims.iter().map(|import| object_id(&import.to)).collect();
    let positions = courts.positions().or_exit(Exit::Refused)?;
    let question = Question {
        introduction,
        target,
        positions: &positions,
        imported: &commits,
        threads: std::thread::available_parallelism().unwrap_or(std::num::NonZeroUsize::MIN),
    };
    ledger::authenticate::authenticate(history, &question, facts).map_err(|error| refused(chain.chain, error))
}

fn refused(chain: ChainId, error: ledger::authenticate::AuthenticateError) -> Failure {
    use ledger::authenticate::AuthenticateError as E;
    let next = match &error {
        E::Ancestor { .. } => "name a newer commit, or an older introduction that you trust: --from COMMIT".to_owned(),
        E::Sibling { .. } | E::Unrelated { .. } => {
            "find out whose branch this is before anything of it is used; if you trust its beginning for reasons of your \
             own, name it: --from COMMIT"
                .to_owned()
        }
        E::NoPosition => format!("the roots of chain {chain} name nobody: assay policy show"),
        E::History(HistoryError::Missing { .. }) => "git fetch --refetch --no-filter, then git fsck".to_owned(),
        E::History(_) => "look for damage with git fsck".to_owned(),
    };
    let exit = match &error {
        E::History(HistoryError::OtherDigest { .. } | HistoryError::Malformed { .. }) => Exit::Refused,
        E::History(_) => Exit::Environment,
        _ => Exit::Refused,
    };
    Failure::new(exit, error).next(next)
}
