//! The verifying fetcher: bounded transport, and TUF's client workflow around crate `policy`'s state machine.
//!
//! * [`Transport`]: the seam to the outside, with [`HttpTransport`] and [`FileTransport`]. What it gives is untrusted.
//! * [`Resource`]: which files a channel has, and what their paths are.
//! * [`workflow`]: TUF's client workflow, between where bytes come from and where accepted files are kept.
//! * [`update`], [`probe`]: the way from a subscription to an installed generation.
//! * [`fetch_target`]: one more file that people signed. [`copy`]: all of a channel, for another mirror.
//! * [`Progress`]: what is told on the way.

mod copy;
mod download;
mod file_transport;
mod http;
mod mirrors;
mod progress;
mod resource;
mod session;
mod target;
mod transport;
mod update;
pub mod workflow;

pub use copy::{Copied, copy};
pub use file_transport::FileTransport;
pub use http::{HttpSetupError, HttpTransport, Pace};
pub use mirrors::{MirrorView, View};
pub use progress::{Progress, Silent, Step};
pub use resource::{PlainName, PlainNameError, Resource, TargetName};
pub use target::fetch_target;
pub use transport::{Fault, Partial, Transport, TransportError};
pub use update::{Bounds, Fetched, MirrorFailure, Options, Outcome, Update, UpdateError, probe, update};
