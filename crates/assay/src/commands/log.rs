//! Who said and signed what, and on whom things wait.

use std::fmt::Write as _;

use attestation::{
    KeyId, PersonName, UnitPath,
    pending::Proposal,
    statement::{Claim, Statement},
    tuf::Metadata as _,
};
use ledger::Snapshot;
use policy::{Tally, Verified, Vouch};
use serde_json::{Map, Value, json};

use crate::{
    chain_state::{self, ChainState, Pending},
    cli::Global,
    desk::{Desk, OpenDesk},
    exit::{Exit, OrExit as _, Outcome},
    output,
};

/// Who said and signed what, and on whom things wait.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  assay log\n  assay log --about pkgs/by-name/cu/curl    # what anybody said of it\n  \
                        assay log --by alice\n  assay log --waiting                       # what needs signatures, and whose"
)]
pub(crate) struct Args {
    /// Only what this person said
    #[arg(long, value_name = "PERSON")]
    by: Option<PersonName>,
    /// Only what was said about this unit, or those below it, with each verdict
    #[arg(long, value_name = "UNIT")]
    about: Option<UnitPath>,
    /// Only what waits for somebody
    #[arg(long, conflicts_with_all = ["by", "about"])]
    waiting: bool,
}

impl Args {
    fn is_narrow(&self) -> bool {
        self.by.is_some() || self.about.is_some()
    }

    fn is_about(&self, unit: &UnitPath) -> bool {
        let below = |rest: &str| rest.is_empty() || rest.starts_with('/');
        let about = self.about.as_ref();
        about.is_some_and(|about| unit.as_str().strip_prefix(about.as_str()).is_some_and(below))
    }

    /// What a statement says of the unit that is asked about.
    fn verdicts(&self, said: &Statement) -> Vec<Value> {
        match &said.claim {
            Claim::Review(review) => {
                let verdicts = review
                    .verdicts
                    .iter()
                    .filter(|verdict| self.is_about(&verdict.delta.unit));
                verdicts.map(|it| json!({"unit": it.delta.unit, "verdict": it.verdict, "from": it.delta.from, "to": it.delta.to, "note": it.note})).collect()
            }
            Claim::Violation(violation) => {
                let bad = violation.contents.iter().filter(|bad| self.is_about(&bad.unit));
                bad.map(
                    |it| json!({"unit": it.unit, "verdict": "violation", "to": it.content, "note": violation.reason}),
                )
                .collect()
            }
            _ => Vec::new(),
        }
    }
}

/// Runs it.
pub(crate) fn run(global: &Global, args: &Args) -> Outcome {
    let open = Desk::open_ledger(global)?;
    let snapshot = open.snapshot()?;
    let chain = ChainState::load(&snapshot, &open.desk)?;
    let proposals = proposals(&open, chain.as_ref())?;
    let (mut statements, mut channels, mut claims) = (Vec::new(), Map::new(), Vec::new());
    if let Some(chain) = &chain {
        let mut verified = chain.statements(&snapshot)?.verified;
        (channels, claims) = (self::channels(chain, &snapshot)?, self::claims(&verified, &snapshot)?);
        verified.sort_by_key(|statement| (statement.get().author.clone(), statement.get().seq));
        for statement in &verified {
            let (id, said) = (statement.get().id(), statement.get());
            let verdicts = args.verdicts(said);
            let is_by = args.by.as_ref().is_none_or(|by| *by == said.author);
            if args.waiting || !is_by || args.about.is_some() && verdicts.is_empty() {
                continue;
            }
            let signed_at = statement.evidence().vouches.first().and_then(|vouch| vouch.signed_at);
            statements.push(
                json!({"id": id, "author": said.author, "seq": said.seq, "signed-at": signed_at,
                "claim": said.claim.to_string(), "verdicts": verdicts}),
            );
        }
        if args.is_narrow() {
            claims.clear();
            channels.clear();
        }
    }
    let proposals: Vec<_> = proposals
        .into_iter()
        .filter(|proposal| !(args.is_narrow() || args.waiting && proposal["state"] == "past"))
        .collect();
    let problems: Vec<String> = snapshot
        .problems()
        .or_exit(Exit::Environment)?
        .iter()
        .map(ToString::to_string)
        .collect();
    let json = json!({"chain": chain.as_ref().map(|chain| chain.chain), "root-version": chain.as_ref().map(|chain| chain.root.version),
        "channels": channels, "claims": claims, "proposals": proposals, "statements": statements, "problems": problems});
    output::result(global.format, &json, || {
        text(chain.as_ref(), &channels, &claims) + &history(&proposals, &statements, &problems)
    });
    Ok(())
}

/// The last finished release of each channel that has one.
fn channels(chain: &ChainState, snapshot: &Snapshot) -> Outcome<Map<String, Value>> {
    let mut out = Map::new();
    for channel in chain.policy.channels.keys() {
        if let Some(last) = chain.last_release(snapshot, channel)? {
            let row = json!({"sequence": last.release.sequence, "commit": last.release.commit});
            out.insert(channel.to_string(), row);
        }
    }
    Ok(out)
}

