//! From the errors of the libraries to exit code, stable code, and what to do next.

use std::io;

use fetcher::{Fault, HttpSetupError, UpdateError};
use install::{
    FileError, InstallError, LockError, StateError, SubscribeError,
    verify::{VIOLATIONS, VerifyError},
};
use policy::TrustError;

use super::{Failure, Kind, mirror_report};

const ASK_ANOTHER: &str = "nothing was changed; if it stays so, ask the people of the channel, or use another mirror \
                           (touchstone subscribe --url)";
const NETWORK: &str =
    "nothing was changed; check the connection and try again, or add a mirror (touchstone subscribe --url)";
const SUBSCRIBE: &str = "touchstone subscribe --url URL --chain SHA256 --channel NAME --floor-root N --floor-release N";

impl From<UpdateError> for Failure {
    fn from(error: UpdateError) -> Self {
        let (kind, code) = classify_update(&error);
        let next = match &error {
            UpdateError::State(error) => next_for_state(error),
            UpdateError::Install(InstallError::State(error)) => next_for_state(error),
            UpdateError::Trust(error) => next_for_trust(error),
            UpdateError::NoSuchChannel { .. } => "subscribe to one of these with --channel".to_owned(),
            UpdateError::Transport(error) if matches!(error.fault, Fault::Redirect { .. }) => {
                "nothing was changed; if you know that host, allow it (touchstone subscribe --allow-redirect HOST), or use \
                 another mirror (touchstone subscribe --url)"
                    .to_owned()
            }
            _ if kind == Kind::Refused => ASK_ANOTHER.to_owned(),
            _ if kind == Kind::Environment => "nothing was changed; check the disk".to_owned(),
            _ => NETWORK.to_owned(),
        };
        let mirrors = match &error {
            UpdateError::EveryMirror { failed } => failed.iter().map(mirror_report).collect(),
            _ => Vec::new(),
        };
        Self {
            mirrors,
            ..Self::new(kind, code, error, next)
        }
    }
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        let next = next_for_state(&error);
        Self::new(Kind::Environment, classify_state(&error), error, next)
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        StateError::from(error).into()
    }
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Held { .. } => Self::new(
                Kind::Environment,
                "locked",
                error,
                "wait until it has ended, then try again",
            ),
            LockError::File(error) => error.into(),
            LockError::State(error) => error.into(),
        }
    }
}

impl From<SubscribeError> for Failure {
    fn from(error: SubscribeError) -> Self {
        match error {
            SubscribeError::State(error) => error.into(),
            SubscribeError::Other { .. } => {
                let next = "add --replace to follow the new one instead, or use another --state DIR";
                Self::new(Kind::Usage, "other-subscription", error, next)
            }
        }
    }
}

impl From<VerifyError> for Failure {
    fn from(error: VerifyError) -> Self {
        let (kind, code) = match &error {
            VerifyError::Incomplete { missing, .. } if *missing == VIOLATIONS => (Kind::Refused, "violations-unknown"),
            VerifyError::Incomplete { .. } => (Kind::Refused, "incomplete"),
            VerifyError::Keyring(_) => (Kind::Refused, "keyring"),
            VerifyError::Trust(error) => (Kind::Refused, classify_trust(error)),
            VerifyError::Violated { .. } => (Kind::Refused, "violated"),
            VerifyError::OtherTree { .. } => (Kind::Refused, "other-tree"),
            VerifyError::Hash(_) | VerifyError::File(_) => (Kind::Environment, "io"),
        };
        let next = match kind {
            Kind::Refused if code == "violated" => {
                "touchstone update, for the release that replaces it; touchstone list shows what is installed, and touchstone \
                 rollback N goes to one that nobody has said to be bad"
            }
            Kind::Refused if code == "violations-unknown" => {
                "somebody has said something of a release, and this machine does not know what: touchstone update fetches it; if \
                 no mirror gives it, add one (touchstone subscribe --url)"
            }
            Kind::Refused => {
                "do not use this generation; touchstone update --repair installs the newest anew, touchstone list shows others"
            }
            _ => "check that the generation can be read, or install it again with touchstone update --repair",
        };
        Self::new(kind, code, error, next)
    }
}

/// Exit code and stable code of a failed update.
pub(crate) fn classify_update(error: &UpdateError) -> (Kind, &'static str) {
    match error {
        UpdateError::Transport(error) => classify_fault(&error.fault),
        UpdateError::Trust(error) => (Kind::Refused, classify_trust(error)),
        UpdateError::Keyring(_) => (Kind::Refused, "keyring"),
        UpdateError::TooManyRoots { .. } => (Kind::Refused, "endless-roots"),
        UpdateError::TooManyRoles { .. } => (Kind::Refused, "endless-delegations"),
        UpdateError::RootBelowFloor { .. } | UpdateError::ReleaseBelowFloor { .. } => (Kind::Refused, "below-floor"),
        UpdateError::NoSuchChannel { .. } => (Kind::Refused, "no-such-channel"),
        UpdateError::TooLarge { .. } => (Kind::Refused, "too-long"),
        UpdateError::Length { .. }
        | UpdateError::Digest { .. }
        | UpdateError::NoDigest
        | UpdateError::TargetName(_) => (Kind::Refused, "other-target"),
        UpdateError::Install(error) => match error {
            InstallError::Patch(_) => (Kind::Refused, "hostile-patch"),
            InstallError::Unpack(_) => (Kind::Refused, "hostile-archive"),
            InstallError::OtherTree { .. } => (Kind::Refused, "other-tree"),
            InstallError::Hash(_) => (Kind::Environment, "io"),
            InstallError::State(error) => (Kind::Environment, classify_state(error)),
        },
        UpdateError::Scratch(source) => (Kind::Environment, classify_io(source)),
        UpdateError::State(error) => (Kind::Environment, classify_state(error)),
        UpdateError::EveryMirror { failed } => {
            let refused = failed
                .iter()
                .any(|failure| classify_update(&failure.error).0 == Kind::Refused);
            (if refused { Kind::Refused } else { Kind::Network }, "every-mirror")
        }
        UpdateError::NoMirror => (Kind::Usage, "no-mirror"),
    }
}

