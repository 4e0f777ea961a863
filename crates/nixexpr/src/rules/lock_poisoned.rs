//! `lock-poisoned`

use std::collections::BTreeMap;

use attestation::unit::FindingLevel;
use serde_json::Value;

use crate::{compare::Changed, Rule, rule::{Look, Found}};

pub(crate) static RULE: Rule = Rule {
    code: "lock-poisoned",
    level: FindingLevel::H,
    fires: "`flake.lock`: a new input or URL, a `follows` that is gone, or a revision or narHash that the ledger does not know",
    because: "what a lock names is what is run, and nobody reads locks",
    example: "-        \"owner\": \"NixOS\",\n+        \"owner\": \"NixOS-mirror\",",
    advice: "Compare the input with what flake.nix asks for; look the revision up in its repository.",
    look: Look {
        file: Some(look),
        ..Look::ELSEWHERE
    },
};

fn look(changed: &Changed<'_>, found: &mut Vec<Found>) {
    if changed.path.rsplit('/').next() != Some("flake.lock") {
        return;
    }
    let Some(new) = changed.new else {
        return;
    };
    let Some(inputs) = inputs(new.bytes) else {
        found.push(changed.whole("it is no lock file"));
        return;
    };
    let before = changed.old.map(|old| self::inputs(old.bytes).unwrap_or_default());
    for (name, input) in &inputs {
        let was = before.as_ref().and_then(|before| before.get(name));
        let mut say = |what: String| found.push(changed.whole(&what));
        match was {
            None => say(format!("a new input: {name} from {}", input.place)),
            Some(was) if was.place != input.place => say(format!("{name} from {} instead of {}", input.place, was.place)),
            Some(was) => {
                if was.original != input.original {
                    say(format!("{name} is asked for otherwise: {} instead of {}", input.original, was.original));
                }
                for (follower, target) in &was.follows {
                    match input.follows.get(follower) {
                        Some(now) if now == target => {}
                        Some(now) => say(format!("{follower} of {name} follows {now} instead of {target}")),
                        None => say(format!("{follower} of {name} no longer follows {target}")),
                    }
                }
                if was.nar_hash != input.nar_hash && was.revision == input.revision {
                    say(format!("{name} has another narHash for the revision that it had"));
                } else if was.nar_hash == input.nar_hash && was.revision != input.revision {
                    say(format!("{name} has another revision with the narHash that it had"));
                } else if was.modified > input.modified {
                    say(format!("{name} is older than before"));
                }
            }
        }
        let changed_content = was.is_none_or(|was| was.nar_hash != input.nar_hash || was.revision != input.revision);
        if changed_content
            && let Some(is_released) = changed.context.is_released
            && !is_released(&input.revision, &input.nar_hash)
        {
            say(format!("{name}: the ledger has no release of {} with {}", input.revision, input.nar_hash));
        }
        if input.nar_hash.is_empty() && !input.place.is_empty() {
            say(format!("{name} has no narHash"));
        }
    }
}

#[derive(Default)]
struct Input {
    /// Where it is fetched from.
    place: String,
    /// What flake.nix asks for.
    original: String,
    revision: String,
    nar_hash: String,
    modified: u64,
    follows: BTreeMap<String, String>,
}

/// The inputs of a lock file, by the names of their nodes.
fn inputs(bytes: &[u8]) -> Option<BTreeMap<String, Input>> {
    let lock: Value = serde_json::from_slice(bytes).ok()?;
    let nodes = lock.get("nodes")?.as_object()?;
    let mut inputs = BTreeMap::new();
    for (name, node) in nodes {
        let locked = node.get("locked");
        let text = |of: Option<&Value>, member: &str| of.and_then(|of| of.get(member)).and_then(Value::as_str).unwrap_or("").to_owned();
        let mut follows = BTreeMap::new();
        for (input, target) in node.get("inputs").and_then(Value::as_object).into_iter().flatten() {
            if let Some(path) = target.as_array() {
                let path: Vec<&str> = path.iter().filter_map(Value::as_str).collect();
                follows.insert(input.clone(), path.join("/"));
            }
        }
        inputs.insert(
            name.clone(),
            Input {
                place: place(locked),
                original: place(node.get("original")),
                revision: text(locked, "rev"),
                nar_hash: text(locked, "narHash"),
                modified: locked.and_then(|locked| locked.get("lastModified")).and_then(Value::as_u64).unwrap_or(0),
                follows,
            },
        );
    }
    Some(inputs)
}

/// Everything of a reference but what a plain update moves.
fn place(reference: Option<&Value>) -> String {
    let Some(members) = reference.and_then(Value::as_object) else {
        return String::new();
    };
    let members = members.iter().filter(|(name, _)| !matches!(name.as_str(), "rev" | "narHash" | "lastModified" | "revCount"));
    let parts: Vec<String> = members
        .map(|(name, value)| {
            let mut text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
            // `releases/…/nixexprs.tar.xz?rev=…`: the revision is part of the URL that a redirect gave.
            if name == "url"
                && let Some((path, _)) = text.split_once("?rev=")
            {
                text = path.to_owned();
            }
            // Forges do not tell case apart in these.
            if matches!(name.as_str(), "owner" | "repo") {
                text.make_ascii_lowercase();
            }
            format!("{name} {text}")
        })
        .collect();
    parts.join(", ")
}
