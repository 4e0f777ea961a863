//! No secret leaves memory: not in output, logs, files, error chains or core dumps.

use std::{
    fs::{self, File},
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Command, Stdio},
};

use testkit::token_bench::{ADMIN_PIN, PIN, wait_for, wait_for_else};

use crate::common::{ALICES, Tokens};

/// Every file below a directory that contains one of these, but those of `ours`.
fn files_with(directory: &Path, needles: &[&[u8]], ours: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.to_string_lossy().into_owned();
        if ours.iter().any(|own| name.contains(own)) || path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            found.extend(files_with(&path, needles, ours));
        } else if path.is_file() {
            let bytes = fs::read(&path).unwrap();
            let has = |needle: &&[u8]| bytes.windows(needle.len()).any(|window| window == *needle);
            if needles.iter().any(has) {
                found.push(name);
            }
        }
    }
    found
}

#[test]
fn no_pin_is_in_any_output_error_log_or_file() {
    let Some(tokens) = Tokens::new(&["--touch", "deny", "--hurry", "10"]) else {
        return;
    };
    let world = &tokens.world;
    let wrong = "9182736455";
    let mut said = String::new();
    let mut hear = |output: testkit::world::Output| said += &format!("{}{}", output.json, output.stderr);
    // A right PIN without a touch, a wrong one, a wrong admin PIN, a new PIN that is refused.
    hear(tokens.sign(&[PIN]));
    hear(tokens.sign(&[wrong]));
    hear(world.assay_with_lines(&["token", "pin", "--unblock"], &[wrong, PIN, PIN]));
    hear(world.assay_with_lines(&["token", "pin"], &[PIN, "91827", "91827"]));
    hear(world.assay_with_lines(&["token", "status"], &[]));
    hear(world.assay("alice", &["token", "doctor"]));
    hear(world.assay("alice", &["log"]));
    for secret in [PIN, ADMIN_PIN, wrong, "91827"] {
        assert!(!said.contains(secret), "{secret} is in what was printed: {said}");
    }
    assert!(
        said.contains("was not touched") && said.contains("wrong PIN"),
        "nothing was heard: {said}"
    );
    // The test's own PIN files, and the card's contents, are where PINs belong.
    let ours = ["keys/alice.pin", "tmp/lines", ".state"];
    let needles = [PIN.as_bytes(), ADMIN_PIN.as_bytes(), wrong.as_bytes()];
    assert_eq!(files_with(&world.path(""), &needles, &ours), Vec::<String>::new());
    // The search finds what is there.
    assert_eq!(files_with(&world.path("keys"), &needles, &[]).len(), 1);
}

#[test]
fn no_private_key_of_a_software_signer_is_in_the_ledger_or_what_is_published() {
    let world = testkit::World::published();
    let secret = fs::read(world.path("keys/bob.secret.asc")).unwrap();
    let scalars = testkit::people::secret_scalars(&secret);
    assert!(!scalars.is_empty());
    let hex: Vec<Vec<u8>> = scalars
        .iter()
        .map(|scalar| {
            scalar
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
                .into_bytes()
        })
        .collect();
    let needles: Vec<&[u8]> = scalars.iter().chain(&hex).map(Vec::as_slice).collect();
    for place in ["site", "bob", "fork.git", "records"] {
        assert_eq!(files_with(&world.path(place), &needles, &[]), Vec::<String>::new());
    }
}

#[test]
fn a_run_that_holds_a_pin_leaves_no_core_dump() {
    let Some(mut tokens) = Tokens::new(&[]) else { return };
    let touch = tokens.world.path("tmp/finger");
    tokens.plug_again(&["--touch", &format!("file:{}", touch.display())]);
    fs::write(tokens.world.path("tmp/pin"), format!("{PIN}\n")).unwrap();
    let inner = tokens.world.assay_command("alice", &["sign", "--yes", "--pin-fd", "0"]);
    // Allowed as much as anybody; the command must take it away by itself.
    let with_dumps = |script: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -c unlimited 2>/dev/null; {script}")]);
        shell.current_dir(tokens.world.path("tmp"));
        shell
    };
    let mut shell = with_dumps("exec \"$@\"");
    shell.arg("sh").arg(inner.get_program()).args(inner.get_args());
    shell.current_dir(tokens.world.path("")).env_clear();
    for (name, value) in inner.get_envs() {
        if let Some(value) = value {
            shell.env(name, value);
        }
    }
    let card = tokens.card.as_ref().unwrap();
    let waits = "waits for a touch";
    let already = card.log().matches(waits).count();
    let mut child = shell
        .stdin(File::open(tokens.world.path("tmp/pin")).unwrap())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("it waits for the touch, the PIN in its memory", || {
        card.log().matches(waits).count() > already
    });
    let limits = fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    let aborted = Command::new("kill")
        .args(["-ABRT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(aborted.success());
    let status = child.wait().unwrap();
    assert_eq!(status.signal(), Some(6), "{status}");
    assert!(!status.core_dumped(), "there is a core dump with a PIN in it");
}

#[test]
fn a_pin_typed_on_a_terminal_is_not_echoed() {
    if !testkit::peer::has("script") {
        return;
    }
    let Some(tokens) = Tokens::new(&[]) else { return };
    let inner = tokens.world.assay_command("alice", &["sign", "--yes"]);
    let words: Vec<_> = std::iter::once(inner.get_program())
        .chain(inner.get_args())
        .map(|word| format!("'{}'", word.to_string_lossy()))
        .collect();
    let typescript = tokens.world.path("tmp/typescript");
    let mut script = Command::new("script");
    script
        .args(["--quiet", "--flush", "--return", "--command", &words.join(" ")])
        .arg(&typescript)
        .current_dir(tokens.world.path(""))
        .env_clear();
    for (name, value) in inner.get_envs() {
        if let Some(value) = value {
            script.env(name, value);
        }
    }
    // No pinentry is on this path, so the terminal asks.
    let bin = tokens.world.path("bin");
    fs::create_dir(&bin).unwrap();
    for program in ["git", "gpgconf", "sh", "ssh"] {
        if let Ok(found) = fs::canonicalize(format!("/usr/bin/{program}")) {
            std::os::unix::fs::symlink(found, bin.join(program)).unwrap();
        }
    }
    script.env("PATH", &bin).env("SHELL", "/bin/sh");
    let program = fs::canonicalize("/usr/bin/script").unwrap();
    let mut real = Command::new(program);
    real.args(script.get_args())
        .current_dir(tokens.world.path(""))
        .env_clear();
    for (name, value) in script.get_envs() {
        if let Some(value) = value {
            real.env(name, value);
        }
    }
    let mut child = real
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let shown = || fs::read_to_string(&typescript).unwrap_or_default();
    wait_for_else("it asks for the PIN", || shown().contains("tries left): "), shown);
    let mut keyboard = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut keyboard, format!("{PIN}\n").as_bytes()).unwrap();
    let status = child.wait().unwrap();
    drop(keyboard);
    assert!(status.success(), "{}", shown());
    assert!(
        shown().contains("exemption of") && shown().contains("SHA-256"),
        "{}",
        shown()
    );
    assert!(!shown().contains(PIN), "the PIN was echoed: {}", shown());
    assert_eq!(tokens.status()["card"], format!("FFFE:{ALICES}"));
}
