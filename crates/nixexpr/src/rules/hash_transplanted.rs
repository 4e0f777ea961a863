//! `hash-transplanted`

use attestation::unit::FindingLevel;

use crate::{compare::View, compare::Comparison, Rule, rule::{Look, Found}};

pub(crate) static RULE: Rule = Rule {
    code: "hash-transplanted",
    level: FindingLevel::B,
    fires: "a new hash is the hash of another unit's source",
    because: "the content of one package under the name of another",
    example: "+    hash = \"sha256-<the hash of openssl-1.0.1>\";",
    advice: "Find out which of the two is right. A fixed-output path is shared: whoever has the other content gets it here, unfetched.",
    look: Look {
        facts: Some(facts),
        ..Look::ELSEWHERE
    },
};

fn facts(comparison: &Comparison<'_>, found: &mut Vec<Found>) {
    let Some(owner_of) = comparison.context.owner_of_hash else {
        return;
    };
    let before: Vec<_> = comparison.old.into_iter().flat_map(View::sources).filter_map(|source| source.hash.known()).collect();
    for source in comparison.new.into_iter().flat_map(View::sources) {
        let Some(hash) = source.hash.known().filter(|hash| !before.contains(hash)) else {
            continue;
        };
        if let Some(owner) = owner_of(hash) {
            found.push(comparison.found(source.at, format!("{} has the hash of {owner}", comparison.title(source))));
        }
    }
}
