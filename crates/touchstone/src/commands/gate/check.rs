//! `touchstone gate check`: proves that the gate works, by what Nix says and by what it does.

use std::{
    process::{self, ExitCode},
    time::{SystemTime, UNIX_EPOCH},
};

use clap::Args;
use gate::{Approvals, Place, Settings, nixconf, refusals};
use serde::Serialize;

use super::{nix, require_root, serve};
use crate::{
    failure::Failure,
    output::{Output, WARNING, chain},
};

/// Prove that the gate works: its files, the daemon's settings, and a build that must be refused
#[derive(Debug, Args)]
#[command(after_help = "\
Run it at every start of the machine, and after each change of nix.conf. Exit code 1 when something lets builds past.

Example:
  touchstone gate check || mail -s 'the gate is open' root </dev/null")]
pub(super) struct Arguments {}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Checked {
    holds: bool,
    checks: Vec<Check>,
}

#[derive(Serialize)]
struct Check {
    what: String,
    holds: bool,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl Check {
    fn good(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            holds: true,
            found: found.into(),
            next: None,
        }
    }

    fn bad(what: impl Into<String>, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            holds: false,
            found: found.into(),
            next: Some(next.into()),
        }
    }
}

pub(super) fn run(_: &Arguments, place: &Place, output: Output) -> Result<ExitCode, Failure> {
    require_root("check")?;
    let mut checks = files(place);
    let now = nix::configuration()?;
    let substituter = serve::for_nix(place)?;
    let wrong = nixconf::wrong(place, substituter.as_ref(), &now);
    if wrong.is_empty() {
        checks.push(Check::good("settings of Nix", "as the gate needs them"));
    }
    for wrong in wrong {
        let found = format!("{:?}, needed is {:?}", wrong.found, wrong.expected);
        let next = "touchstone gate on writes it; look for what overrides it (NIX_CONFIG of the daemon, ~root/.config/nix, a later \
                    include), then restart nix-daemon";
        checks.push(Check::bad(format!("setting {}", wrong.setting), found, next));
    }
    checks.push(probe(place));
    let holds = checks.iter().all(|check| check.holds);
    let checked = Checked { holds, checks };
    output.result(&checked, in_words);
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn files(place: &Place) -> Vec<Check> {
    let refresh = "touchstone gate on";
    let mut checks = Vec::new();
    let hook = place.open_ours(&place.hook());
    checks.push(match hook {
        Ok(_) => Check::good("hook", place.hook().display().to_string()),
        Err(error) => Check::bad("hook", chain(&error).join(": "), refresh),
    });
    checks.push(match Settings::read(place) {
        Ok(settings) => Check::good(
            "settings of the gate",
            settings.developer_group.map_or_else(
                || "everybody is in the strict scope".to_owned(),
                |group| format!("members of {group} may build anything in the sandbox"),
            ),
        ),
        Err(error) => Check::bad("settings of the gate", chain(&error).join(": "), refresh),
    });
    let approvals = Approvals::open(place).and_then(|approvals| {
        approvals.check()?;
        Ok((approvals.origin(), approvals.count()))
    });
    checks.push(match approvals {
        Ok((origin, count)) => Check::good(
            "approvals",
            format!(
                "{count} of release {} of chain {:.12}…",
                origin.release,
                origin.chain.to_string()
            ),
        ),
        Err(error) => Check::bad("approvals", chain(&error).join(": "), "touchstone gate refresh"),
    });
    checks
}

/// The one proof that counts: something that nobody approved is refused, by our hook.
fn probe(place: &Place) -> Check {
    let what = "a build that must be refused";
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos());
    let name = format!("touchstone-gate-probe-{now}-{}", process::id());
    let (built, said) = match nix::build_unapproved(&name) {
        Ok(done) => done,
        Err(error) => return Check::bad(what, chain(&error).join(": "), "put Nix on PATH"),
    };
    if built {
        return Check::bad(
            what,
            format!("{name} was built: builds go past the gate"),
            "restart nix-daemon, so that it reads the settings; then touchstone gate check again",
        );
    }
    let noted = refusals::newest(place, 20).unwrap_or_default();
    if noted
        .iter()
        .any(|entry| entry.derivation.contains(&name) && entry.code == "not-approved")
    {
        return Check::good(what, "was refused by the hook");
    }
    let last = said
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("nothing")
        .trim()
        .to_owned();
    Check::bad(
        what,
        format!("it failed, but not by our hook; Nix said: {last}"),
        "mend what Nix says, restart nix-daemon, then touchstone gate check again",
    )
}

fn in_words(checked: &Checked) -> String {
    let mut text = String::new();
    for Check {
        what,
        holds,
        found,
        next,
    } in &checked.checks
    {
        if *holds {
            text += &format!("fine   {what}: {found}\n");
        } else {
            text += &format!("{WARNING}wrong{WARNING:#}  {what}: {found}\n");
        }
        if let Some(next) = next {
            text += &format!("       next: {next}\n");
        }
    }
    text += if checked.holds {
        "the gate holds"
    } else {
        "the gate does not hold"
    };
    text
}
