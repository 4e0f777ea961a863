//! Rows and clocks of benchmarks: what `cargo xtask bench` runs and prints.
//!
//! A benchmark is an example program `examples/bench_NAME.rs` of any crate. It says what it does on standard error,
//! and prints its rows as one JSON array on standard output ([`print`]). Numbers of different machines, or of
//! different moments of one that others use, say nothing: so ours and the peer are measured in one run, and the ratio
//! is what is read.

pub mod many;

use std::{
    env, fs,
    hint::black_box,
    path::PathBuf,
    process::{Command, Stdio},
    time::Instant,
};

use serde::Serialize;

/// One job, ours beside one peer and the limit of the machine. A job with two peers has two rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    job: String,
    unit: String,
    ours: f64,
    peer: Option<String>,
    peer_value: Option<f64>,
    /// How many times as good as the peer we are: above 1 we win, whatever the unit.
    ratio: Option<f64>,
    limit: Option<f64>,
    /// Which part of the limit is reached: 1 is all of it.
    share: Option<f64>,
    #[serde(skip)]
    better: Better,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Better {
    Higher,
    Lower,
}

impl Row {
    /// A job whose number is better when it is higher, as `commits/s`.
    pub fn rate(job: impl Into<String>, unit: impl Into<String>, ours: f64) -> Self {
        Self::new(job.into(), unit.into(), ours, Better::Higher)
    }

    /// A job whose number is better when it is lower, as `s`, `ms`, `bytes`, `MiB`.
    pub fn cost(job: impl Into<String>, unit: impl Into<String>, ours: f64) -> Self {
        Self::new(job.into(), unit.into(), ours, Better::Lower)
    }

    fn new(job: String, unit: String, ours: f64, better: Better) -> Self {
        let (peer, peer_value, ratio, limit, share) = (None, None, None, None, None);
        Self {
            job,
            unit,
            ours,
            peer,
            peer_value,
            ratio,
            limit,
            share,
            better,
        }
    }

    /// Beside a peer that did the same job in the same run, in the same unit. `peer` says which version, and what
    /// was different (a smaller sample).
    #[must_use]
    pub fn against(mut self, peer: impl Into<String>, value: f64) -> Self {
        self.peer = Some(peer.into());
        self.peer_value = Some(value);
        self.ratio = Some(self.compared_with(value));
        self
    }

    /// Beside a peer that is not installed; `how` is what to type to get it.
    #[must_use]
    pub fn missing(mut self, peer: &str, how: &str) -> Self {
        eprintln!("missing: {peer} ({how})");
        self.peer = Some(format!("{peer}: missing ({how})"));
        self
    }

    /// What nothing on this machine could beat, in the same unit: a bare library loop over the same data, the page
    /// cache's speed.
    #[must_use]
    pub fn limit(mut self, value: f64) -> Self {
        self.limit = Some(value);
        self.share = Some(self.compared_with(value));
        self
    }

    fn compared_with(&self, other: f64) -> f64 {
        match self.better {
            Better::Higher => self.ours / other,
            Better::Lower => other / self.ours,
        }
    }
}

/// Prints the rows as one JSON array on standard output: the last thing that a benchmark does.
///
/// # Panics
/// If a number is not finite: it was not measured.
pub fn print(rows: &[Row]) {
    for row in rows {
        let numbers = [Some(row.ours), row.peer_value, row.ratio, row.limit, row.share];
        assert!(
            numbers.iter().flatten().all(|number| number.is_finite()),
            "not a measured number: {row:?}"
        );
    }
    println!("{}", serde_json::to_string(rows).expect("rows are JSON"));
}

/// The number after an argument of this process, as `--commits`.
pub fn argument(name: &str) -> Option<usize> {
    let mut all = env::args().skip_while(|argument| argument != name);
    all.nth(1)?.parse().ok()
}

/// Runs `work` once; what it returned, and how many seconds it took.
pub fn time<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let out = black_box(work());
    (out, start.elapsed().as_secs_f64())
}

/// Runs `work` so many times; the seconds of the quickest run. Others use the machine too: what disturbs only adds.
pub fn best_of<T>(times: usize, mut work: impl FnMut() -> T) -> f64 {
    (0..times).map(|_| time(&mut work).1).fold(f64::INFINITY, f64::min)
}

/// The most memory that this process has had so far, in MiB (`VmHWM`).
pub fn peak_mebibytes() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}

/// A peer's program: from the variable `TOUCHSTONE_` and its name in capitals (`TOUCHSTONE_SQ_GIT`), else where
/// `cargo xtask setup --for bench` put it, else from `PATH`; `None` if it does not run.
pub fn program(name: &str) -> Option<PathBuf> {
    let variable = format!("TOUCHSTONE_{}", name.to_uppercase().replace('-', "_"));
    let made = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../target/peers/bin")
        .join(name);
    let places = env::var_os(variable).map_or_else(|| vec![made, PathBuf::from(name)], |set| vec![set.into()]);
    places.into_iter().find(|place| {
        let mut line = Command::new(place);
        line.arg("--version")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        line.status().is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_above_one_is_a_win_in_every_unit() {
        let rate = Row::rate("j", "commits/s", 300.0).against("git", 100.0).limit(400.0);
        assert_eq!((rate.ratio, rate.share), (Some(3.0), Some(0.75)));
        let cost = Row::cost("j", "s", 2.0).against("git", 6.0).limit(1.0);
        assert_eq!((cost.ratio, cost.share), (Some(3.0), Some(0.5)));
    }

    #[test]
    fn a_missing_peer_stands_in_its_row() {
        let row = Row::cost("j", "s", 2.0).missing("guix", "apt install guix");
        let json = serde_json::to_value(&row).unwrap();
        assert_eq!(json["peer"], "guix: missing (apt install guix)");
        assert!(json["peer_value"].is_null() && json["ratio"].is_null());
        let members: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(
            members,
            ["job", "limit", "ours", "peer", "peer_value", "ratio", "share", "unit"]
        );
    }

    #[test]
    #[should_panic(expected = "not a measured number")]
    fn refuses_to_print_what_was_not_measured() {
        print(&[Row::cost("j", "s", 0.0).against("git", 1.0)]);
    }

    #[test]
    fn a_program_that_does_not_run_is_none() {
        assert!(program("git").is_some());
        assert!(program("no-such-program-at-all").is_none());
    }
}
