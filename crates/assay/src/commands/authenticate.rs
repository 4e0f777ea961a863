//! Whether a commit's history was made by those who may.

use std::fmt::Write as _;

use attestation::ChainId;
use importer::ObjectId;
use ledger::{
    History,
    authenticate::{Break, BreakReason, Report, oid},
    history::{TagObject, Target},
};
use policy::{
    Facts,
    jury::{Candidate, ObjectRefusal, Seen, Work},
};
use serde_json::{Value, json};

use crate::{
    chain_state::ChainState,
    cli::Global,
    desk::Desk,
    exit::{Exit, Failure, OrExit as _, Outcome},
    facts::FactFile,
    history::{self, Foreign, Imports, Judged},
    output,
};

/// How many breaks a person is shown; programs get all.
const SHOWN: usize = 5;

/// Judge a commit's whole history since an introduction: every commit is signed by as many people as the policy of its
/// time asks, upstream's side of an import excepted.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  assay authenticate HEAD\n  \
    assay authenticate --from v1.0 --format json v2.0\n  \
    assay --repo . --offline authenticate --chain CHAIN HEAD    # in CI and in hooks: nothing else is trusted")]
pub(crate) struct Args {
    /// The commit, branch or tag
    #[arg(value_name = "REV")]
    revision: String,
    /// Trust this commit and what is before it, instead of the introduction of the first root
    #[arg(long, value_name = "INTRODUCTION")]
    from: Option<String>,
    /// The chain, where this clone pins none
    #[arg(long)]
    chain: Option<ChainId>,
    /// Calculate every signature again
    #[arg(long)]
    no_cache: bool,
}

/// Runs it.
pub(crate) fn run(global: &Global, args: &Args) -> Outcome {
    let mut open = Desk::open_ledger(global)?;
    if let Some(chain) = args.chain {
        open.desk.settings.pin(chain)?;
    }
    let snapshot = open.snapshot()?;
    let chain = open.chain(&snapshot)?;
    let history = history::open(&open.desk)?;
    let courts = history::courts(&chain)?;
    let target = named(&history, &args.revision)?;
    let introduction = match &args.from {
        Some(revision) => named(&history, revision)?.commit,
        None => courts.introduction().ok_or_else(|| {
            Failure::new(
                Exit::Usage,
                "no root of this chain says where its repository's history begins",
            )
            .next(
                "name a commit that you trust: --from COMMIT; or give the policy a [repository]: assay policy propose",
            )
        })?,
    };
    if !history.has(introduction) {
        return Err(Failure::new(
            Exit::Environment,
            format!("the introduction {introduction} is not in this clone"),
        )
        .next("fetch the branch that has it"));
    }
    let _working = output::working("judging the history");
    let mut cache = FactFile::open(!args.no_cache);
    let ends = (introduction, target.commit);
    let judged = history::judge(&open.desk, &chain, &snapshot, &history, &courts, ends, &mut cache.facts)?;
    let report = &judged.report;
    let tags = tags(&chain, &target, &mut cache.facts)?;
    cache.close();

    let json = json!({
        "authentic": report.breaks.is_empty(), "commit": target.commit.to_string(),
        "introduction": introduction.to_string(), "chain": chain.chain, "commits": report.commits, "commits-judged-before": report.before,
        "signers": report.signers, "roots": report.roots, "root-version": chain.root.version, "tags": tags,
        "imports": report.imports.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "upstream-checked": judged.unchecked().next().is_none(),
        "imports-unchecked": judged.unchecked().map(|import| &import.to).collect::<Vec<_>>(),
        "imports-not-on-upstream": judged.imports.foreign.values().map(foreign_row).collect::<Vec<_>>(),
        "breaks": report.breaks.iter().map(row).collect::<Vec<_>>(),
    });
    if let Some(first) = report.breaks.first() {
        let text = refusal(report) + &set_aside(&judged.imports);
        return Err(match judged.imports.foreign.values().next() {
            None => Failure::new(Exit::Refused, text).next(next(first)),
            Some(foreign) => Failure::new(Exit::Refused, text)
                .code_word("import-not-on-upstream")
                .next(format!(
                    "if upstream is newer than this clone: {}; if not, ask {} what {} is before anything of it is used",
                    history::fetching(&foreign.import),
                    foreign.author,
                    foreign.import.to
                )),
        }
        .details(json));
    }
    if !judged.imports.foreign.is_empty() {
        output::warn(set_aside(&judged.imports).trim_start());
    }
    for import in judged.unchecked() {
        output::warn(&format!(
            "that upstream has {} is its statement's word: this clone never fetched upstream of {}; {}",
            import.to,
            import.channel,
            history::fetching(import)
        ));
    }
    if chain.root.expires < chain.now {
        output::warn(&format!(
            "root {} expired at {}: what is said here is authentic, and may not be the newest; fetch the ledger",
            chain.root.version, chain.root.expires
        ));
    }
    output::result(global.format, &json, || text(&target, introduction, &judged, &tags));
    Ok(())
}

