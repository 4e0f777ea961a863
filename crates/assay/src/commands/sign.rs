//! Deriving again whatever waits for the user's signature, and signing it.
//!
//! Everything pending is derived from this clone's own objects before the key is opened. One proposal that is not
//! what this clone derives stops the run: somebody's machine lies or is broken, and people should know before
//! they sign anything else.

mod check;

pub(crate) use check::{Checker, lag};

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use attestation::{
    Sha256Digest, StatementId,
    pending::Proposal,
    statement::{Claim, Statement},
    tuf::Metadata as _,
};
use ledger::{NewFile, Snapshot, sequence::Next};
use policy::{Tally, root};
use serde_json::json;
use signer::{Document, Signer};

use self::check::Checked;
use crate::{
    chain_state::{self, ChainState},
    cli::Global,
    desk::{Desk, OpenDesk},
    exit::{Exit, Failure, OrExit as _, Outcome},
    hardware, keys, output,
    statements::Statements,
};

/// Derive again whatever waits for your signature, and sign it.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  assay sign\n  assay sign --only 5e1f…")]
pub(crate) struct Args {
    /// Only the proposal with this payload
    #[arg(long, value_name = "SHA256")]
    only: Option<Sha256Digest>,
    /// Sign a root that vouches for the history up to this commit although it is not authentic, because you looked at it
    #[arg(long, value_name = "COMMIT")]
    vouch_for: Option<attestation::GitOid>,
    /// Sign without being asked
    #[arg(long, short)]
    yes: bool,
}

/// Something that was checked and waits for the user's signature.
struct Ready {
    payload: Sha256Digest,
    checked: Checked,
}

/// Runs it.
pub(crate) fn run(global: &Global, args: &Args) -> Outcome {
    let mut open = Desk::open_ledger(global)?;
    let snapshot = open.snapshot()?;
    let chain = ChainState::load(&snapshot, &open.desk)?;
    let (ready, statements) = match &chain {
        None => (first_root(&open, &snapshot)?, None),
        Some(chain) => {
            let statements = chain.statements(&snapshot)?;
            (pending(&open, &snapshot, chain, &statements, args)?, Some(statements))
        }
    };
    if let Some(chain) = &chain {
        open.pin_chain(chain)?;
    }
    if ready.is_empty() {
        output::result(global.format, &json!({"signed": []}), || {
            "nothing waits for your signature".to_owned()
        });
        return Ok(());
    }
    let lines: Vec<String> = ready.iter().map(|ready| ready.checked.to_string()).collect();
    confirm(&lines, args.yes)?;
    let mut files = Vec::new();
    let outcome = sign_all(&open, chain.as_ref(), statements.as_ref(), &ready, &mut files);
    if !files.is_empty() {
        // Also when a token was pulled out halfway: what is signed is signed.
        open.add(&files, &format!("Sign: {}", lines[..files.len()].join("; ")))?;
    }
    outcome?;
    let signed: Vec<_> = ready
        .iter()
        .map(|item| json!({"payload": item.payload.to_string(), "what": item.checked.to_string()}))
        .collect();
    output::result(global.format, &json!({"signed": signed}), || {
        lines.iter().map(|line| format!("signed {line}\n")).collect()
    });
    Ok(())
}

/// Shows what is signed, and asks.
pub(crate) fn confirm(lines: &[String], yes: bool) -> Outcome {
    for line in lines {
        output::note(&format!("to sign: {line}"));
    }
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::new(Exit::Usage, "there is nobody to ask").next("run it on a terminal, or with --yes"));
    }
    let mut answer = String::new();
    eprint!("sign? [y/N] ");
    io::stderr()
        .flush()
        .and_then(|()| io::stdin().lock().read_line(&mut answer))
        .or_exit(Exit::Environment)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(Failure::new(Exit::Usage, "not signed"))
    }
}

/// The first root, as long as it lacks signatures: the one whose payload the user accepted.
fn first_root(open: &OpenDesk, snapshot: &Snapshot) -> Outcome<Vec<Ready>> {
    let accepted = open.desk.settings.first_root.ok_or_else(|| {
        Failure::new(Exit::Usage, "this clone accepts no first root")
            .next("ask its maker for the payload: assay init --join --remote REMOTE --first-root SHA256")
    })?;
    let proposal = snapshot.proposal(accepted).or_exit(Exit::Environment)?.ok_or_else(|| {
        Failure::new(
            Exit::Refused,
            format!("the ledger has no proposal with payload {accepted}"),
        )
        .next("compare the digest with the one that the root's maker told you")
    })?;
    let proposal = proposal.or_exit(Exit::Refused)?.proposal.into_claimed();
    let Proposal::Root(first) = &proposal else {
        return Err(
            Failure::new(Exit::Refused, format!("the proposal {accepted} is no root")).next(
                "compare the digest with the one that the root's maker told you: assay init --join --first-root SHA256",
            ),
        );
    };
    let keyring = chain_state::keyring(snapshot)?;
    let policy = root::check(first, None, &keyring).or_exit(Exit::Refused)?.clone();
    if first.version != 1 {
        return Err(Failure::new(
            Exit::Refused,
            format!("a first root has version 1, not {}", first.version),
        )
        .next("its maker begins again: assay init --policy policy.toml"));
    }
    check::root_expiry(first, &policy, open.desk.now)?;
    hardware::check(
        &policy,
        None,
        &keyring,
        &hardware::evidence(snapshot)?,
        &[],
        open.desk.now,
    )?;
    let tally = chain_state::judge_root(snapshot, first, first, &policy, &keyring, open.desk.now)?.tally;
    if !waits_for_me(&open.desk, &tally)? {
        return Ok(Vec::new());
    }
    Ok(vec![Ready {
        payload: accepted,
        checked: Checked::Root(first.clone()),
    }])
}

