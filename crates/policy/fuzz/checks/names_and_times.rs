//! Names, ids, paths, times and durations: one spelling each.

use std::{fmt::Display, str::FromStr};

use attestation::{
    ChainId, ChannelName, FindingCode, Fingerprint, GitOid, KeyId, PersonName, RoleName, Seconds, Sha256Digest,
    StatementId, Time, UnitPath,
};

fn one_spelling<T: FromStr + Display>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        assert_eq!(value.to_string(), text);
    }
}

/// Reads them.
pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    one_spelling::<ChainId>(text);
    one_spelling::<ChannelName>(text);
    one_spelling::<FindingCode>(text);
    one_spelling::<Fingerprint>(text);
    one_spelling::<GitOid>(text);
    one_spelling::<KeyId>(text);
    one_spelling::<PersonName>(text);
    one_spelling::<RoleName>(text);
    one_spelling::<Sha256Digest>(text);
    one_spelling::<StatementId>(text);
    one_spelling::<Time>(text);
    one_spelling::<UnitPath>(text);
    // A duration is shown in its largest unit: reading that again gives the same.
    if let Ok(duration) = text.parse::<Seconds>() {
        assert_eq!(duration.to_string().parse(), Ok(duration));
        let _ = (
            Time::JAN_2026.plus(duration),
            Time::JAN_2026.minus(duration),
            duration.roughly(),
        );
    }
}
