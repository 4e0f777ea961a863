//! What a run prints: text for people or JSON for programs on standard output, all else on standard error.

use std::io::{self, IsTerminal as _, Write as _};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// One JSON document.
    Json,
}

/// Prints a result: `json` for programs, else the lines that `text` makes.
pub(crate) fn result(format: Format, json: &impl Serialize, text: impl FnOnce() -> String) {
    let out = match format {
        Format::Json => serde_json::to_string_pretty(json).unwrap_or_default(),
        Format::Text => text(),
    };
    // A reader that went away (a pager, `head`) is no failure of ours.
    let _ = writeln!(anstream::stdout(), "{}", out.trim_end_matches('\n'));
}

/// Something that a person should know and that stops nothing.
pub(crate) fn warn(text: &str) {
    let style = Style::new().fg_color(Some(AnsiColor::Yellow.into()));
    let _ = writeln!(anstream::stderr(), "{style}warning{style:#}: {}", printable(text));
}

/// What is being done.
pub(crate) fn note(text: &str) {
    let _ = writeln!(anstream::stderr(), "{}", printable(text));
}

/// A failure, as its command line's user reads it.
pub(crate) fn failure(format: Format, failure: &crate::exit::Failure) {
    if format == Format::Json {
        result(format, &failure.to_json(), String::new);
    }
    let style = Style::new().fg_color(Some(AnsiColor::Red.into())).bold();
    let _ = writeln!(
        anstream::stderr(),
        "{style}error{style:#}: {}",
        printable(&failure.to_string())
    );
}

/// Text from outside without control characters that move a terminal's cursor or colour it.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() && c != '\n' && c != '\t' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

/// A spinner with a message on a terminal; nothing in a pipe. It goes when the value is dropped.
pub(crate) fn working(message: &'static str) -> indicatif::ProgressBar {
    if !io::stderr().is_terminal() {
        return indicatif::ProgressBar::hidden();
    }
    let bar = indicatif::ProgressBar::new_spinner().with_message(message);
    bar.enable_steady_tick(std::time::Duration::from_millis(120));
    bar
}