/// Whether the user is among those who could still sign.
fn waits_for_me(desk: &Desk, tally: &Tally) -> Outcome<bool> {
    let me = desk.person()?.as_str();
    Ok(tally.could_still_sign.iter().any(|who| who == me))
}

/// Everything that waits for the user, derived again.
fn pending(
    open: &OpenDesk,
    snapshot: &Snapshot,
    chain: &ChainState,
    statements: &Statements,
    args: &Args,
) -> Outcome<Vec<Ready>> {
    let mut ready = Vec::new();
    let checker = Checker::new(open, snapshot, chain, statements).vouching_for(args.vouch_for.clone());
    let mut applicable = Vec::new();
    for file in snapshot.proposals().or_exit(Exit::Environment)?.files {
        if args.only.is_none_or(|only| only == file.payload) && checker.applies(file.proposal.claimed())? {
            applicable.push((file.payload, file.proposal.into_claimed()));
        }
    }
    for (payload, proposal) in newest_of_each(&applicable) {
        if !waits(open, snapshot, chain, statements, &proposal, args.only.is_some())? {
            continue;
        }
        let checked = checker.check(&proposal).map_err(|failure| {
            output::warn(&format!(
                "proposal {payload} is not what this clone derives; nothing was signed"
            ));
            failure.next_if_none("find out who proposed it (git log touchstone); sign others with --only SHA256")
        })?;
        ready.push(Ready { payload, checked });
    }
    if let Some(only) = args.only
        && ready.is_empty()
    {
        output::note(&format!(
            "{only} is not pending: unknown, finished, out of date, or signed by you already"
        ));
    }
    Ok(ready)
}

/// Of several proposals of metadata for one role, the one with the highest version, then the latest, then the lowest
/// payload: a newer proposal takes the place of an older one.
fn newest_of_each(applicable: &[(Sha256Digest, Proposal)]) -> Vec<(Sha256Digest, Proposal)> {
    let place = |proposal: &Proposal| match proposal {
        Proposal::Root(root) => Some(("root".to_owned(), (root.version, root.expires))),
        Proposal::Targets(targets) | Proposal::Release { targets, .. } => targets.mark.as_ref().map(|mark| {
            let time = mark.release.as_ref().map_or(targets.expires, |release| release.time);
            (mark.role.to_string(), (targets.version, time))
        }),
        Proposal::Exemption(_) | Proposal::Import(_) => None,
    };
    let newest = |mine: &(Sha256Digest, Proposal)| match place(&mine.1) {
        None => true,
        Some((role, rank)) => applicable.iter().all(|other| match place(&other.1) {
            Some((other_role, other_rank)) if other_role == role => {
                (rank, std::cmp::Reverse(mine.0)) >= (other_rank, std::cmp::Reverse(other.0))
            }
            _ => true,
        }),
    };
    applicable.iter().filter(|mine| newest(mine)).cloned().collect()
}

/// Whether a proposal lacks the user's own signature or statement, and the user may give it.
fn waits(
    open: &OpenDesk,
    snapshot: &Snapshot,
    chain: &ChainState,
    statements: &Statements,
    proposal: &Proposal,
    asked_for: bool,
) -> Outcome<bool> {
    if let Some(pending) = chain.judge(snapshot, proposal)? {
        // A new root is also signed by its own people, who may not be the old one's.
        let joins = match proposal {
            Proposal::Root(next) => {
                let policy = next.policy.as_ref().unwrap_or(&chain.policy);
                let own = chain_state::judge_root(snapshot, next, next, policy, &chain.keyring, open.desk.now)?;
                waits_for_me(&open.desk, &own.tally)?
            }
            _ => false,
        };
        return Ok(joins || waits_for_me(&open.desk, &pending.tally)?);
    }
    let (claim, role) = match proposal {
        Proposal::Exemption(exemption) => (Claim::Exemption(exemption.clone()), chain_state::top_level("root")),
        Proposal::Import(import) => (
            Claim::Import(import.clone()),
            chain.channel(&import.channel)?.release.role.clone(),
        ),
        _ => return Ok(false),
    };
    let me = open.desk.person()?;
    let member = chain
        .policy
        .roles
        .get(&role)
        .is_some_and(|role| role.people.contains(me));
    // One statement by somebody of the role makes an import; root's people each make an exemption theirs.
    let one_is_enough = matches!(claim, Claim::Import(_)) && !asked_for;
    let said = statements.verified.iter().any(|statement| {
        let author = &statement.get().author;
        let counts = *author == *me
            || one_is_enough
                && chain
                    .policy
                    .roles
                    .get(&role)
                    .is_some_and(|role| role.people.contains(author));
        counts && statement.get().claim == claim
    });
    Ok(member && !said)
}

