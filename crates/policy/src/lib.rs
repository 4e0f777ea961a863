//! Decides, alone and completely, whether enough authorised people vouch for exactly this.
//!
//! * [`Verified`] and [`Current`] are the two seals: authentic, and fresh. Only this crate makes them.
//! * [`keyring`]: OpenPGP certificates, and which keys of them sign validly when.
//! * [`document`] and [`root`]: the policy, and the root that carries it; what either is refused for.
//! * [`source`]: `policy.toml`, what people edit; [`difference`]: what a next policy changes, in words.
//! * [`hardware`]: evidence that a person's keys live on a token.
//! * [`trusted_set`]: TUF's client, as a pure state machine.
//! * [`jury`]: many signatures at once, also those in git, by keys that were prepared once.
//! * [`statements`] and [`admission`]: what people said, and whether that is enough for an import.
//!
//! Nothing here reads a file, the network, the environment or a clock: bytes and a time in, proof or a
//! refusal out. The rules are one page: docs/policy.md.

pub mod admission;
pub mod difference;
pub mod document;
mod facts;
pub mod hardware;
pub mod jury;
pub mod keyring;
pub mod root;
mod seal;
mod signature;
pub mod source;
pub mod statements;
mod threshold;
mod tokens;
pub mod trusted_set;

pub use facts::Facts;
pub use keyring::Keyring;
pub use seal::{Current, Evidence, Verified, Vouch};
pub use signature::SignatureRefusal;
pub use threshold::{RefusedSignature, Shortfall, Tally};
pub use trusted_set::{TrustError, TrustedSet};
