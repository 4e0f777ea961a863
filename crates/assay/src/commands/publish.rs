//! Finishing what has enough signatures, and announcing the channel's files.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use attestation::{ChannelName, StatementId, dsse::Envelope, pending::Proposal, tuf::Metadata as _};
use channel::{
    online::OnlineKey,
    publish::{ChannelFiles, Publication, publish},
    release::Derived,
    site::Site,
};
use ledger::{NewFile, Snapshot};
use serde_json::json;

use crate::{
    chain_state::{self, ChainState, Finished, LastRelease, Pending},
    cli::Global,
    derive::{self, Candidate},
    desk::{Desk, OpenDesk},
    evaluate,
    exit::{Exit, Failure, OrExit as _, Outcome},
    output, patches,
    statements::Statements,
};

/// Finish what has enough signatures; write and announce the channel's files.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  assay publish                                     # finish roots and releases in the ledger\n  \
    assay publish --to /srv/channel --online-key /etc/touchstone/online.key\n\
    Run it again without anything new to renew the timestamp alone."
)]
pub(crate) struct Args {
    /// The directory that a web server serves
    #[arg(long, value_name = "DIR", requires = "online_key")]
    to: Option<PathBuf>,
    /// The key that signs snapshots and timestamps: a file that its owner alone can read
    #[arg(long, value_name = "FILE")]
    online_key: Option<PathBuf>,
}

/// Runs it.
pub(crate) fn run(global: &Global, args: &Args) -> Outcome {
    let mut open = Desk::open_ledger(global)?;
    let mut finished = Vec::new();
    finish_roots(&open, &mut finished)?;
    let Some(chain) = ChainState::load(&open.snapshot()?, &open.desk)? else {
        return Err(first_root_lacks(&open)?);
    };
    open.pin_chain(&chain)?;
    finish_targets(&open, &chain, &mut finished)?;
    let announced = match (&args.to, &args.online_key) {
        (Some(to), Some(key)) => Some(announce(&open, &chain, to, key)?),
        _ => None,
    };
    let json = json!({"chain": chain.chain, "root-version": chain.root.version, "finished": finished,
        "timestamp": announced.as_ref().map(|p| p.timestamp), "snapshot": announced.as_ref().map(|p| p.snapshot),
        "until": announced.as_ref().map(|p| p.until)});
    output::result(global.format, &json, || {
        let mut text = format!("chain {}\n", chain.chain);
        for line in &finished {
            text += &format!("finished {line}\n");
        }
        match &announced {
            Some(published) => {
                text += &format!(
                    "announced with timestamp {}, current until {}",
                    published.timestamp, published.until
                );
            }
            None if finished.is_empty() => text += "nothing new is finished; assay log says what waits, and on whom",
            None => {}
        }
        text
    });
    Ok(())
}

/// Completes the first root or the next ones, as far as they have their signatures.
fn finish_roots(open: &OpenDesk, finished: &mut Vec<String>) -> Outcome {
    loop {
        let snapshot = open.snapshot()?;
        let chain = ChainState::load(&snapshot, &open.desk)?;
        let mut complete = None;
        for file in snapshot.proposals().or_exit(Exit::Environment)?.files {
            let Proposal::Root(next) = file.proposal.claimed() else {
                continue;
            };
            let pending = match &chain {
                Some(chain) if next.version == chain.root.version + 1 => next_root(&snapshot, chain, next)?,
                None if Some(file.payload) == open.desk.settings.first_root => {
                    let keyring = chain_state::keyring(&snapshot)?;
                    let policy = policy::root::check(next, None, &keyring).or_exit(Exit::Refused)?;
                    Some(chain_state::judge_root(
                        &snapshot,
                        next,
                        next,
                        policy,
                        &keyring,
                        open.desk.now,
                    )?)
                }
                _ => None,
            };
            if let Some(Pending {
                finished: Some(Finished::Root(root)),
                ..
            }) = pending
            {
                complete = Some(root);
            }
        }
        let Some(root) = complete else { return Ok(()) };
        let line = format!("root {}", root.claims.version);
        open.add(
            &[NewFile::root(&root).or_exit(Exit::Refused)?],
            &format!("Finish {line}"),
        )?;
        finished.push(line);
    }
}

