//! From a chain to what a history is judged by: its positions, and what of upstream was imported.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    path::PathBuf,
};

use attestation::{
    ChainId, GitOid, PersonName,
    statement::{Claim, Import},
};
use importer::ObjectId;
use ledger::{
    Courts, History, HistoryError, Snapshot,
    authenticate::{Question, Report, object_id, oid},
};
use policy::Facts;

use crate::{
    chain_state::ChainState,
    desk::{Desk, OpenDesk},
    exit::{Exit, Failure, OrExit as _, Outcome},
    facts,
};

/// The chain's roots as places where a history is judged.
pub(crate) fn courts(chain: &ChainState) -> Outcome<Courts> {
    Courts::of(chain.chain, &chain.root_files, &chain.keyring, chain.now).or_exit(Exit::Refused)
}

/// What people of the channels' roles say they imported, held against upstream as this clone fetched it.
///
/// One person's statement would else be enough to keep any commit from being judged.
#[derive(Default)]
pub(crate) struct Imports {
    /// What a history may rest on.
    pub claims: Vec<Import>,
    /// Commits of `claims` whose upstream this clone never fetched: they rest on their statements alone.
    pub unchecked: BTreeMap<ObjectId, Import>,
    /// Commits that upstream, as this clone fetched it, does not have. Nothing rests on them.
    pub foreign: BTreeMap<ObjectId, Foreign>,
}

/// Somebody's statement that a commit was imported, which upstream does not have.
pub(crate) struct Foreign {
    /// Who says so.
    pub author: PersonName,
    /// What they say.
    pub import: Import,
    /// Upstream's newest commit in this clone.
    pub tip: ObjectId,
}

/// A history, judged, and what of upstream it was held against.
pub(crate) struct Judged {
    /// What was found.
    pub report: Report,
    /// What people say they imported.
    pub imports: Imports,
}

impl Judged {
    /// The imports on which the history rests without this clone knowing more than their statements.
    pub(crate) fn unchecked(&self) -> impl Iterator<Item = &Import> {
        let rests = |(commit, _): &(&ObjectId, &Import)| self.report.imports.contains(*commit);
        self.imports.unchecked.iter().filter(rests).map(|(_, import)| import)
    }
}

/// How a clone gets to know a channel's upstream.
pub(crate) fn fetching(import: &Import) -> String {
    let Import {
        channel,
        upstream,
        branch,
        ..
    } = import;
    format!(
        "assay import --channel {channel} fetches it; where nobody imports, as in CI: git fetch --no-tags {upstream} \
         {branch}:{}",
        Desk::upstream_ref(channel)
    )
}

/// What people say they imported of commits that this clone has. Of the others nothing here can be made.
fn imports(
    desk: &Desk,
    chain: &ChainState,
    snapshot: &Snapshot,
    history: &History,
    facts: &mut Facts,
) -> Outcome<Imports> {
    let mut claims: BTreeMap<(String, String), Vec<(PersonName, Import)>> = BTreeMap::new();
    for statement in chain.statements(snapshot)?.verified {
        let Claim::Import(import) = &statement.get().claim else {
            continue;
        };
        let author = &statement.get().author;
        let channel = chain.policy.channels.get(&import.channel);
        let role = channel.and_then(|channel| chain.policy.roles.get(&channel.release.role));
        let may = role.is_some_and(|role| role.people.contains(author));
        let upstream = channel.is_some_and(|it| it.upstream == import.upstream && it.branch == import.branch);
        if may && upstream && history.has(object_id(&import.to)) {
            let of_upstream = claims
                .entry((import.upstream.clone(), import.branch.clone()))
                .or_default();
            of_upstream.push((author.clone(), import.clone()));
        }
    }
    let (mut imports, mut checked) = (Imports::default(), BTreeSet::new());
    for ((upstream, branch), claims) in claims {
        let mut tips = Vec::new();
        for (name, entry) in &chain.policy.channels {
            if entry.upstream == upstream && entry.branch == branch {
                tips.extend(desk.fetched_upstream(name)?);
            }
        }
        let wanted: BTreeSet<_> = claims.iter().map(|(_, import)| object_id(&import.to)).collect();
        let there = history
            .ancestors_known(&tips, &wanted, facts)
            .or_exit(Exit::Environment)?;
        for (author, import) in claims {
            let commit = object_id(&import.to);
            match tips.first() {
                Some(tip) if !there.contains(&commit) => {
                    let tip = *tip;
                    imports.foreign.entry(commit).or_insert(Foreign { author, import, tip });
                    continue;
                }
                Some(_) => {
                    checked.insert(commit);
                }
                None => {
                    imports.unchecked.entry(commit).or_insert_with(|| import.clone());
                }
            }
            if !imports.claims.contains(&import) {
                imports.claims.push(import);
            }
        }
    }
    // Two channels may follow two upstreams; one that is known to have the commit is enough.
    imports.unchecked.retain(|commit, _| !checked.contains(commit));
    imports.foreign.retain(|commit, _| !checked.contains(commit));
    Ok(imports)
}

