//! The gate: what makes stock Nix refuse to build what nobody vouched for.
//!
//! Nix calls a program of ours, the *hook*, before every sandboxed build. It reads the derivation, looks it up in the
//! *approvals*, and says no by its exit code. Everything that is not understood is refused.
//!
//! * [`approvals`]: what is approved, in a file that a lookup in a million needs twenty short reads of.
//! * [`judge`]: the rules by which a build passes.
//! * [`client`]: who asked for the build, as the kernel knows it.
//! * [`settings`]: what the owner decided.
//! * [`nixconf`]: what Nix must be set to, so that nothing goes past the hook.
//! * [`refusals`]: what was refused, since Nix tells its client nothing of it.
//! * [`place`]: where all of that is, and whether it is root's alone.
//!
//! The hook links nothing that could talk to a network. What makes approvals of signed releases is behind the feature
//! `service`.

pub mod approvals;
#[cfg(feature = "service")]
pub mod approver;
#[cfg(feature = "service")]
pub mod channel;
pub mod client;
pub mod judge;
pub mod nixconf;
pub mod place;
pub mod refusals;
pub mod settings;
pub mod store;
#[cfg(feature = "service")]
pub mod substituter;

pub use approvals::{Approvals, Fact};
pub use judge::{Pass, Refusal};
pub use place::Place;
pub use settings::Settings;