/// A root after the first takes the signatures of the old threshold and of its own.
fn next_root(snapshot: &Snapshot, chain: &ChainState, next: &attestation::tuf::Root) -> Outcome<Option<Pending>> {
    let Some(policy) = &next.policy else { return Ok(None) };
    let old = chain_state::judge_root(snapshot, next, &chain.root, &chain.policy, &chain.keyring, chain.now)?;
    let own = chain_state::judge_root(snapshot, next, next, policy, &chain.keyring, chain.now)?;
    let (Some(Finished::Root(old_root)), Some(Finished::Root(own_root))) = (old.finished, &own.finished) else {
        return Ok(None);
    };
    // Both thresholds' signatures, each key once, sorted.
    let mut signatures = old_root.signatures;
    signatures.extend(own_root.signatures.clone());
    signatures.sort();
    signatures.dedup();
    let root = attestation::tuf::Signed {
        signatures,
        ..own_root.clone()
    };
    Ok(Some(Pending {
        finished: Some(Finished::Root(root)),
        ..own
    }))
}

fn first_root_lacks(open: &OpenDesk) -> Outcome<Failure> {
    let snapshot = open.snapshot()?;
    let accepted = open.desk.settings.first_root;
    let proposal = accepted
        .map(|payload| snapshot.proposal(payload))
        .transpose()
        .or_exit(Exit::Environment)?
        .flatten();
    let Some(Ok(file)) = proposal else {
        return Ok(
            Failure::new(Exit::Usage, "the ledger has no first root that this clone accepts")
                .next("assay init starts a chain or joins one"),
        );
    };
    let Proposal::Root(first) = file.proposal.claimed() else {
        return Ok(Failure::new(Exit::Refused, "the accepted first root is no root").next(
            "compare the digest with the one that the root's maker told you: assay init --join --first-root SHA256",
        ));
    };
    let keyring = chain_state::keyring(&snapshot)?;
    let policy = policy::root::check(first, None, &keyring).or_exit(Exit::Refused)?;
    let pending = chain_state::judge_root(&snapshot, first, first, policy, &keyring, open.desk.now)?;
    Ok(lacking(&pending))
}

/// A proposal that has too few signatures, as a refusal.
fn lacking(pending: &Pending) -> Failure {
    let shortfall = policy::Shortfall {
        role: pending.role.clone(),
        needed: pending.needed,
        tally: Box::new(pending.tally.clone()),
    };
    Failure::new(Exit::Refused, shortfall).next("those who could still sign run assay sign, then run this again")
}

/// Completes top-level targets and releases. A pending one that lacks signatures is said, and refused if nothing
/// of its role was ever finished.
fn finish_targets(open: &OpenDesk, chain: &ChainState, finished: &mut Vec<String>) -> Outcome {
    let snapshot = open.snapshot()?;
    let mut files = Vec::new();
    for file in snapshot.proposals().or_exit(Exit::Environment)?.files {
        let proposal = file.proposal.claimed();
        let (Proposal::Targets(targets) | Proposal::Release { targets, .. }) = proposal else {
            continue;
        };
        let Some(pending) = chain.judge(&snapshot, proposal)? else {
            continue;
        };
        let newest = chain.newest_version(&snapshot, &pending.role)?;
        let taken = files.iter().any(|(role, _)| *role == pending.role);
        if targets.version() <= newest || taken || !follows(chain, &snapshot, targets)? {
            continue;
        }
        match pending.finished {
            Some(Finished::Targets(signed)) => {
                files.push((
                    pending.role.clone(),
                    NewFile::metadata(pending.role.clone(), &signed).or_exit(Exit::Refused)?,
                ));
                finished.push(format!("{} {}", pending.role, targets.version));
            }
            _ => output::note(&format!(
                "{} {} waits: {}",
                pending.role,
                targets.version,
                lacking(&pending)
            )),
        }
    }
    let files: Vec<NewFile> = files.into_iter().map(|(_, file)| file).collect();
    if files.is_empty() {
        Ok(())
    } else {
        open.add(&files, &format!("Finish {}", finished.join(", ")))
    }
}

