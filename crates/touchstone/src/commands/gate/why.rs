//! `touchstone gate why`: the verdict on a derivation and all that it needs, with what to do next.

use std::{collections::BTreeSet, path::PathBuf, process::ExitCode};

use clap::Args;
use gate::{Pass, Place, Refusal, judge::Judge, store::Store};
use nixstore::{StoreDir, StorePath};
use serde::Serialize;

use super::left_out;
use crate::{
    failure::{Failure, Kind},
    output::{Output, WARNING, chain},
};

/// Say why a derivation is refused, or that it passes, and what to do next
#[derive(Debug, Args)]
#[command(after_help = "\
Nix tells whoever builds only that a program failed. Everybody may ask this. Exit code 1 when something is refused.

Example:
  touchstone gate why $(nix-instantiate '<nixpkgs>' -A hello)")]
pub(super) struct Arguments {
    /// The derivation: a path that ends in .drv, as Nix names it
    derivation: String,

    /// Where the objects of the store are
    #[arg(long, value_name = "DIR", default_value = "/nix/store", hide = true)]
    store: PathBuf,
}

/// So many refused derivations are shown; more of them have one reason in common.
const SHOWN: usize = 20;

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Why {
    derivation: StorePathText,
    passes: bool,
    by: Option<&'static str>,
    /// How many derivations it consists of.
    derivations: usize,
    /// How many of them are refused.
    refused: usize,
    reasons: Vec<Reason>,
}

type StorePathText = String;

#[derive(Serialize)]
struct Reason {
    derivation: StorePathText,
    code: &'static str,
    reason: String,
    next: String,
}

pub(super) fn run(arguments: &Arguments, place: &Place, output: Output) -> Result<ExitCode, Failure> {
    let path = StorePath::parse_in(&StoreDir::default(), &arguments.derivation).map_err(|error| {
        Failure::new(
            Kind::Usage,
            "no-derivation",
            error,
            "name the .drv that Nix named, or touchstone gate why $(nix-instantiate …)",
        )
    })?;
    let judge = Judge::open(place, Store::at(&arguments.store)).map_err(|refusal| {
        let next = refusal.next();
        Failure::new(Kind::Environment, refusal.code(), refusal, next)
    })?;
    let mut why = explain(&judge, &path);
    name_violations(&mut why, place);
    output.result(&why, in_words);
    Ok(if why.refused == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

/// Whether a derivation and all that it needs passes.
pub(super) fn passes(judge: &Judge, top: &StorePath) -> bool {
    let why = explain(judge, top);
    why.refused == 0
}

fn explain(judge: &Judge, top: &StorePath) -> Why {
    let mut why = Why {
        derivation: top.to_string(),
        passes: false,
        by: None,
        derivations: 0,
        refused: 0,
        reasons: Vec::new(),
    };
    let mut seen = BTreeSet::new();
    // What is needed first is refused first, and is what Nix names: so it is shown first.
    let mut stack = vec![(top.clone(), false)];
    while let Some((path, needs_done)) = stack.pop() {
        if !needs_done {
            if !seen.insert(path.clone()) {
                continue;
            }
            stack.push((path.clone(), true));
            if let Ok(recipe) = judge.store().recipe(&path) {
                let needed = recipe.derivation.input_derivations.into_keys();
                stack.extend(needed.map(|path| (path, false)));
            }
            continue;
        }
        why.derivations += 1;
        match judge.derivation(&path) {
            Ok(pass) if path == *top => (why.passes, why.by) = (true, Some(by(pass))),
            Ok(_) => {}
            Err(refusal) => {
                why.refused += 1;
                if why.reasons.len() < SHOWN {
                    why.reasons.push(reason(&path, &refusal));
                }
            }
        }
    }
    why
}

/// Where a release lists what is not approved, and is left out because somebody found it to be bad, that is the reason.
fn name_violations(why: &mut Why, place: &Place) {
    if why.reasons.iter().all(|reason| reason.code != "not-approved") {
        return;
    }
    for left_out in left_out::read(place) {
        let Some(listed) = left_out.derivations(place) else {
            continue;
        };
        let listed: BTreeSet<_> = listed.derivations.iter().map(|line| line.path.to_string()).collect();
        for reason in &mut why.reasons {
            if reason.code == "not-approved" && listed.contains(&reason.derivation) {
                reason.code = "violated";
                reason.reason += &format!(": {}", left_out.in_words());
                left_out.next().clone_into(&mut reason.next);
            }
        }
    }
}

fn reason(path: &StorePath, refusal: &Refusal) -> Reason {
    Reason {
        derivation: path.to_string(),
        code: refusal.code(),
        reason: chain(refusal).join(": "),
        next: refusal.next(),
    }
}

const fn by(pass: Pass) -> &'static str {
    match pass {
        Pass::Approved => "the derivation is approved",
        Pass::Channel => "the tarball of the channel is approved",
        Pass::Environment => "every package of the environment is approved",
        Pass::Develop => "it is the development environment of an approved derivation",
        Pass::Developer => "whoever asked is a developer",
    }
}

fn in_words(why: &Why) -> String {
    let Why {
        derivation,
        derivations,
        refused,
        reasons,
        ..
    } = why;
    if *refused == 0 {
        let by = why.by.unwrap_or("it passes");
        return format!("{derivation} passes, and so does all that it needs ({derivations} derivations): {by}");
    }
    let mut text = format!(
        "{WARNING}{derivation} is refused{WARNING:#}: of the {derivations} derivations that it consists of, {refused} would be\n"
    );
    for Reason { reason, .. } in reasons {
        text += &format!("  {reason}\n");
    }
    if *refused > reasons.len() {
        text += &format!("  and {} more\n", refused - reasons.len());
    }
    let mut nexts: Vec<&str> = reasons.iter().map(|reason| reason.next.as_str()).collect();
    nexts.dedup();
    text + "next: " + &nexts.join("\n  or: ")
}
