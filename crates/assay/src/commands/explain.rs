//! What a finding means, and what a reviewer should do about it.

use attestation::unit::FindingLevel;
use nixexpr::{RULES, Rule};
use serde_json::{Value, json};

use crate::{
    cli::Global,
    exit::{Exit, Failure, Outcome},
    output,
};

/// What a finding means, and what a reviewer should do about it.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  assay explain hash-stale\n  assay explain            (all codes)")]
pub(crate) struct Args {
    /// The finding's code; all of them without one
    #[arg(value_name = "CODE")]
    pub code: Option<String>,
}

/// Runs it.
pub(crate) fn run(global: &Global, args: &Args) -> Outcome {
    let Some(code) = &args.code else {
        let json: Vec<Value> = RULES.iter().map(|rule| value(rule)).collect();
        output::result(global.format, &json, || RULES.iter().map(|rule| line(rule)).collect());
        return Ok(());
    };
    let Some(rule) = nixexpr::rule(code) else {
        let near: Vec<&str> = RULES
            .iter()
            .map(|rule| rule.code)
            .filter(|known| alike(known, code))
            .collect();
        let near = if near.is_empty() {
            String::new()
        } else {
            format!("; there is {}", near.join(", "))
        };
        return Err(
            Failure::new(Exit::Usage, format!("no rule has the code `{code}`{near}"))
                .next("assay explain lists all codes"),
        );
    };
    output::result(global.format, &value(rule), || text(rule));
    Ok(())
}

/// Whether a code may be what somebody meant: they share a word.
fn alike(known: &str, code: &str) -> bool {
    code.split('-')
        .any(|word| word.len() > 2 && known.split('-').any(|other| other.starts_with(word)))
}

const fn level(rule: &Rule) -> (&'static str, &'static str) {
    match rule.level {
        FindingLevel::B => ("B", "blocks: two people by default"),
        FindingLevel::H => ("H", "needs one human"),
        FindingLevel::S => ("S", "needs the source itself to judge"),
    }
}

fn value(rule: &Rule) -> Value {
    json!({"code": rule.code, "level": level(rule).0, "fires-when": rule.fires, "because": rule.because, "example": rule.example, "advice": rule.advice})
}

fn line(rule: &Rule) -> String {
    format!("{}  {:24} {}\n", level(rule).0, rule.code, rule.fires)
}

fn text(rule: &Rule) -> String {
    let (letter, meaning) = level(rule);
    let example: String = rule.example.lines().map(|line| format!("    {line}\n")).collect();
    format!(
        "{} ({letter}: {meaning})\n\nFires when {}.\nBecause {}.\n\nFor example:\n{example}\nWhat to do: {}\n",
        rule.code, rule.fires, rule.because, rule.advice
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_explained_with_what_to_do() {
        for rule in RULES {
            let text = text(rule);
            assert!(text.contains(rule.code) && text.contains("What to do: "), "{text}");
            let ends = [rule.fires, rule.because].iter().any(|part| part.ends_with('.'));
            assert!(!ends, "two full stops in {text}");
        }
    }

    #[test]
    fn a_code_that_is_nearly_right_is_answered_with_those_meant() {
        assert!(alike("hash-stale", "hash-old"));
        assert!(!alike("hash-stale", "tarball"));
    }
}
