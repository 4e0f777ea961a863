//! What the rules find in a whole tree.

use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf};

use attestation::FindingCode;
use importer::Repository;
use review::{Audit, Finding, text::shown};
use serde_json::json;

use super::queue::{self, level};
use crate::{
    cli::Global,
    exit::{Exit, Failure, OrExit as _, Outcome},
    output, sarif,
};

/// What the rules find in a whole tree, whoever changed it last.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  assay audit-tree --repo ~/nixpkgs\n  \
    assay audit-tree --repo ~/nixpkgs nixos-unstable --path pkgs/tools --code unpinned-fetch\n\n\
    No ledger is needed. It judges nothing: exit code 0 also where much is found.")]
pub(crate) struct Args {
    /// The revision
    #[arg(default_value = "HEAD", value_name = "REV")]
    revision: String,
    /// Only what lies in this directory, or this file
    #[arg(long, default_value = "", hide_default_value = true, value_name = "PATH")]
    path: String,
    /// Only what this rule finds; each place is listed
    #[arg(long, value_name = "CODE")]
    code: Option<FindingCode>,
    /// List each place
    #[arg(long)]
    list: bool,
    /// Also write the findings to this file, as SARIF 2.1.0
    #[arg(long, value_name = "FILE")]
    sarif: Option<PathBuf>,
}

/// Runs it.
pub(crate) fn run(global: &Global, args: &Args) -> Outcome {
    let repository = Repository::open(&global.repo).or_exit_with(Exit::Environment, || {
        "name a clone with --repo DIR, or clone it first: git clone URL".to_owned()
    })?;
    if let Some(code) = &args.code
        && review::rule(&code.to_string()).is_none()
    {
        return Err(Failure::new(Exit::Usage, format!("no rule is called {code}")).next("assay explain lists them"));
    }
    let id = repository.resolve(&args.revision).or_exit(Exit::Usage)?;
    let tree = repository.commit(id).or_exit(Exit::Environment)?.tree;
    let working = output::working("reading the tree");
    let mut audit = review::audit(&repository, tree, args.path.trim_end_matches('/')).or_exit(Exit::Refused)?;
    drop(working);
    if audit.files == 0 {
        return Err(
            Failure::new(Exit::Usage, format!("{} has no file in {:?}", args.revision, args.path))
                .next("name a path from the root of the tree"),
        );
    }
    if let Some(code) = &args.code {
        audit.findings.retain(|finding| finding.code() == *code);
    }
    if let Some(path) = &args.sarif {
        sarif::write(path, &audit.findings)?;
    }
    let json = json!({"commit": id.to_string(), "files": audit.files,
        "findings": audit.findings.iter().map(queue::finding_json).collect::<Vec<_>>(),
        "unparsed": audit.unparsed.iter().map(|(path, why)| json!({"path": path, "why": why.to_string()}))
            .collect::<Vec<_>>()});
    let list = args.list || args.code.is_some();
    output::result(
        global.format,
        &json,
        || {
            if list { listed(&audit) } else { table(&audit) }
        },
    );
    Ok(())
}

/// Each place, by rule.
fn listed(audit: &Audit) -> String {
    let mut text = String::new();
    for finding in &audit.findings {
        let _ = writeln!(text, "{}", queue::finding_text(finding));
    }
    for (path, why) in &audit.unparsed {
        let _ = writeln!(text, "- unparsed {}: {why}", shown(path));
    }
    text + &sum(audit)
}

/// How often each rule found something.
fn table(audit: &Audit) -> String {
    let mut by_rule: BTreeMap<_, (usize, &Finding)> = BTreeMap::new();
    for finding in &audit.findings {
        by_rule.entry(finding.rule.code).or_insert((0, finding)).0 += 1;
    }
    let mut rows: Vec<_> = by_rule.into_values().collect();
    rows.sort_by_key(|(count, finding)| (std::cmp::Reverse(finding.level()), std::cmp::Reverse(*count)));
    let mut text = String::new();
    for (count, finding) in rows {
        let rule = finding.rule;
        let _ = writeln!(
            text,
            "{} {:<24} {count:>7}  {}",
            level(rule.level),
            rule.code,
            rule.fires
        );
    }
    for (path, why) in audit.unparsed.iter().take(20) {
        let _ = writeln!(text, "- unparsed {}: {why}", shown(path));
    }
    text + &sum(audit) + "\nnext: assay audit-tree --code CODE lists the places; assay explain CODE says why"
}

fn sum(audit: &Audit) -> String {
    format!(
        "{} findings in {} files; {} expressions could not be read",
        audit.findings.len(),
        audit.files,
        audit.unparsed.len()
    )
}
