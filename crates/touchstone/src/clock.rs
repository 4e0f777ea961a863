//! What time it is, at the latest of what is known: a clock that was set back makes nothing fresh again.

use std::time::{SystemTime, UNIX_EPOCH};

use attestation::Time;
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
