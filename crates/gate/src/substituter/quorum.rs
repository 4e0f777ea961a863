//! What enough builders say. Builders are keys; a key counts once, wherever and under whatever name its signature came.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
};

use nixstore::{NarDigest, NarInfo, StorePath, key::PublicKey};
use serde::Serialize;

use crate::place::Place;

/// How long the log of disagreements gets before it begins anew.
const LONG: u64 = 1 << 20;

/// What a cache answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its address.
    pub cache: String,
    /// The narinfo, or why there is none.
    pub text: Result<String, String>,
}

/// What enough builders agree on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// The path.
    pub path: StorePath,
    /// Its archive.
    pub nar: NarDigest,
    /// What it refers to.
    pub references: BTreeSet<StorePath>,
    /// The caches that say so, and where their archive is.
    pub sources: Vec<Source>,
}

/// Where a cache has an archive. Anybody's word: what comes is hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The cache.
    pub cache: String,
    /// The file, relative to it.
    pub file: String,
    /// How it is compressed.
    pub compression: String,
}

/// One builder's signed word, as evidence: anybody can check the signature over the fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Claim {
    /// The cache that had it.
    pub cache: String,
    /// The builder's public key.
    pub key: String,
    /// What was signed.
    pub fingerprint: String,
    /// The signature.
    pub signature: String,
}

/// Why a path is not given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Shortfall {
    /// Too few builders say the same.
    #[error("{needed} builders must agree about {digest}, {found} do: {caches}")]
    TooFew {
        /// The digest that was asked for.
        digest: String,
        /// How many must.
        needed: usize,
        /// How many do.
        found: usize,
        /// What each cache said.
        caches: String,
    },
    /// Enough say one thing, and enough another.
    #[error("builders disagree about {digest}: more than one answer has the {needed} builders that it takes")]
    Split {
        /// The digest that was asked for.
        digest: String,
        /// How many must agree.
        needed: usize,
    },
}

/// What is signed of a path, and which keys signed it.
struct Group {
    info: NarInfo,
    keys: BTreeSet<[u8; 32]>,
    sources: Vec<Source>,
}

/// What enough of `keys` say of the path with that digest.
pub fn judge(digest: &str, keys: &[PublicKey], needed: usize, answers: &[Answer]) -> Result<Agreed, Shortfall> {
    let groups = groups(digest, keys, answers);
    let mut enough = groups.values().filter(|group| group.keys.len() >= needed);
    match (enough.next(), enough.next()) {
        (Some(group), None) => Ok(Agreed {
            path: group.info.path.clone(),
            nar: group.info.nar,
            references: group.info.references.clone(),
            sources: group.sources.clone(),
        }),
        (Some(_), Some(_)) => Err(Shortfall::Split {
            digest: digest.to_owned(),
            needed,
        }),
        (None, _) => Err(Shortfall::TooFew {
            digest: digest.to_owned(),
            needed,
            found: groups.values().map(|group| group.keys.len()).max().unwrap_or(0),
            caches: answers.iter().map(in_words).collect::<Vec<_>>().join("; "),
        }),
    }
}

/// The signed words of builders who do not all say the same; empty when they do.
pub fn disagreement(digest: &str, keys: &[PublicKey], answers: &[Answer]) -> Vec<Claim> {
    let groups = groups(digest, keys, answers);
    if groups.values().filter(|group| !group.keys.is_empty()).count() < 2 {
        return Vec::new();
    }
    let mut claims = Vec::new();
    for (cache, info) in infos(digest, answers) {
        let fingerprint = info.fingerprint();
        for signature in &info.signatures {
            if let Some(key) = keys.iter().find(|key| key.verifies(fingerprint.as_bytes(), signature)) {
                claims.push(Claim {
                    cache: cache.to_owned(),
                    key: key.to_string(),
                    fingerprint: fingerprint.clone(),
                    signature: signature.to_string(),
                });
            }
        }
    }
    claims
}

/// Writes a disagreement down, for root alone.
pub(super) fn note(place: &Place, line: &serde_json::Value) -> io::Result<()> {
    let path = place.directory().join("disagreements.jsonl");
    if fs::metadata(&path).is_ok_and(|metadata| metadata.len() > LONG) {
        fs::rename(&path, place.directory().join("disagreements.1.jsonl"))?;
    }
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    file.write_all(format!("{line}\n").as_bytes())
}

fn groups(digest: &str, keys: &[PublicKey], answers: &[Answer]) -> BTreeMap<String, Group> {
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for (cache, info) in infos(digest, answers) {
        let fingerprint = info.fingerprint();
        let good = keys.iter().filter(|key| {
            let mut signatures = info.signatures.iter();
            signatures.any(|signature| key.verifies(fingerprint.as_bytes(), signature))
        });
        let good: Vec<[u8; 32]> = good.map(PublicKey::bytes).collect();
        let source = Source {
            cache: cache.to_owned(),
            file: info.url.clone(),
            compression: info.compression.clone(),
        };
        let group = groups.entry(fingerprint).or_insert_with(|| Group {
            info,
            keys: BTreeSet::new(),
            sources: Vec::new(),
        });
        group.keys.extend(good);
        group.sources.push(source);
    }
    groups
}

