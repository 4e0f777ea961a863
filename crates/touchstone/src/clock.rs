//! What time it is, at the latest of what is known: a clock that was set back makes nothing fresh again.

use std::time::{SystemTime, UNIX_EPOCH};

use attestation::{Seconds, Time};
use install::{State, StateError};

/// When this program was built, in seconds since 1970.
const BUILT: &str = env!("TOUCHSTONE_BUILT");

/// The latest of the system's clock, the newest time that enough people signed, and the build of this program.
pub(crate) fn now(state: &State) -> Result<Time, StateError> {
    let seen = match state.subscription() {
        Ok(subscription) => state.floors(subscription.chain)?.time,
        Err(_) => Time::from_unix(0),
    };
    Ok(before_any_state().max(seen))
}

/// A signer's clock may be wrong by that much, and nobody's fault.
const SLACK: Seconds = Seconds::days(1);

/// How far the system's clock is behind what this machine has seen, if it is by more than a day: then a mirror that shows an old
/// state is believed for longer than it should be.
pub(crate) fn behind(state: &State) -> Result<Option<Seconds>, StateError> {
    let asked = state.last_attempt().map_or(Time::from_unix(0), |attempt| attempt.time);
    let behind = now(state)?.max(asked).since(system());
    Ok((behind > SLACK).then_some(behind))
}

/// As [`now`], where nothing has been seen yet.
pub(crate) fn before_any_state() -> Time {
    let built = Time::from_unix(BUILT.parse().unwrap_or(0));
    system().max(built)
}

fn system() -> Time {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    Time::from_unix(i64::try_from(since).unwrap_or(i64::MAX))
}
