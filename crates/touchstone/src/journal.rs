//! Warnings that systemd's journal files under their priority. `sd-daemon(3)`: a line that begins with `<4>` is a
//! warning, one with `<3>` an error, where standard error goes to the journal; systemd then sets `JOURNAL_STREAM`.

use std::{env, os::unix::fs::MetadataExt as _};

use crate::output::Output;

/// Says a warning.
pub(crate) fn warn(output: Output, text: &str) {
    output.note(&format!("{}warning: {text}", prefix(4)));
}

/// What a line of this priority begins with: nothing, unless it goes to the journal.
pub(crate) fn prefix(priority: u8) -> String {
    if goes_to_journal(env::var("JOURNAL_STREAM").ok().as_deref()) {
        format!("<{priority}>")
    } else {
        String::new()
    }
}

/// Whether standard error is the stream (device and inode) that systemd named: somebody may have piped it elsewhere.
fn goes_to_journal(stream: Option<&str>) -> bool {
    let Some((device, inode)) = stream.and_then(|stream| stream.split_once(':')) else {
        return false;
    };
    let stderr = std::fs::metadata("/proc/self/fd/2");
    stderr.is_ok_and(|stderr| device == stderr.dev().to_string() && inode == stderr.ino().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_journals_own_stream_gets_priorities() {
        let stderr = std::fs::metadata("/proc/self/fd/2").unwrap();
        let stream = format!("{}:{}", stderr.dev(), stderr.ino());
        assert!(goes_to_journal(Some(&stream)));
        for other in [None, Some(""), Some("8"), Some("8:12345678"), Some("x:y")] {
            assert!(!goes_to_journal(other), "{other:?}");
        }
    }
}