/// Whether a release follows the last finished one. Of two that do, one is finished and the other never is.
fn follows(chain: &ChainState, snapshot: &Snapshot, targets: &attestation::tuf::Targets) -> Outcome<bool> {
    let Some(release) = targets.mark.as_ref().and_then(|mark| mark.release.as_ref()) else {
        return Ok(true);
    };
    let last = chain.last_release(snapshot, &release.channel)?;
    Ok(release.previous == last.map(|last| last.payload))
}

fn read_online_key(path: &Path) -> Outcome<OnlineKey> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(path).or_exit(Exit::Environment)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(Failure::new(
            Exit::Environment,
            format!("{} can be read by others (mode {:o})", path.display(), mode & 0o777),
        )
        .next(format!("chmod 600 {}", path.display())));
    }
    let text = std::fs::read_to_string(path).or_exit(Exit::Environment)?;
    OnlineKey::from_file(&text).or_exit(Exit::Usage)
}

/// A channel's newest release with its files, built anew where the site lacks them.
struct Built {
    channel: ChannelName,
    last: LastRelease,
    derived: Option<(Derived, PathBuf)>,
    said: BTreeMap<u64, Vec<Envelope>>,
}

fn announce(open: &OpenDesk, chain: &ChainState, to: &Path, key: &Path) -> Outcome<channel::publish::Published> {
    let key = read_online_key(key)?;
    let snapshot = open.snapshot()?;
    let site = Site::new(to);
    let targets = chain.last_targets(&snapshot)?.ok_or_else(|| {
        Failure::new(Exit::Refused, "the chain has no finished top-level targets")
            .next("assay release proposes them, assay sign signs them")
    })?;
    require_present_delegations(chain, &targets)?;
    let work = tempfile::tempdir().or_exit(Exit::Environment)?;
    let statements = chain.statements(&snapshot)?;
    let mut built = Vec::new();
    for channel in chain.policy.channels.keys() {
        let Some(last) = chain.last_release(&snapshot, channel)? else {
            continue;
        };
        let derived = if is_complete(&site, &last)? {
            None
        } else {
            Some(build(
                open,
                chain,
                &snapshot,
                channel,
                &last,
                &work.path().join(channel.as_str()),
            )?)
        };
        let said = said(&site, &snapshot, &statements, channel, &last)?;
        built.push(Built {
            channel: channel.clone(),
            last,
            derived,
            said,
        });
    }
    if built.is_empty() {
        return Err(Failure::new(Exit::Refused, "no channel has a finished release")
            .next("assay log says what waits for signatures, and on whom"));
    }
    let mut channels = Vec::new();
    for item in &built {
        channels.push(ChannelFiles {
            channel: &item.channel,
            policy: chain.channel(&item.channel)?,
            targets: &item.last.signed,
            tarball: item.derived.as_ref().map(|(_, path)| path.as_path()),
            releases: item.derived.as_ref().map(|(derived, _)| derived.releases.as_slice()),
            statements: item.derived.as_ref().map(|(derived, _)| derived.statements.as_slice()),
            manifests: item.derived.as_ref().map(|(derived, _)| &derived.manifests),
            patches: item.derived.as_ref().map(|(derived, _)| &derived.patches),
            said: &item.said,
        });
    }
    let violations = statements.violations(chain);
    let publication = Publication {
        chain: chain.chain,
        policy: &chain.policy,
        roots: &chain.root_files,
        keyring: &chain.keyring,
        targets: &targets,
        violations: &violations,
        channels,
        now: chain.now,
    };
    publish(&site, &publication, &key).map_err(|error| {
        let exit = match &error {
            channel::publish::PublishError::Site(_) => Exit::Environment,
            _ => Exit::Refused,
        };
        Failure::new(exit, error).next("nothing was announced; clients see what they saw before")
    })
}