/// Whether the imports on which the judged commits rest are what their statements say of their trees. (Upstream's side
/// is not judged commit by commit, so it is judged by its bytes.)
fn check_trees(desk: &Desk, claims: &[Import], report: &Report, facts: &mut Facts) -> Outcome {
    for commit in &report.imports {
        let of_commit = || claims.iter().filter(|claim| object_id(&claim.to) == *commit);
        // In a hook, what a push brings is not in the repository yet: there upstream is fetched beforehand.
        let fetch = || of_commit().next().map(fetching).unwrap_or_default();
        let tree = desk
            .repository
            .commit(*commit)
            .or_exit_with(Exit::Environment, fetch)?
            .tree;
        let known =
            |claim: &Import| object_id(&claim.to_tree) == tree && facts.has_tree_nar(&claim.to_tree, claim.tree_nar);
        if of_commit().any(known) {
            continue;
        }
        let nar = desk
            .repository
            .tree_nar(tree, &[])
            .or_exit_with(Exit::Environment, fetch)?;
        let holds = of_commit().any(|claim| object_id(&claim.to_tree) == tree && claim.tree_nar == nar.sha256);
        if !holds {
            let said: Vec<_> = of_commit()
                .map(|claim| format!("tree {} with NAR {}", claim.to_tree, claim.tree_nar))
                .collect();
            return Err(Failure::new(
                Exit::Refused,
                format!(
                    "the import of {commit} is not what its statement says: this clone derives tree {tree} with NAR {}, \
                     stated is {}",
                    nar.sha256,
                    said.join(", ")
                ),
            )
            .code_word("import-not-as-stated")
            .next("compare with whoever made the statement (assay log); until then nothing that rests on it is authentic"));
        }
        facts.learn_tree_nar(&oid(tree), nar.sha256);
    }
    Ok(())
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
    let judged = judge(
        &open.desk,
        chain,
        snapshot,
        &history,
        &courts,
        (first, target),
        &mut Facts::default(),
    )?;
    if let Some(import) = judged.unchecked().next() {
        return Err(Failure::new(
            Exit::Refused,
            format!(
                "the history up to {commit} rests on the import of {}, and this clone never fetched upstream of {}",
                import.to, import.channel
            ),
        )
        .code_word("upstream-never-fetched")
        .next(fetching(import)));
    }
    match judged.report.breaks.first() {
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
    desk: &Desk,
    chain: &ChainState,
    snapshot: &Snapshot,
    history: &History,
    courts: &Courts,
    (introduction, target): (ObjectId, ObjectId),
    facts: &mut Facts,
) -> Outcome<Judged> {
    let imports = imports(desk, chain, snapshot, history, facts)?;
    let commits: BTreeSet<ObjectId> = imports.claims.iter().map(|import| object_id(&import.to)).collect();
    let positions = courts.positions().or_exit(Exit::Refused)?;
    let question = Question {
        introduction,
        target,
        positions: &positions,
        imported: &commits,
        under: Some(courts.digest(&facts::judge()).or_exit(Exit::Refused)?),
        threads: std::thread::available_parallelism().unwrap_or(std::num::NonZeroUsize::MIN),
    };
    let report =
        ledger::authenticate::authenticate(history, &question, facts).map_err(|error| refused(chain.chain, error))?;
    check_trees(desk, &imports.claims, &report, facts)?;
    Ok(Judged { report, imports })
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
        E::History(
            HistoryError::OtherDigest { .. } | HistoryError::Collision { .. } | HistoryError::Malformed { .. },
        ) => Exit::Refused,
        E::History(_) => Exit::Environment,
        _ => Exit::Refused,
    };
    Failure::new(exit, error).next(next)
}