/// The narinfos that are about this path; a cache that answers for another one has said nothing.
fn infos<'a>(digest: &'a str, answers: &'a [Answer]) -> impl Iterator<Item = (&'a str, NarInfo)> {
    answers.iter().filter_map(move |answer| {
        let info = NarInfo::parse(answer.text.as_ref().ok()?).ok()?;
        let about_it = info
            .path
            .base_name()
            .split_once('-')
            .is_some_and(|(part, _)| part == digest);
        about_it.then_some((answer.cache.as_str(), info))
    })
}

fn in_words(answer: &Answer) -> String {
    let said = match &answer.text {
        Ok(text) => match NarInfo::parse(text) {
            Ok(info) => format!("{} by {} keys", info.path, info.signatures.len()),
            Err(error) => error.to_string(),
        },
        Err(error) => error.clone(),
    };
    format!("{}: {said}", answer.cache)
}

#[cfg(test)]
mod tests {
    use nixstore::{Sha256Digest, key::SecretKey};

    use super::*;

    const DIGEST: &str = "r3xjz212rckvqi2j444s33h4m8864ba0";

    fn key(number: u8) -> SecretKey {
        SecretKey::from_seed(format!("builder-{number}"), &[number; 32])
    }

    fn keys(count: u8) -> Vec<PublicKey> {
        (1..=count).map(|number| key(number).public()).collect()
    }

    /// The answer of a cache that these builders have signed for, about an archive of that content.
    fn answer(cache: &str, builders: &[u8], content: &str) -> Answer {
        let mut info = NarInfo {
            path: format!("{DIGEST}-pkg").parse().unwrap(),
            url: format!("nar/{cache}.nar"),
            compression: "none".to_owned(),
            nar: NarDigest {
                sha256: Sha256Digest::of(content),
                size: 100,
            },
            references: BTreeSet::new(),
            deriver: None,
            signatures: Vec::new(),
            content_address: None,
        };
        let fingerprint = info.fingerprint();
        info.signatures = builders
            .iter()
            .map(|number| key(*number).sign(fingerprint.as_bytes()))
            .collect();
        Answer {
            cache: cache.to_owned(),
            text: Ok(info.to_text()),
        }
    }

    fn judged(needed: usize, answers: &[Answer]) -> Result<usize, Shortfall> {
        judge(DIGEST, &keys(5), needed, answers).map(|agreed| agreed.sources.len())
    }

    #[test]
    fn so_many_distinct_builders_must_agree() {
        assert_eq!(judged(1, &[answer("a", &[1], "x")]), Ok(1));
        assert_eq!(judged(2, &[answer("a", &[1], "x"), answer("b", &[2], "x")]), Ok(2));
        assert_eq!(judged(3, &[answer("a", &[1, 2], "x"), answer("b", &[5], "x")]), Ok(2));
        let few = |needed, answers: &[Answer]| matches!(judged(needed, answers), Err(Shortfall::TooFew { .. }));
        assert!(few(1, &[]));
        assert!(
            few(2, &[answer("a", &[1], "x"), answer("b", &[1], "x")]),
            "one builder in two caches"
        );
        assert!(few(2, &[answer("a", &[1, 1], "x")]), "one signature twice");
        assert!(
            few(2, &[answer("a", &[1], "x"), answer("b", &[2], "y")]),
            "two builders, two archives"
        );
        assert!(few(2, &[answer("a", &[1, 9], "x")]), "an unknown builder");
    }

    #[test]
    fn one_that_lies_is_outvoted_and_noted_and_two_majorities_are_none() {
        let answers = [
            answer("a", &[1], "x"),
            answer("b", &[2], "x"),
            answer("c", &[3], "evil"),
        ];
        assert_eq!(judged(2, &answers), Ok(2));
        let evidence = disagreement(DIGEST, &keys(5), &answers);
        assert_eq!(evidence.len(), 3);
        assert!(disagreement(DIGEST, &keys(5), &answers[..2]).is_empty());
        let split = [answer("a", &[1, 2], "x"), answer("b", &[3, 4], "y")];
        assert!(matches!(judged(2, &split), Err(Shortfall::Split { .. })));
    }

    #[test]
    fn a_changed_narinfo_and_one_of_another_path_say_nothing() {
        for (from, to) in [
            ("NarSize: 100", "NarSize: 101"),
            ("References: ", "References: r3xjz212rckvqi2j444s33h4m8864ba0-pkg"),
            ("-pkg", "-evil"),
        ] {
            let mut changed = answer("b", &[2], "x");
            changed.text = changed.text.map(|text| text.replacen(from, to, 1));
            assert!(judged(2, &[answer("a", &[1], "x"), changed]).is_err(), "{from}");
        }
        let replayed = judge(
            "00000000000000000000000000000000",
            &keys(5),
            1,
            &[answer("a", &[1], "x")],
        );
        assert!(matches!(replayed, Err(Shortfall::TooFew { found: 0, .. })));
        let moved = {
            let mut moved = answer("b", &[2], "x");
            moved.text = moved.text.map(|text| text.replace("nar/b.nar", "nar/elsewhere.nar"));
            moved
        };
        assert_eq!(
            judged(2, &[answer("a", &[1], "x"), moved]),
            Ok(2),
            "the address is nobody's word, and is hashed"
        );
    }
}
