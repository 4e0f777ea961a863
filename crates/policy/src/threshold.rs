//! The one place that counts. A threshold counts distinct people, never signatures, subkeys, user ids or
//! claimed key ids.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use attestation::{KeyId, PersonName, RoleName};
use serde::Serialize;

use crate::{seal::Vouch, signature::SignatureRefusal};

/// What was found when signatures were counted for a role.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// One good signature for each distinct person (outside our chains: each distinct key).
    pub vouches: Vec<Vouch>,
    /// Signatures that do not count, and why.
    pub refused: Vec<RefusedSignature>,
    /// Who of the role has not signed (a person, or a key that belongs to nobody).
    pub could_still_sign: Vec<String>,
}

/// A signature that does not count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusedSignature {
    /// The key that it claims.
    pub key: KeyId,
    /// Why it does not count.
    pub reason: SignatureRefusal,
}

/// Too few people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Shortfall {
    /// The role whose people had to sign.
    pub role: RoleName,
    /// How many of them it takes.
    pub needed: u32,
    /// What was found.
    pub tally: Box<Tally>,
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally {
            vouches,
            refused,
            could_still_sign,
        } = &*self.tally;
        write!(
            f,
            "{} of {} needed signatures for role {}",
            vouches.len(),
            self.needed,
            self.role
        )?;
        if !vouches.is_empty() {
            let who: Vec<_> = vouches
                .iter()
                .map(|v| v.person.as_ref().map_or(v.key.as_str(), PersonName::as_str))
                .collect();
            write!(f, "; signed: {}", who.join(", "))?;
        }
        for RefusedSignature { key, reason } in refused.iter().take(8) {
            write!(f, "; not counted: {key} ({reason})")?;
        }
        if !could_still_sign.is_empty() {
            write!(f, "; could still sign: {}", could_still_sign.join(", "))?;
        }
        Ok(())
    }
}

/// Who a key's signature counts for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Voter {
    Person(PersonName),
    /// A key that belongs to nobody: the online key, or a foreign repository's.
    Key(KeyId),
}

impl fmt::Display for Voter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(person) => person.fmt(f),
            Self::Key(key) => key.fmt(f),
        }
    }
}

/// Counts distinct voters among `votes`. `electorate` is everybody who may vote.
pub(crate) fn count(
    electorate: &BTreeSet<Voter>,
    votes: impl IntoIterator<Item = (KeyId, Result<(Voter, Vouch), SignatureRefusal>)>,
) -> Tally {
    let mut counted: BTreeMap<Voter, Vouch> = BTreeMap::new();
    let mut refused = Vec::new();
    for (key, vote) in votes {
        match vote {
            Ok((voter, vouch)) if electorate.contains(&voter) => {
                counted.entry(voter).or_insert(vouch);
            }
            Ok(_) => refused.push(RefusedSignature {
                key,
                reason: SignatureRefusal::NotInRole,
            }),
            Err(reason) => refused.push(RefusedSignature { key, reason }),
        }
    }
    let could_still_sign = electorate
        .iter()
        .filter(|voter| !counted.contains_key(voter))
        .map(ToString::to_string)
        .collect();
    Tally {
        vouches: counted.into_values().collect(),
        refused,
        could_still_sign,
    }
}

/// One vouch for each distinct member of `members` among `good`, in the order of their names, if they are enough: what
/// [`count`] and [`Tally::require`] give, for whoever needs to know no more.
pub(crate) fn enough<'v>(
    members: &BTreeSet<PersonName>,
    good: impl Iterator<Item = &'v Vouch>,
    needed: u32,
) -> Option<Vec<Vouch>> {
    let mut distinct: Vec<&Vouch> = Vec::new();
    for vouch in good {
        let is_member = vouch.person.as_ref().is_some_and(|person| members.contains(person));
        if is_member && distinct.iter().all(|other| other.person != vouch.person) {
            distinct.push(vouch);
        }
    }
    distinct.sort_by_key(|vouch| &vouch.person);
    is_met(distinct.len(), needed).then(|| distinct.into_iter().cloned().collect())
}

/// Whether so many distinct voters are enough. A threshold of zero is never met: nothing is vouched for by
/// nobody.
pub(crate) fn is_met(distinct: usize, needed: u32) -> bool {
    needed > 0 && u32::try_from(distinct).unwrap_or(u32::MAX) >= needed
}

impl Tally {
    /// The vouches, if they are enough.
    pub(crate) fn require(self, role: &RoleName, needed: u32) -> Result<Vec<Vouch>, Shortfall> {
        if is_met(self.vouches.len(), needed) {
            Ok(self.vouches)
        } else {
            Err(Shortfall {
                role: role.clone(),
                needed,
                tally: Box::new(self),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn person(index: u8) -> Voter {
        Voter::Person(format!("p{index}").parse().unwrap())
    }

    fn vote(index: u8) -> (KeyId, Result<(Voter, Vouch), SignatureRefusal>) {
        let key: KeyId = format!("{index:02x}").parse().unwrap();
        (
            key.clone(),
            Ok((
                person(index),
                Vouch {
                    person: None,
                    key,
                    signed_at: None,
                },
            )),
        )
    }

    #[test]
    fn refuses_empty_threshold() {
        assert!(!is_met(0, 0));
        assert!(!is_met(5, 0));
        assert!(is_met(1, 1));
    }

    proptest! {
        #[test]
        fn counts_distinct_members_of_the_electorate(votes in prop::collection::vec(0u8..8, 0..40), members in prop::collection::btree_set(0u8..8, 0..8), needed in 0u32..6) {
            let electorate = members.iter().map(|m| person(*m)).collect();
            let tally = count(&electorate, votes.iter().map(|v| vote(*v)));
            // The naive oracle: for each member, did they vote at all?
            let expected = members.iter().filter(|m| votes.contains(m)).count();
            prop_assert_eq!(tally.vouches.len(), expected);
            prop_assert_eq!(tally.could_still_sign.len(), members.len() - expected);
            let people: Vec<Vouch> = votes
                .iter()
                .map(|v| {
                    let (key, vote) = vote(*v);
                    let person = match vote.unwrap().0 {
                        Voter::Person(person) => Some(person),
                        Voter::Key(_) => None,
                    };
                    Vouch { person, key, signed_at: None }
                })
                .collect();
            let names = members.iter().map(|m| format!("p{m}").parse().unwrap()).collect();
            let quick = enough(&names, people.iter(), needed).map(|vouches| vouches.len());
            prop_assert_eq!(quick, (needed != 0 && expected >= needed as usize).then_some(expected));
            let role: RoleName = "reviewers".parse().unwrap();
            prop_assert_eq!(tally.require(&role, needed).is_ok(), needed != 0 && expected >= needed as usize);
        }
    }
}
