//! What a process takes: time, and memory as the kernel counts it.

use std::io;
use std::process::{Child, Output};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// How often the kernel is asked. Its figure is itself a maximum, so that only growth within the process's very last
/// moment can be missed.
const INTERVAL: Duration = Duration::from_millis(5);

/// What a process took.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// From its start to its end.
    pub(crate) seconds: f64,
    /// The most resident memory that it had (`VmHWM`), without that of processes that it started; `None` where it ended
    /// before it could be asked.
    pub(crate) peak_kib: Option<u64>,
}

/// Waits for a process, whose output is captured, and watches what it takes.
pub(crate) fn watch(child: Child, start: Instant) -> io::Result<(Output, Cost)> {
    let status = format!("/proc/{}/status", child.id());
    // Whether it still runs (afterwards its number may be another's), and its peak so far.
    let peak = Mutex::new((true, None));
    let output = thread::scope(|scope| {
        scope.spawn(|| {
            loop {
                {
                    let Ok(mut peak) = peak.lock() else { return };
                    if !peak.0 {
                        return;
                    }
                    peak.1 = peak.1.max(read_peak(&status));
                }
                thread::sleep(INTERVAL);
            }
        });
        let output = child.wait_with_output();
        if let Ok(mut peak) = peak.lock() {
            peak.0 = false;
        }
        output
    })?;
    let cost = Cost {
        seconds: start.elapsed().as_secs_f64(),
        peak_kib: peak.into_inner().ok().and_then(|peak| peak.1),
    };
    Ok((output, cost))
}

fn read_peak(status: &str) -> Option<u64> {
    let text = std::fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn memory_and_time_are_those_of_the_process() {
        let script = "x=$(head -c 40000000 /dev/zero | tr '\\0' x); sleep 0.1; : \"$x\"";
        let start = Instant::now();
        let child = Command::new("sh")
            .args(["-c", script])
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh runs");
        let (output, cost) = watch(child, start).expect("it ends");
        assert!(output.status.success());
        assert!(cost.seconds >= 0.1, "{cost:?}");
        assert!(cost.peak_kib.is_some_and(|kib| kib > 40_000), "{cost:?}");
    }
}
