//! The gate in a few words, for `touchstone status`.

use std::path::Path;

use gate::{Approvals, Place, refusals};
use serde::Serialize;

use super::left_out;
use crate::output::chain;

/// The gate in a few words.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Brief {
    approved: Option<u64>,
    wrong: Option<String>,
    left_out: Vec<u64>,
    /// The last refusals, the newest first; absent where the log may not be read: it is root's.
    refusals: Option<Vec<refusals::Entry>>,
}

/// So many refusals are shown.
const SHOWN: usize = 3;

/// Of the gate in that state directory, if it was ever switched on.
pub(crate) fn brief(state: &Path) -> Option<Brief> {
    let place = Place::new(state.join("gate"));
    if !super::was_on(&place) {
        return None;
    }
    let approvals = Approvals::open(&place);
    Some(Brief {
        approved: approvals.as_ref().ok().map(Approvals::count),
        wrong: approvals.as_ref().err().map(|error| chain(error).join(": ")),
        left_out: left_out::read(&place).iter().map(|left_out| left_out.release).collect(),
        refusals: refusals::newest(&place, SHOWN).ok(),
    })
}

impl Brief {
    /// A line, and one for each refusal.
    pub(crate) fn in_words(&self) -> String {
        let mut text = match (&self.wrong, self.approved) {
            (None, Some(count)) => format!("gate     {count} things approved"),
            (wrong, _) => format!("gate     nothing approved: {}", wrong.as_deref().unwrap_or("not known")),
        };
        for release in &self.left_out {
            text += &format!(", none of release {release}, which was found to be bad");
        }
        match self.refusals.as_deref() {
            None => text += "; refusals are root's to see (sudo touchstone status)",
            Some([]) => text += "; nothing refused",
            Some(entries) => {
                for entry in entries {
                    text += &format!("\nrefused  {}", entry.reason);
                }
                text += "\n         touchstone gate why DERIVATION says what to do";
            }
        }
        text
    }
}
