//! Findings as SARIF 2.1.0 (OASIS), for the tools that show such things beside the code.

use std::{collections::BTreeSet, fs, path::Path};

use attestation::unit::FindingLevel;
use review::Finding;
use serde_json::{Value, json};

use crate::exit::{Exit, OrExit as _, Outcome};

/// Writes the findings to a file.
pub(crate) fn write<'a>(path: &Path, findings: impl IntoIterator<Item = &'a Finding>) -> Outcome {
    let text = serde_json::to_string_pretty(&document(findings)).or_exit(Exit::Environment)?;
    fs::write(path, text + "\n").or_exit_with(Exit::Environment, || {
        format!("name a file that can be written with --sarif, not {}", path.display())
    })
}

/// One run of this program with its findings.
fn document<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Value {
    let findings: Vec<_> = findings.into_iter().collect();
    let rules: BTreeSet<_> = findings.iter().map(|finding| finding.rule).collect();
    let described: Vec<_> = rules
        .iter()
        .map(|rule| {
            json!({
                "id": rule.code,
                "shortDescription": {"text": rule.fires},
                "fullDescription": {"text": rule.because},
                "help": {"text": rule.advice},
                "defaultConfiguration": {"level": level(rule.level)},
            })
        })
        .collect();
    let results: Vec<_> = findings
        .iter()
        .map(|finding| {
            let index = rules.iter().position(|rule| *rule == finding.rule);
            let mut place = json!({"artifactLocation": {"uri": uri(&finding.place.path), "uriBaseId": "ROOT"}});
            if let Some(line) = finding.place.line {
                place["region"] = json!({"startLine": line});
            }
            json!({
                "ruleId": finding.rule.code,
                "ruleIndex": index,
                "level": level(finding.level()),
                "message": {"text": review::text::shown(&finding.what).to_string()},
                "locations": [{"physicalLocation": place}],
            })
        })
        .collect();
    json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "assay",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": described,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

const fn level(level: FindingLevel) -> &'static str {
    match level {
        FindingLevel::B => "error",
        FindingLevel::H => "warning",
        FindingLevel::S => "note",
    }
}

/// A path as a relative URI (RFC 3986).
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'.' | b'_' | b'~' | b'+' | b'@') {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use review::Place;

    use super::*;

    fn finding(code: &str, path: &str, line: Option<u64>) -> Finding {
        Finding {
            rule: review::rule(code).unwrap(),
            place: Place {
                path: path.to_owned(),
                line,
            },
            what: "what \u{202e} it does".to_owned(),
        }
    }

    /// What the standard requires of each object that we write (its sections in brackets).
    #[test]
    fn has_the_members_that_the_standard_requires() {
        let findings = [
            finding("foundation", "lib/a b.nix", None),
            finding("origin-changed", "pkgs/x/default.nix", Some(7)),
            finding("foundation", "lib/é.nix", Some(1)),
        ];
        let sarif = document(&findings);
        assert_eq!(sarif["version"], "2.1.0", "[3.13.2]");
        let runs = sarif["runs"].as_array().expect("[3.13.4]");
        let driver = &runs[0]["tool"]["driver"];
        assert!(driver["name"].is_string(), "[3.14.6], [3.18.2], [3.19.8]");
        let rules = driver["rules"].as_array().unwrap();
        assert_eq!(rules.len(), 2, "each rule once [3.19.23]");
        for rule in rules {
            assert!(
                rule["id"].is_string() && rule["shortDescription"]["text"].is_string(),
                "[3.49]"
            );
        }
        let results = runs[0]["results"].as_array().expect("[3.14.23]");
        assert_eq!(results.len(), 3);
        for result in results {
            let text = result["message"]["text"].as_str().expect("[3.27.11]");
            assert!(text.contains("⟨U+202E⟩"), "shown safely: {text}");
            let level = result["level"].as_str().unwrap();
            assert!(["none", "note", "warning", "error"].contains(&level), "[3.27.10]");
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(rules[index]["id"], result["ruleId"], "[3.27.6]");
            let uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].as_str();
            assert!(uri.unwrap().is_ascii() && !uri.unwrap().contains(' '), "[3.4.3]");
        }
        let lines: Vec<_> = results
            .iter()
            .map(|result| result["locations"][0]["physicalLocation"]["region"]["startLine"].as_u64())
            .collect();
        assert_eq!(lines, [None, Some(7), Some(1)], "counted from 1 [3.30.5]");
    }
}
