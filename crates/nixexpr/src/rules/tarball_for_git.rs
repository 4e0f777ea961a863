//! `tarball-for-git`

use attestation::unit::FindingLevel;

use crate::{Fact, origin::Nature, compare::Comparison, Rule, rule::{Look, Found}};

pub(crate) static RULE: Rule = Rule {
    code: "tarball-for-git",
    level: FindingLevel::H,
    fires: "a source that came from a repository became a file that somebody uploaded",
    because: "the way of the xz backdoor: what was in the release was not in git",
    example: "-  src = fetchFromGitHub {\n+  src = fetchurl {\n+    url = \"https://github.com/o/r/releases/download/v1.0/r-1.0.tar.gz\";",
    advice: "Compare the file with the tag it claims to be. Keep the repository as the source unless there is a reason that outweighs it.",
    look: Look {
        facts: Some(facts),
        ..Look::ELSEWHERE
    },
};

fn facts(comparison: &Comparison<'_>, found: &mut Vec<Found>) {
    for (old, new) in comparison.packages.iter().filter_map(|(old, new)| (*old).zip(*new)) {
        let (Some(was), Some(is)) = (comparison.first_source(comparison.old, old), comparison.first_source(comparison.new, new)) else {
            continue;
        };
        if was.nature == Fact::Known(Nature::Snapshot) && is.nature == Fact::Known(Nature::Upload) && !is_other_system(was.fetcher) {
            found.push(comparison.found(is.at, "an uploaded file instead of the repository".to_owned()));
        }
    }
    for (old, new) in comparison.sources.iter().filter_map(|(old, new)| (*old).zip(*new)) {
        if old.nature == Fact::Known(Nature::Snapshot) && new.nature == Fact::Known(Nature::Upload) && !new.is_patch() && !is_other_system(old.fetcher) {
            found.push(comparison.found(new.at, "an uploaded file instead of the repository".to_owned()));
        }
    }
}

/// What is no git publishes by files.
fn is_other_system(fetcher: &str) -> bool {
    matches!(fetcher, "fetchsvn" | "fetchsvnssh" | "fetchcvs" | "fetchbzr" | "fetchdarcs" | "fetchmtn")
}
