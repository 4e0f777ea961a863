//! Commands that are stopped in the middle: by Ctrl-C, by a kill, by the machine going away.

use std::{
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};

use super::World;

/// How a command ended that was to be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupted {
    /// The signal ended it.
    Stopped,
    /// It was through before.
    Finished,
}

/// How long a command takes when nobody stops it.
///
/// # Panics
/// If it fails.
pub fn duration(command: &mut Command) -> Duration {
    let start = Instant::now();
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(status.is_ok_and(|status| status.success()), "{command:?} failed");
    start.elapsed()
}

/// Runs a command in a process group of its own, as a terminal does, and after `delay` sends the whole group a signal.
///
/// # Panics
/// If it does not start.
pub fn stop_after(command: &mut Command, delay: Duration, signal: Signal) -> Interrupted {
    command
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = command.spawn().expect("it starts");
    thread::sleep(delay);
    let group = Pid::from_child(&child);
    // It may have ended already.
    let _ = kill_process_group(group, signal);
    let status = child.wait().expect("it ends");
    match status.signal() {
        Some(_) => Interrupted::Stopped,
        None => Interrupted::Finished,
    }
}

impl World {
    /// Runs a command under strace, which kills it at its `nth` call of those that make something durable or visible.
    ///
    /// # Panics
    /// If it fails for another reason.
    pub fn kill_at_write(&self, command: &Command, nth: u32) -> Interrupted {
        let mut strace = Command::new("strace");
        self.environment(&mut strace);
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                strace.env(name, value);
            }
        }
        let calls = "fsync,syncfs,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,mkdir,rmdir";
        strace
            .args(["-qq", "-o", "/dev/null", "-e"])
            .arg(format!("inject={calls}:signal=KILL:when={nth}"))
            .arg(command.get_program())
            .args(command.get_args())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let status = strace.status().expect("strace starts");
        if status.success() {
            Interrupted::Finished
        } else {
            // strace ends as its tracee does.
            assert_eq!(
                status.signal(),
                Some(9),
                "{command:?} failed by itself at call {nth}: {status}"
            );
            Interrupted::Stopped
        }
    }
}