/// What the site lacks of the statements that people made: by release, those that it was the first to list. A release
/// that the site has them of ends the search, since all before it were published with it.
fn said(
    site: &Site,
    snapshot: &Snapshot,
    statements: &Statements,
    channel: &ChannelName,
    last: &LastRelease,
) -> Outcome<BTreeMap<u64, Vec<Envelope>>> {
    let mut out = BTreeMap::new();
    let lacks = |sequence| !site.path(&Site::statements_name(channel, sequence)).exists();
    if !lacks(last.release.sequence) {
        return Ok(out);
    }
    let releases = derive::releases_before(snapshot, channel, Some(last))?;
    let mut later: Option<(u64, BTreeSet<StatementId>)> = None;
    for (release, payload) in releases.iter().rev() {
        let listed = derive::listed_by(snapshot, release, *payload)?;
        if let Some((sequence, all)) = later.take() {
            out.insert(sequence, statements.bundle(all.difference(&listed).copied())?);
        }
        if !lacks(release.sequence) {
            return Ok(out);
        }
        later = Some((release.sequence, listed));
    }
    if let Some((sequence, all)) = later {
        out.insert(sequence, statements.bundle(all)?);
    }
    Ok(out)
}

/// After a new root changed a channel's people, the top-level targets must say so before a client follows them.
fn require_present_delegations(
    chain: &ChainState,
    targets: &attestation::tuf::Signed<attestation::tuf::Targets>,
) -> Outcome {
    let present = policy::root::delegations(&chain.policy, &chain.keyring).or_exit(Exit::Refused)?;
    if targets.claims.delegations.as_ref() == Some(&present) {
        return Ok(());
    }
    let channel = chain.policy.channels.keys().next().map_or("NAME", ChannelName::as_str);
    Err(Failure::new(
        Exit::Refused,
        format!(
            "the top-level targets name other people than root {}",
            chain.root.version
        ),
    )
    .next(format!(
        "make a release under the new root, if need be of nothing new: assay import --channel {channel}; assay sign; \
         assay release --channel {channel}; assay sign; then this again"
    )))
}

fn is_complete(site: &Site, last: &LastRelease) -> Outcome<bool> {
    for (name, target) in &last.signed.claims.targets {
        let Some(sha256) = target.sha256() else {
            return Ok(false);
        };
        let path = Site::target_name(name, sha256);
        if !site.path(&path).exists() || site.digest(&path).or_exit(Exit::Environment)?.1 != sha256 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Builds a release's files again. They are what people signed, or nothing is announced.
fn build(
    open: &OpenDesk,
    chain: &ChainState,
    snapshot: &Snapshot,
    channel: &ChannelName,
    last: &LastRelease,
    path: &Path,
) -> Outcome<(Derived, PathBuf)> {
    let proposal = snapshot.proposal(last.payload).or_exit(Exit::Environment)?;
    let Some(Ok(file)) = proposal else {
        return Err(Failure::new(
            Exit::Refused,
            format!(
                "the proposal of release {} is missing from the ledger",
                last.release.sequence
            ),
        )
        .next("exchange the ledger with the release's maker: assay sync"));
    };
    let Proposal::Release { statements, .. } = file.proposal.claimed() else {
        return Err(
            Failure::new(Exit::Refused, "the release's proposal is no release").next(crate::advice::WHO_FILED_IT)
        );
    };
    let mut before = derive::releases_before(snapshot, channel, Some(last))?;
    let releases = before.iter().map(|(release, _)| release);
    patches::present(&open.desk.repository, snapshot, releases)?;
    before.pop();
    let candidate = Candidate {
        channel,
        version: last.signed.claims.version,
        commit: derive::object_id(&last.release.commit)?,
        patched: last.release.patched.as_ref(),
        time: last.release.time,
        statements,
        root_version: last.release.root_version,
        systems: evaluate::systems(&last.signed.claims, channel),
    };
    let derived = derive::release(&open.desk.repository, chain, &before, &candidate, derive::file(path)?)?;
    if derived.targets != last.signed.claims {
        return Err(Failure::new(
            Exit::Refused,
            format!(
                "release {} built from this clone is not what was signed (payload {})",
                last.release.sequence, last.payload
            ),
        )
        .next("compare assay's version with the signers'; fetch upstream: assay import"));
    }
    Ok((derived, path.to_owned()))
}