fn classify_fault(fault: &Fault) -> (Kind, &'static str) {
    match fault {
        // The bound is what was signed, or what no honest file reaches.
        Fault::AnnouncedTooLong { .. } | Fault::TooLong { .. } => (Kind::Refused, "too-long"),
        Fault::Sink(source) => (Kind::Environment, classify_io(source)),
        Fault::NotFound => (Kind::Network, "not-found"),
        Fault::Status { .. } => (Kind::Network, "status"),
        Fault::Redirect { .. } | Fault::TooManyRedirects { .. } => (Kind::Network, "redirect"),
        Fault::OtherRange { .. } => (Kind::Network, "other-range"),
        Fault::Encoded { .. } => (Kind::Network, "encoded"),
        Fault::TooSlow { .. } => (Kind::Network, "too-slow"),
        Fault::Connection(_) => (Kind::Network, "no-connection"),
        Fault::BrokeOff { .. } => (Kind::Network, "broke-off"),
        Fault::Read(_) | Fault::NotRegular => (Kind::Network, "unreadable"),
    }
}

fn classify_trust(error: &TrustError) -> &'static str {
    match error {
        TrustError::Format { .. } => "malformed",
        TrustError::Header { .. } => "other-type",
        TrustError::Threshold(_) => "threshold",
        TrustError::NotThePinnedChain { .. } => "other-chain",
        TrustError::Root { .. } => "root-refused",
        TrustError::Version { .. } => "other-version",
        TrustError::Rollback { .. } => "rollback",
        TrustError::Expired { .. } => "expired",
        TrustError::TwoPayloads { .. } => "two-payloads",
        TrustError::NotAsListed { .. } => "not-as-listed",
        TrustError::NotTheTarget { .. } => "other-target",
        TrustError::NotListed { .. } => "not-listed",
        TrustError::Mark { .. } => "other-role",
        TrustError::Rule { .. } => "rule",
        TrustError::Violated { .. } => "violated",
        TrustError::Order(_) | TrustError::FreshnessNotJudged => "order",
    }
}

fn classify_state(error: &StateError) -> &'static str {
    match error {
        StateError::Absent { .. } | StateError::NotSubscribed => "not-subscribed",
        StateError::Foreign { .. } => "foreign-directory",
        StateError::Newer { .. } => "state-newer",
        StateError::Format { .. } | StateError::Malformed { .. } => "state-damaged",
        StateError::File(error) => classify_io(&error.source),
    }
}

fn classify_io(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "disk-full",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => "not-writable",
        _ => "io",
    }
}

fn next_for_trust(error: &TrustError) -> String {
    match error {
        TrustError::Expired { .. } => {
            "nothing was changed; if this machine's clock is right, the mirror is behind or the channel is not refreshed: \
             use another mirror, or ask the people of the channel"
                .to_owned()
        }
        TrustError::NotThePinnedChain { .. } => {
            "nothing was changed; compare the chain you pinned with what the people of the channel publish elsewhere"
                .to_owned()
        }
        TrustError::Violated { .. } => {
            "nothing was changed; wait for the release that replaces it. If this machine has it installed already: \
             touchstone list, and touchstone rollback to one before it; with the gate on, touchstone gate refresh takes back \
             what it approved"
                .to_owned()
        }
        _ => ASK_ANOTHER.to_owned(),
    }
}

fn next_for_state(error: &StateError) -> String {
    match error {
        StateError::Absent { .. } | StateError::NotSubscribed => SUBSCRIBE.to_owned(),
        StateError::Foreign { .. } => "name another directory with --state DIR".to_owned(),
        StateError::Newer { .. } => "use the newer touchstone that wrote it, or another --state DIR".to_owned(),
        StateError::Format { .. } => "restore the file, or use another --state DIR".to_owned(),
        StateError::Malformed { path, .. } => format!("restore {}, or use another --state DIR", path.display()),
        StateError::File(error) => match classify_io(&error.source) {
            "disk-full" => "nothing was changed; free some space, then try again".to_owned(),
            "not-writable" => "run it as the owner of the state directory, or use another --state DIR".to_owned(),
            _ => format!("check {}", error.path.display()),
        },
    }
}

impl From<HttpSetupError> for Failure {
    fn from(error: HttpSetupError) -> Self {
        Self::new(
            Kind::Environment,
            "network-setup",
            error,
            "check --ca-file, NIX_SSL_CERT_FILE and SSL_CERT_FILE",
        )
    }
}