fn named(history: &History, revision: &str) -> Outcome<Target> {
    history.target(revision).or_exit_with(Exit::Usage, || {
        "name a commit, branch or tag of this clone; git fetch brings newer ones".to_owned()
    })
}

/// The statements that were not believed, for people.
fn set_aside(imports: &Imports) -> String {
    let mut text = String::new();
    for (commit, foreign) in imports.foreign.iter().take(SHOWN) {
        let Foreign { author, import, tip } = foreign;
        let _ = write!(
            text,
            "\n  {author}'s statement that {commit} was imported into {} is set aside: upstream's {}, fetched here up to \
             {tip}, does not have it",
            import.channel,
            output::printable(&import.branch)
        );
    }
    text
}

fn foreign_row(foreign: &Foreign) -> Value {
    json!({"commit": foreign.import.to, "channel": foreign.import.channel, "said-by": foreign.author,
        "upstream-tip": foreign.tip.to_string()})
}

/// What is known of the tags on the way: who signed them, and whether a tag is the one of its name.
fn tags(chain: &ChainState, target: &Target, facts: &mut Facts) -> Outcome<Vec<Value>> {
    let jury = chain.court().jury();
    let mut out = Vec::new();
    for TagObject { id, bytes } in &target.tags {
        let candidates = [Candidate::tag(oid(*id), bytes).or_exit(Exit::Refused)?];
        let mut work = Work {
            threads: std::num::NonZeroUsize::MIN,
            facts,
        };
        let heard = jury.hear(&candidates, &mut work);
        let name = candidates[0].as_tag().map(|tag| tag.name().to_owned());
        let signed: Vec<_> = heard.iter().flat_map(policy::jury::Heard::signers).collect();
        out.push(json!({"id": id.to_string(), "name": name, "signed-by": signed}));
    }
    Ok(out)
}

fn row(found: &Break) -> Value {
    json!({"commit": found.commit.to_string(), "subject": found.subject, "root-version": found.root_version,
        "reason": found.reason.to_string(), "kind": kind(&found.reason), "first": found.is_first,
        "would-count-under-root": found.would_count_under})
}

/// A word for programs.
fn kind(reason: &BreakReason) -> &'static str {
    match reason {
        BreakReason::Nobody { .. } => "nobody-may-commit",
        BreakReason::Object(_) => "malformed",
        BreakReason::Refused(ObjectRefusal::Threshold {
            seen: Seen::Unsigned, ..
        }) => "unsigned",
        BreakReason::Refused(ObjectRefusal::Threshold {
            seen: Seen::NotCounted(_),
            ..
        }) => "other-signature",
        BreakReason::Refused(ObjectRefusal::NotesAlone(_)) => "notes-alone",
        BreakReason::Refused(_) => "too-few",
    }
}

