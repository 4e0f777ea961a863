//! Points in time and durations, in whole seconds.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A point in time: whole seconds UTC, from 1970 to 9999. `Display` is TUF's `YYYY-MM-DDTHH:MM:SSZ`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Time(i64);

/// A duration in whole seconds; a number in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seconds(pub u64);

/// Why a text is not a point in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a time as 2026-01-31T23:59:59Z, found {found:?}")]
pub struct TimeError {
    /// The text that was read.
    pub found: String,
}

/// 9999-12-31T23:59:59Z: the last second with a four-digit year.
const LAST: i64 = 253_402_300_799;

impl Time {
    /// 2026-01-01T00:00:00Z.
    pub const JAN_2026: Self = Self(1_767_225_600);

    /// The time this many seconds after 1970-01-01T00:00:00Z; clamped to the years 1970 to 9999.
    pub fn from_unix(seconds: i64) -> Self {
        Self(seconds.clamp(0, LAST))
    }

    /// Seconds since 1970-01-01T00:00:00Z.
    pub const fn unix(self) -> i64 {
        self.0
    }

    /// This time and `duration` more, at most the end of the year 9999.
    pub fn plus(self, duration: Seconds) -> Self {
        Self::from_unix(self.0.saturating_add(i64::try_from(duration.0).unwrap_or(i64::MAX)))
    }

    /// This time less `duration`, at least the beginning of 1970.
    pub fn minus(self, duration: Seconds) -> Self {
        Self::from_unix(self.0.saturating_sub(i64::try_from(duration.0).unwrap_or(i64::MAX)))
    }

    /// How long after `earlier` this is; zero if it is not after it.
    pub fn since(self, earlier: Self) -> Seconds {
        Seconds(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let timestamp = jiff::Timestamp::from_second(self.0).map_err(|_| fmt::Error)?;
        write!(f, "{}", timestamp.strftime("%Y-%m-%dT%H:%M:%SZ"))
    }
}

impl FromStr for Time {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let error = || TimeError { found: text.to_owned() };
        let timestamp: jiff::Timestamp = text.parse().map_err(|_| error())?;
        let time = Self::from_unix(timestamp.as_second());
        // The parser takes many spellings; TUF has one.
        if time.to_string() == text {
            Ok(time)
        } else {
            Err(error())
        }
    }
}

impl TryFrom<String> for Time {
    type Error = TimeError;

    fn try_from(text: String) -> Result<Self, TimeError> {
        text.parse()
    }
}

impl From<Time> for String {
    fn from(time: Time) -> Self {
        time.to_string()
    }
}

impl Seconds {
    /// So many days.
    pub const fn days(days: u64) -> Self {
        Self(days * 86_400)
    }

    /// About this long, for people: whole units of the largest that is in it, rounded down (`8 days`).
    pub fn roughly(self) -> Self {
        let unit = UNITS
            .into_iter()
            .map(|(_, length)| length)
            .find(|length| *length <= self.0)
            .unwrap_or(1);
        Self(self.0 / unit * unit)
    }
}

/// As people write it: the largest unit that divides it (`3 days`, `90 minutes`).
impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, length) in UNITS {
            if self.0 != 0 && self.0.is_multiple_of(length) {
                let count = self.0 / length;
                return write!(f, "{count} {unit}{}", if count == 1 { "" } else { "s" });
            }
        }
        write!(f, "{} seconds", self.0)
    }
}

const UNITS: [(&str, u64); 4] = [("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)];

/// Reads `3 days`, `1 hour`, `90 minutes`, `5 seconds`.
impl FromStr for Seconds {
    type Err = super::names::NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (count, unit) = text.split_once(' ')?;
            let count: u64 = count.parse().ok()?;
            let unit = unit.strip_suffix('s').unwrap_or(unit);
            let (_, length) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
            count
                .checked_mul(length)
                .filter(|seconds| *seconds <= super::canonical::MAX_INTEGER)
                .map(Self)
        };
        read().ok_or_else(|| super::names::NameError {
            expected: "a duration such as \"3 days\"",
            found: text.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_one_spelling() {
        let time: Time = "2026-11-22T00:00:00Z".parse().unwrap();
        assert_eq!(time.to_string(), "2026-11-22T00:00:00Z");
        assert_eq!(Time::JAN_2026.to_string(), "2026-01-01T00:00:00Z");
        for bad in [
            "2026-11-22T00:00:00+00:00",
            "2026-11-22",
            "2026-11-22t00:00:00z",
            "2026-11-22T00:00:00.5Z",
            "2026-02-30T00:00:00Z",
            "",
        ] {
            assert!(bad.parse::<Time>().is_err(), "{bad} was accepted");
        }
    }

    #[test]
    fn durations_read_as_they_are_shown() {
        for text in ["3 days", "1 hour", "90 minutes", "5 seconds"] {
            assert_eq!(text.parse::<Seconds>().unwrap().to_string(), text);
        }
        for bad in [
            "3",
            "3days",
            "-1 days",
            "3 weeks",
            "99999999999999999999 days",
            "9007199254740991 days",
        ] {
            assert!(bad.parse::<Seconds>().is_err(), "{bad} was accepted");
        }
    }
}
