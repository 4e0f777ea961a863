//! State that an older version wrote, brought to the present layout by the first run that writes. Reading needs none
//! of it.
//!
//! | format | what changed |
//! |---|---|
//! | 2 | `subscription.json` has `redirects`; `partial/` and `last-update.json` may be there |
//!
//! The `format` file is written last: killed before, the next run does it all again.

use crate::{
    file,
    locked::LockedState,
    state::{FORMAT, StateError},
};

impl LockedState {
    /// Brings the state to [`FORMAT`].
    pub(crate) fn migrate(&self) -> Result<(), StateError> {
        if self.format()? >= FORMAT {
            return Ok(());
        }
        match self.subscription() {
            // Read leniently, written in full: an older version then says that the state is newer, not damaged.
            Ok(subscription) => self.write_json(&self.subscription_file(), &subscription)?,
            // Nothing to bring along, or damaged: `subscribe --replace` is the way on, as before.
            Err(StateError::NotSubscribed | StateError::Malformed { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(file::write(
            &self.scratch(),
            &self.format_file(),
            format!("touchstone-state {FORMAT}\n").as_bytes(),
        )?)
    }
}
