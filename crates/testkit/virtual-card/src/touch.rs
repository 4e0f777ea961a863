//! The finger: when the token is touched.

use std::{
    path::PathBuf,
    str::FromStr,
    time::{Duration, Instant},
};

use trussed::{platform::UserInterface, types::ui::Status};
use trussed_core::types::consent::Level;

/// When the token is touched.
#[derive(Clone)]
pub(crate) enum Touch {
    /// At once.
    Auto,
    /// Never.
    Deny,
    /// So long after it was asked for.
    Delay(Duration),
    /// When this file is there; it is removed by the touch.
    File(PathBuf),
}

impl FromStr for Touch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "auto" => Ok(Self::Auto),
            None if text == "deny" => Ok(Self::Deny),
            Some(("delay", milliseconds)) => {
                let milliseconds = milliseconds.parse().map_err(|error| format!("{error}"))?;
                Ok(Self::Delay(Duration::from_millis(milliseconds)))
            }
            Some(("file", path)) => Ok(Self::File(path.into())),
            _ => Err("auto, deny, delay:MILLISECONDS or file:PATH".to_owned()),
        }
    }
}

/// The finger, and the token's clock that waits for it.
pub(crate) struct Finger {
    touch: Touch,
    start: Instant,
    hurry: u32,
    waiting_since: Option<Instant>,
}

impl Finger {
    pub(crate) fn new(touch: Touch, hurry: u32) -> Self {
        Self {
            touch,
            start: Instant::now(),
            hurry,
            waiting_since: None,
        }
    }
}

impl UserInterface for Finger {
    /// Asked again and again until it is there or the token gives up.
    fn check_user_presence(&mut self) -> Level {
        let since = *self.waiting_since.get_or_insert_with(|| {
            eprintln!("virtual-card: waits for a touch");
            Instant::now()
        });
        let touched = match &self.touch {
            Touch::Auto => true,
            Touch::Deny => false,
            Touch::Delay(delay) => since.elapsed() >= *delay,
            Touch::File(path) => std::fs::remove_file(path).is_ok(),
        };
        if touched {
            self.waiting_since = None;
            Level::Normal
        } else {
            std::thread::sleep(Duration::from_millis(5));
            Level::None
        }
    }

    fn set_status(&mut self, status: Status) {
        if matches!(status, Status::Idle) {
            self.waiting_since = None;
        }
    }

    fn uptime(&mut self) -> Duration {
        self.start.elapsed() * self.hurry
    }
}
