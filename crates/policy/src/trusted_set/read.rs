//! Reading metadata files, and holding them against what lists them.

use std::collections::BTreeSet;

use attestation::{
    Sha256Digest,
    canonical::JsonError,
    tuf::{MetaFile, Metadata, Signed, TargetFile},
};

use super::error::TrustError;

pub(super) fn read_exact<T: Metadata>(bytes: &[u8], name: &str) -> Result<Signed<T>, TrustError> {
    check_header(Signed::from_exact(bytes), name)
}

pub(super) fn read_foreign<T: Metadata>(bytes: &[u8], name: &str) -> Result<Signed<T>, TrustError> {
    let file = check_header(Signed::from_foreign(bytes), name)?;
    // Section 4.2: a key id stands once among the signatures. (Ours are finished with one signature a key.)
    let distinct: BTreeSet<_> = file.signatures.iter().map(|signature| &signature.keyid).collect();
    if distinct.len() == file.signatures.len() {
        Ok(file)
    } else {
        Err(TrustError::Rule {
            role: name.to_owned(),
            rule: "a key id stands twice among the signatures".to_owned(),
        })
    }
}

pub(super) fn check_header<T: Metadata>(
    read: Result<Signed<T>, JsonError>,
    name: &str,
) -> Result<Signed<T>, TrustError> {
    let file = read.map_err(|source| TrustError::Format {
        role: name.to_owned(),
        source,
    })?;
    let header = |member, found: &str, expected: &str| TrustError::Header {
        role: name.to_owned(),
        member,
        found: found.to_owned(),
        expected: expected.to_owned(),
    };
    if file.claims.type_tag() != T::TYPE {
        return Err(header("_type", file.claims.type_tag(), T::TYPE));
    }
    // Section 4.3: a client follows one major version.
    if !file.claims.spec_version().starts_with("1.") {
        return Err(header("spec_version", file.claims.spec_version(), "1.*"));
    }
    if file.claims.version() == 0 {
        return Err(header("version", "0", "1 or more"));
    }
    Ok(file)
}

pub(super) fn expect_version(name: &str, found: u64, expected: u64) -> Result<(), TrustError> {
    if found == expected {
        Ok(())
    } else {
        Err(TrustError::Version {
            role: name.to_owned(),
            found,
            expected,
        })
    }
}

/// Whether `bytes` have the length and every digest that a listing names. An algorithm that we do not know is
/// refused rather than passed over.
pub(super) fn expect_listed(name: &str, bytes: &[u8], listing: &MetaFile) -> Result<(), TrustError> {
    let differs = |what: &str, found: String, expected: String| TrustError::NotAsListed {
        role: name.to_owned(),
        what: what.to_owned(),
        found,
        expected,
    };
    if let Some(expected) = listing.length
        && bytes.len() as u64 != expected
    {
        return Err(differs("length", bytes.len().to_string(), expected.to_string()));
    }
    for (algorithm, expected) in listing.hashes.iter().flatten() {
        let found = digest_by_name(algorithm, bytes).unwrap_or_else(|| UNKNOWN_ALGORITHM.to_owned());
        if found != *expected {
            return Err(differs(algorithm, found, expected.clone()));
        }
    }
    Ok(())
}

/// Whether `bytes` are the file that signed targets list as `name`: its length, and every digest that they name. With
/// no digest at all nothing would be verified.
pub fn expect_target(name: &str, bytes: &[u8], target: &TargetFile) -> Result<(), TrustError> {
    let differs = |what: &str, found: String, expected: String| TrustError::NotTheTarget {
        name: name.to_owned(),
        what: what.to_owned(),
        found,
        expected,
    };
    if bytes.len() as u64 != target.length {
        return Err(differs("length", bytes.len().to_string(), target.length.to_string()));
    }
    if target.hashes.is_empty() {
        return Err(differs("digest", "none".to_owned(), "at least one".to_owned()));
    }
    for (algorithm, expected) in &target.hashes {
        let found = digest_by_name(algorithm, bytes).unwrap_or_else(|| UNKNOWN_ALGORITHM.to_owned());
        if found != *expected {
            return Err(differs(algorithm, found, expected.clone()));
        }
    }
    Ok(())
}

const UNKNOWN_ALGORITHM: &str = "of an unknown algorithm";

pub(super) fn digest_by_name(algorithm: &str, bytes: &[u8]) -> Option<String> {
    use sha2::{Digest as _, Sha512};
    match algorithm {
        "sha256" => Some(Sha256Digest::of(bytes).to_string()),
        "sha512" => Some(data_encoding::HEXLOWER.encode(&Sha512::digest(bytes))),
        _ => None,
    }
}
