//! What changed, as people review it: units, their deltas, classes and findings.
//!
//! Everything here is re-derived by each reviewer and signer from their own git objects. It is a function of two
//! trees and the chain; there is no cache and no configuration that two people could have differently.
//!
//! * [`Partition`]: which unit each file belongs to; collection files are cut further, into their bindings.
//! * [`changes`], [`changes_of_range`]: the units that differ between two trees, with classes and findings.
//! * [`mark_returns`]: which of them come back to what an earlier release had.
//! * [`mark_patched`]: which of them have the channel's own patches in them.
//! * [`history`]: the same for very many commits, from what differs alone.
//! * [`audit`]: what the rules find in a whole tree.
//! * [`Diff`]: a change as text, shown so that it cannot deceive.

mod audit;
mod change;
mod class;
mod collection;
mod diff;
mod engine;
mod finding;
mod history;
mod partition;
mod patched;
mod returns;
pub mod sources;
pub mod text;

pub use audit::{Audit, audit};
pub use change::{ChangesError, Part, UnitChange, UnitFile, changes, changes_of_range};
pub use diff::{Diff, DiffError, DiffLine, Hunk, Sign, Unshown};
pub use history::{JudgedUnit, history};
pub use nixexpr::{Finding, Place, rule};
pub use partition::Partition;
pub use patched::{PatchedUnits, mark_patched};
pub use returns::mark_returns;
