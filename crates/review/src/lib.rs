//! What changed, as people review it: units, their deltas, classes and findings.
//!
//! Everything here is re-derived by each reviewer and signer from their own git objects. It is a function of two
//! trees and the chain; there is no cache and no configuration that two people could have differently.
//!
//! * [`Partition`]: which unit each file belongs to.
//! * [`changes`]: the units that differ between two trees.
//! * [`Finding`]: what a change does that somebody must look at, as far as bytes and paths tell.
//! * [`Diff`]: a change as text, shown so that it cannot deceive.

mod change;
mod class;
mod diff;
mod finding;
mod partition;
pub mod text;

pub use change::{ChangesError, UnitChange, changes};
pub use diff::{Diff, DiffError, DiffLine, Hunk, Sign, Unshown};
pub use finding::{Finding, Place};
pub use partition::Partition;
