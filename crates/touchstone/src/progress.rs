//! Progress on a terminal, for what takes over a second; nothing in a pipe.

use std::{
    cell::RefCell,
    io::IsTerminal as _,
    time::{Duration, Instant},
};

use fetcher::{Progress, Step};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const PATIENCE: Duration = Duration::from_secs(1);

/// Bars on standard error.
pub(crate) struct Bars {
    wanted: bool,
    start: Instant,
    bar: RefCell<ProgressBar>,
}

impl Bars {
    /// Bars if standard error is a terminal.
    pub(crate) fn new() -> Self {
        Self {
            wanted: std::io::stderr().is_terminal(),
            start: Instant::now(),
            bar: RefCell::new(ProgressBar::hidden()),
        }
    }

    fn show_when_due(&self) {
        let bar = self.bar.borrow();
        if self.wanted && bar.is_hidden() && self.start.elapsed() > PATIENCE {
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }
}

impl Progress for Bars {
    fn begin(&self, step: Step, total: Option<u64>) {
        let what = match step {
            Step::Metadata => "asking",
            Step::Download => "downloading",
            Step::Unpack => "unpacking",
            Step::Patch => "patching",
            Step::Check => "checking",
        };
        let template = match total {
            Some(_) => "{msg:>12} {wide_bar} {bytes}/{total_bytes} {eta}",
            None => "{msg:>12} {spinner}",
        };
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden()).with_message(what);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        self.bar.replace(bar).finish_and_clear();
        self.show_when_due();
    }

    fn advance(&self, by: u64) {
        self.show_when_due();
        self.bar.borrow().inc(by);
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.bar.borrow().finish_and_clear();
    }
}