/// What is proposed for people to state, and who stated it.
fn claims(statements: &[Verified<Statement>], snapshot: &Snapshot) -> Outcome<Vec<Value>> {
    let mut out = Vec::new();
    for file in snapshot.proposals().or_exit(Exit::Environment)?.files {
        let (claim, kind, channel, commit) = match file.proposal.claimed() {
            Proposal::Exemption(it) => (Claim::Exemption(it.clone()), "exemption", &it.channel, &it.commit),
            Proposal::Import(it) => (Claim::Import(it.clone()), "import", &it.channel, &it.to),
            _ => continue,
        };
        let by = statements.iter().filter(|statement| statement.get().claim == claim);
        let by: Vec<_> = by.map(|statement| &statement.get().author).collect();
        out.push(
            json!({"payload": file.payload.to_string(), "kind": kind, "channel": channel, "commit": commit,
            "claim": claim.to_string(), "by": by}),
        );
    }
    Ok(out)
}

fn text(chain: Option<&ChainState>, channels: &Map<String, Value>, claims: &[Value]) -> String {
    let Some(chain) = chain else {
        return "the chain has no complete first root yet\n".to_owned();
    };
    let mut text = format!("chain {}, root version {}\n", chain.chain, chain.root.version);
    for (channel, last) in channels {
        let _ = writeln!(
            text,
            "{channel}: release {}, commit {}",
            last["sequence"],
            word(&last["commit"])
        );
    }
    for claim in claims.iter().filter(|claim| list(&claim["by"]).is_empty()) {
        let _ = writeln!(
            text,
            "proposed, stated by nobody yet: {}\n    {}",
            output::printable(&word(&claim["claim"])),
            word(&claim["payload"])
        );
    }
    text
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn list(value: &Value) -> String {
    let words: Vec<_> = value.as_array().into_iter().flatten().map(word).collect();
    words.join(", ")
}

fn history(proposals: &[Value], statements: &[Value], problems: &[String]) -> String {
    let mut text = String::new();
    for statement in statements {
        let claim = output::printable(&word(&statement["claim"]));
        let _ = writeln!(
            text,
            "{} #{}  {claim}\n    {}",
            word(&statement["author"]),
            statement["seq"],
            word(&statement["id"])
        );
        for verdict in statement["verdicts"].as_array().into_iter().flatten() {
            let note = verdict["note"]
                .as_str()
                .map(|note| format!(": {note}"))
                .unwrap_or_default();
            let _ = writeln!(
                text,
                "    {} {} -> {}{}",
                word(&verdict["verdict"]),
                word(&verdict["unit"]),
                verdict["to"].as_str().unwrap_or("nothing"),
                output::printable(&note)
            );
        }
    }
    for proposal in proposals {
        let _ = writeln!(
            text,
            "{} {}: {}\n    signed by {}; {}\n    {}",
            word(&proposal["role"]),
            proposal["version"],
            word(&proposal["state"]),
            list(&proposal["signed"]),
            format_args!("could still sign: {}", list(&proposal["could-sign"])),
            word(&proposal["payload"])
        );
    }
    for problem in problems {
        let _ = writeln!(text, "problem: {}", output::printable(problem));
    }
    text
}

fn proposals(open: &OpenDesk, chain: Option<&ChainState>) -> Outcome<Vec<Value>> {
    let snapshot = open.snapshot()?;
    let mut out = Vec::new();
    for file in snapshot.proposals().or_exit(Exit::Environment)?.files {
        let proposal = file.proposal.claimed();
        let pending = match (chain, proposal) {
            (Some(chain), _) => chain.judge(&snapshot, proposal)?,
            (None, Proposal::Root(first)) => {
                let keyring = chain_state::keyring(&snapshot)?;
                match policy::root::check(first, None, &keyring) {
                    Ok(policy) => Some(chain_state::judge_root(
                        &snapshot,
                        first,
                        first,
                        policy,
                        &keyring,
                        open.desk.now,
                    )?),
                    Err(_) => None,
                }
            }
            _ => None,
        };
        if let Some(pending) = pending {
            let newest = match chain {
                Some(chain) if pending.role.as_str() == "root" => chain.root.version,
                Some(chain) => chain.newest_version(&snapshot, &pending.role)?,
                None => 0,
            };
            out.push(row(&pending, newest));
        }
    }
    Ok(out)
}

fn row(pending: &Pending, newest: u64) -> Value {
    let version = match &pending.proposal {
        Proposal::Root(root) => root.version(),
        Proposal::Targets(targets) | Proposal::Release { targets, .. } => targets.version(),
        Proposal::Exemption(_) | Proposal::Import(_) => 0,
    };
    let state = if version <= newest {
        "past".to_owned()
    } else if pending.finished.is_some() {
        "has its signatures; assay publish finishes it".to_owned()
    } else {
        format!(
            "waits, {} of {} signatures",
            pending.tally.vouches.len(),
            pending.needed
        )
    };
    let Tally {
        vouches,
        could_still_sign,
        refused,
    } = &pending.tally;
    let who = |vouch: &Vouch| {
        vouch
            .person
            .as_ref()
            .map_or_else(|| KeyId::to_string(&vouch.key), PersonName::to_string)
    };
    json!({"payload": pending.payload.to_string(), "role": pending.role, "version": version, "state": state,
        "needed": pending.needed, "signed": vouches.iter().map(who).collect::<Vec<_>>(),
        "could-sign": could_still_sign, "refused": refused})
}
