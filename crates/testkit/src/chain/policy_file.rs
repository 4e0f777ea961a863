//! The policy of a test's chain, as people would write it.

use attestation::{Seconds, Time};
use data_encoding::HEXLOWER;
use ed25519_dalek::SigningKey;

use crate::people::TestPerson;

/// The `policy.toml` of a chain of these people, as [`TestChain::with_policy`] has it.
pub fn policy_toml(people: &[TestPerson], online: &SigningKey, now: Time) -> String {
    let names = |people: &[TestPerson]| {
        let quoted: Vec<_> = people.iter().map(|person| format!("\"{}\"", person.name)).collect();
        format!("[{}]", quoted.join(", "))
    };
    let first = &people[..3.min(people.len())];
    let crypto = &people[2.min(people.len() - 1)..];
    let mut text = format!(
        "online-key = \"{}\"\n",
        HEXLOWER.encode(online.verifying_key().as_bytes())
    );
    for person in people {
        let keys: Vec<_> = person.keys.iter().map(|key| format!("\"{key}\"")).collect();
        text += &format!(
            "[people.{}]\ncertificate = \"{}\"\nkeys = [{}]\nnot-after = \"{}\"\n",
            person.name,
            person.primary,
            keys.join(", "),
            now.plus(Seconds::days(365)),
        );
    }
    text += &format!("[roles.root]\npeople = {}\nthreshold = 2\n", names(first));
    text += &format!("[roles.reviewers]\npeople = {}\n", names(first));
    text += &format!("[roles.crypto]\npeople = {}\n", names(crypto));
    for channel in ["unstable", "stable"] {
        text += &format!(
            "[channels.{channel}]\nupstream = \"https://upstream.example/nixpkgs\"\nbranch = \"{channel}\"\n\
             release = {{ role = \"reviewers\", threshold = 2 }}\nmax-lag = \"3 days\"\nexpires = \"7 days\"\n\
             lacking = \"block\"\n"
        );
    }
    text + "[[rules]]\npaths = [\"lib/**\"]\nrequire = { reviewers = 2, crypto = 1 }\n\
            [[rules]]\nclass = \"bump\"\nwithout-findings = true\nrequire = { reviewers = 1 }\n\
            [[rules]]\nrequire = { reviewers = 2 }\n"
}
