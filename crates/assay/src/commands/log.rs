//! Who said and signed what, and on whom things wait.

use std::fmt::Write as _;

use attestation::{KeyId, PersonName, pending::Proposal, tuf::Metadata as _};
use policy::{Tally, Vouch};
use serde_json::{Value, json};

use crate::{
    chain_state::{self, ChainState, Pending},
    cli::Global,
    desk::{Desk, OpenDesk},
    exit::{Exit, OrExit as _, Outcome},
    output,
};

/// Who said and signed what, and on whom things wait.
#[derive(clap::Args)]
#[command(after_help = "Example: assay log")]
pub(crate) struct Args {}

/// Runs it.
pub(crate) fn run(global: &Global, _args: &Args) -> Outcome {
    let open = Desk::open_ledger(global)?;
    let snapshot = open.snapshot()?;
    let chain = ChainState::load(&snapshot, &open.desk)?;
    let proposals = proposals(&open, chain.as_ref())?;
    let mut statements = Vec::new();
    if let Some(chain) = &chain {
        let mut verified = chain.statements(&snapshot)?.verified;
        verified.sort_by_key(|statement| (statement.get().author.clone(), statement.get().seq));
        statements.extend(verified.iter().map(|statement| {
            let (id, said) = (statement.get().id(), statement.get());
            let signed_at = statement.evidence().vouches.first().and_then(|vouch| vouch.signed_at);
            json!({"id": id, "author": said.author, "seq": said.seq, "signed-at": signed_at, "claim": said.claim.to_string()})
        }));
    }
    let problems: Vec<String> = snapshot
        .problems()
        .or_exit(Exit::Environment)?
        .iter()
        .map(ToString::to_string)
        .collect();
    let json = json!({"chain": chain.as_ref().map(|chain| chain.chain), "root-version": chain.as_ref().map(|chain| chain.root.version),
        "proposals": proposals, "statements": statements, "problems": problems});
    output::result(global.format, &json, || {
        text(chain.as_ref(), &proposals, &statements, &problems)
    });
    Ok(())
}

fn text(chain: Option<&ChainState>, proposals: &[Value], statements: &[Value], problems: &[String]) -> String {
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let list = |value: &Value| {
        value
            .as_array()
            .map(|items| items.iter().map(&word).collect::<Vec<_>>().join(", "))
            .unwrap_or_default()
    };
    let mut text = match chain {
        Some(chain) => format!("chain {}, root version {}\n", chain.chain, chain.root.version),
        None => "the chain has no complete first root yet\n".to_owned(),
    };
    for statement in statements {
        let claim = output::printable(&word(&statement["claim"]));
        let _ = writeln!(
            text,
            "{} #{}  {claim}\n    {}",
            word(&statement["author"]),
            statement["seq"],
            word(&statement["id"])
        );
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