fn refusal(report: &Report) -> String {
    let mut text = String::new();
    let first: Vec<_> = report.breaks.iter().filter(|found| found.is_first).collect();
    let begins = if first.len() == 1 {
        "breaks at"
    } else {
        "breaks at each of"
    };
    let _ = write!(text, "the chain of trust {begins}");
    for found in first.iter().take(SHOWN) {
        let _ = write!(
            text,
            "\n  {} {:?}, judged under root {}: {}",
            found.commit, found.subject, found.root_version, found.reason
        );
        if let Some(other) = found.would_count_under {
            let _ = write!(text, " (it would count under root {other})");
        }
    }
    let rest = report.breaks.len() - first.len().min(SHOWN);
    if rest > 0 {
        let _ = write!(
            text,
            "\n  and {rest} more of {} commits (--format json lists them)",
            report.commits
        );
    }
    text
}

fn next(found: &Break) -> String {
    let commit = found.commit;
    let vouch = "people of role root who looked at the history can vouch for it as far as it goes: set introduction of \
                 [repository] in policy.toml to a later commit, then assay policy propose policy.toml";
    if let Some(other) = found.would_count_under {
        return if other > found.root_version {
            format!(
                "{commit} was made before root {other} let its author commit: have it made again after that, or {vouch}"
            )
        } else {
            format!(
                "root {} no longer lets its author commit, and no root vouched for {commit} while it did: do not merge it; \
                 or {vouch}",
                found.root_version
            )
        };
    }
    match kind(&found.reason) {
        "other-signature" => {
            "only OpenPGP signatures by keys of the policy count: git config gpg.format openpgp, then \
                              git commit --amend --no-edit -S (assay policy show names the keys)"
                .to_owned()
        }
        "nobody-may-commit" => {
            "give the policy a [repository] with commits = { role, threshold }: assay policy propose".to_owned()
        }
        "notes-alone" => "one of them signs the commit itself: git commit --amend --no-edit -S".to_owned(),
        "malformed" => format!("git fsck {commit}; have it made again by ordinary git"),
        "unsigned" => format!(
            "if it is yours and not published: git rebase --exec 'git commit --amend --no-edit -S' {commit}~; if it is \
             published, {vouch}"
        ),
        _ => format!(
            "somebody of the role adds a signature: assay git-sig sign {commit}; or it is left out: rebase onto its parent"
        ),
    }
}

fn text(target: &Target, introduction: ObjectId, judged: &Judged, tags: &[Value]) -> String {
    let report = &judged.report;
    let mut text = format!("authentic: {}\n", target.commit);
    let _ = writeln!(text, "introduction {introduction}, {} commits since", report.commits);
    if report.before > 0 {
        let _ = writeln!(
            text,
            "  {} of them judged before, under the same roots and certificates (--no-cache judges all)",
            report.before
        );
    }
    for (root, count) in &report.roots {
        let _ = writeln!(text, "  {count} judged under root {root}");
    }
    let people: Vec<_> = report
        .signers
        .iter()
        .map(|(who, count)| format!("{who} {count}"))
        .collect();
    if !people.is_empty() {
        let _ = writeln!(text, "signed by: {}", people.join(", "));
    }
    for import in &report.imports {
        let _ = if judged.imports.unchecked.contains_key(import) {
            writeln!(
                text,
                "rests on {import}, of which statements alone say that it is upstream's"
            )
        } else {
            writeln!(text, "rests on upstream's {import}, which was imported")
        };
    }
    for tag in tags {
        let signed: Vec<_> = tag["signed-by"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let by = match signed.as_slice() {
            [] => "signed by nobody of the policy; its name proves nothing".to_owned(),
            people => format!("signed by {}", people.join(", ")),
        };
        let _ = writeln!(
            text,
            "tag {}: {by}",
            output::printable(tag["name"].as_str().unwrap_or("?"))
        );
    }
    text
}
