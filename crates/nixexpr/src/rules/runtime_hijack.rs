//! `runtime-hijack`

use attestation::unit::FindingLevel;

use crate::{paths, marks::{Marks, BindingSeen, ShellSeen}, Rule, rule::{AtBindings, AtShell, Look}};

pub(crate) static RULE: Rule = Rule {
    code: "runtime-hijack",
    level: FindingLevel::H,
    fires: "a wrapper sets `LD_PRELOAD` or `LD_LIBRARY_PATH`, or puts a place that others can write into `PATH`",
    because: "the program then runs somebody else's code",
    example: "+    wrapProgram $out/bin/x --prefix PATH : /tmp/bin",
    advice: "Ask for `--suffix`, an absolute store path, or a patched rpath.",
    look: Look {
        shell: Some(AtShell::with(&WORDS, shell)),
        binding: Some(AtBindings::named(&VARIABLES, binding)),
        ..Look::ELSEWHERE
    },
};

const VARIABLES: [&str; 5] = ["LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "DYLD_INSERT_LIBRARIES", "DYLD_LIBRARY_PATH"];

const WORDS: [&str; 6] = ["LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "DYLD_INSERT_LIBRARIES", "DYLD_LIBRARY_PATH", "PATH"];

fn shell<'a>(seen: &ShellSeen<'_, 'a>, marks: &mut Marks<'a>) {
    for (at, line) in seen.lines() {
        if line.starts_with('#') {
            continue;
        }
        let hijacks = VARIABLES.iter().any(|name| line.contains(name)) && sets(line) || line.contains("PATH") && sets(line) && writable(line);
        // What a phase sets for its own commands is gone with the build, unless it writes the line into a file.
        let build_only = line.starts_with("export ") && !line.contains('>') && !seen.text.contains("<<") || line.starts_with("LD_LIBRARY_PATH=") && !seen.text.contains("<<");
        let wraps = line.contains("--set") || line.contains("--prefix") || line.contains("--suffix");
        if hijacks && (wraps || !build_only || !seen.file.is_in_phase(seen.node)) && !seen.file.describes(seen.node) {
            marks.add_file(&RULE, seen.file, at, line);
        }
    }
}

/// Whether a line sets a variable rather than reads it.
fn sets(line: &str) -> bool {
    line.contains('=') || line.contains("--set") || line.contains("--prefix") || line.contains("--suffix") || line.contains("setenv") || line == "LD_PRELOAD" || line == "LD_LIBRARY_PATH"
}

/// A place that is not of the store, and that a user or anybody can write.
fn writable(line: &str) -> bool {
    ["/tmp", "/var/tmp", "/dev/shm", "$HOME", "~/", "/home/", ": .", "=.:", ":.:", "$PWD", "/run/user"].iter().any(|place| line.contains(place))
}

fn binding<'a>(seen: &BindingSeen<'_, 'a>, marks: &mut Marks<'a>) {
    if paths::is_module(seen.file.path()) && seen.file.text_of(seen.value).as_deref() != Some("") && !seen.file.describes(seen.value) {
        let text = seen.file.words(seen.value);
        marks.add_binding(&RULE, seen, &text);
    }
}