/// What is signed, and where the signature goes.
enum Prepared<'r> {
    /// Metadata under a version of a role.
    Metadata {
        document: Document<'r>,
        role: &'r str,
        version: u64,
        payload: Sha256Digest,
    },
    /// A statement.
    Statement(Box<Statement>),
}

impl Prepared<'_> {
    fn document(&self) -> Document<'_> {
        match self {
            Self::Metadata { document, .. } => *document,
            Self::Statement(statement) => Document::Statement(statement),
        }
    }
}

/// Signs all of it with one opening of the key: whatever asks a secret asks it once, and shows all of it. What is signed
/// goes into `files`, in the order of `ready`, also when a later one fails.
fn sign_all(
    open: &OpenDesk,
    chain: Option<&ChainState>,
    statements: Option<&Statements>,
    ready: &[Ready],
    files: &mut Vec<NewFile>,
) -> Outcome {
    let scope = |payload: Sha256Digest| chain.map_or_else(|| payload.to_string(), |chain| chain.chain.to_string());
    let mut next = None;
    let mut prepared = Vec::new();
    for item in ready {
        prepared.push(match &item.checked {
            Checked::Root(root) => Prepared::Metadata {
                document: Document::Root(root),
                role: "root",
                version: root.version(),
                payload: item.payload,
            },
            Checked::Targets(targets) => Prepared::Metadata {
                document: Document::Targets(targets),
                role: targets.mark.as_ref().map_or("targets", |mark| mark.role.as_str()),
                version: targets.version,
                payload: item.payload,
            },
            Checked::Claim(claim) => {
                let (Some(chain), Some(statements)) = (chain, statements) else {
                    return Err(Failure::new(Exit::Usage, "statements need a chain"));
                };
                let made = next_statement(open, chain, statements, claim.as_ref().clone(), &mut next)?;
                Prepared::Statement(Box::new(made))
            }
        });
    }
    let signer = open.desk.signer()?;
    let documents: Vec<_> = prepared.iter().map(Prepared::document).collect();
    signer.announce(&documents).map_err(keys::sign_failure)?;
    for item in &prepared {
        files.push(match item {
            Prepared::Metadata {
                document,
                role,
                version,
                payload,
            } => {
                // Before the key is used: one payload a version.
                open.desk
                    .record(&scope(*payload))?
                    .enter(role, *version, *payload)
                    .or_exit_with(Exit::Refused, || {
                        "two payloads of one version would split the channel: find out who proposed the second, and \
                         have a new version proposed (assay release)"
                            .to_owned()
                    })?;
                let signature = signer::sign_metadata(&*signer, document).map_err(keys::sign_failure)?;
                NewFile::signature(*payload, &signature)
            }
            Prepared::Statement(statement) => sign_statement(&*signer, statement)?,
        });
    }
    Ok(())
}

/// Makes the user's next statement.
pub(crate) fn statement(
    open: &OpenDesk,
    chain: &ChainState,
    statements: &Statements,
    claim: Claim,
) -> Outcome<(NewFile, StatementId)> {
    let statement = next_statement(open, chain, statements, claim, &mut None)?;
    let signer = open.desk.signer()?;
    signer
        .announce(&[Document::Statement(&statement)])
        .map_err(keys::sign_failure)?;
    Ok((sign_statement(&*signer, &statement)?, statement.id()))
}

fn sign_statement(signer: &dyn Signer, statement: &Statement) -> Outcome<NewFile> {
    let envelope = signer::sign_statement(signer, statement).map_err(keys::sign_failure)?;
    NewFile::statement(&envelope).or_exit(Exit::Refused)
}

/// The user's next statement, unsigned. `next` is its place, where more than one is made in a run.
fn next_statement(
    open: &OpenDesk,
    chain: &ChainState,
    statements: &Statements,
    claim: Claim,
    next: &mut Option<Next>,
) -> Outcome<Statement> {
    let author = open.desk.person()?.clone();
    let person = chain.policy.people.get(&author).ok_or_else(|| {
        Failure::new(Exit::Usage, format!("{author} is not among the policy's people"))
            .next("assay init --as NAME, with the name that the policy gives you")
    })?;
    let signer = open.desk.signer()?;
    if !person.keys.contains(signer.fingerprint()) {
        return Err(Failure::new(
            Exit::Usage,
            format!("key {} is not one of {author}'s in the policy", signer.fingerprint()),
        )
        .next("assay init --key KEY with one of them, or have the policy changed: assay policy propose"));
    }
    let place = next.take().unwrap_or_else(|| statements.sequence(&author).next);
    let statement = Statement {
        chain: chain.chain,
        author,
        seq: place.seq,
        prev: place.prev,
        claim,
    };
    *next = Some(Next {
        seq: place.seq + 1,
        prev: Some(statement.id()),
    });
    Ok(statement)
}
