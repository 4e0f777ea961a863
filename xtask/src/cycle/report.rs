//! What every step took: kept in a file over all runs, printed as a table or as JSON.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::cost::Cost;
use crate::failure::{Failure, Result};
use crate::steps;

/// How the figures are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table.
    Text,
    /// A list of objects.
    Json,
}

/// What the steps took so far.
#[derive(Debug)]
pub(super) struct Report {
    path: PathBuf,
    steps: Vec<Step>,
}

/// A step that succeeded.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Step {
    name: String,
    command: String,
    #[serde(flatten)]
    cost: Cost,
}

impl Report {
    /// The report in a file, or an empty one.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let steps = if path.exists() {
            let text = steps::read(path)?;
            serde_json::from_str(&text)
                .map_err(|error| Failure::environment(format!("{} is no report: {error}; delete it", path.display())))?
        } else {
            Vec::new()
        };
        Ok(Self {
            path: path.to_owned(),
            steps,
        })
    }

    /// Adds a step and keeps it.
    pub(super) fn add(&mut self, name: &str, command: &str, cost: Cost) -> Result<()> {
        self.steps.push(Step {
            name: name.to_owned(),
            command: command.to_owned(),
            cost,
        });
        let text = self.json();
        steps::appear(&self.path, |new| {
            fs::write(new, &text).map_err(Failure::io(format_args!("write {}", new.display())))
        })
    }

    /// To standard output.
    pub(super) fn print(&self, format: Format) {
        match format {
            Format::Text => print!("{}", self.table()),
            Format::Json => println!("{}", self.json()),
        }
    }

    fn json(&self) -> String {
        serde_json::to_string_pretty(&self.steps).unwrap_or_default()
    }

    fn table(&self) -> String {
        let mut text = format!("{:>9} {:>9}  step\n", "seconds", "MiB");
        for step in &self.steps {
            let who = step.command.split('$').next().filter(|who| !who.contains(' '));
            let who = who.map(|who| format!(" ({who})")).unwrap_or_default();
            let _ = writeln!(
                text,
                "{:>9.1} {:>9}  {}{who}",
                step.cost.seconds,
                mebibytes(step.cost),
                step.name
            );
        }
        // Not `sum`, whose nothing is -0.0.
        let seconds = self.steps.iter().fold(0.0, |sum, step| sum + step.cost.seconds);
        let peak = self.steps.iter().filter_map(|step| step.cost.peak_kib).max();
        let all = Cost {
            seconds,
            peak_kib: peak,
        };
        let _ = writeln!(text, "{seconds:>9.1} {:>9}  all", mebibytes(all));
        text
    }
}

/// As one says it.
pub(super) fn in_words(cost: Cost) -> String {
    format!("{:.1} s, {} MiB", cost.seconds, mebibytes(cost))
}

fn mebibytes(cost: Cost) -> String {
    cost.peak_kib
        .map_or("?".to_owned(), |kib| kib.div_ceil(1024).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_survives_its_run() {
        let path = std::env::temp_dir().join(format!("xtask-report-{}.json", std::process::id()));
        let mut report = Report::open(&path).expect("a new one");
        let cost = Cost {
            seconds: 1.25,
            peak_kib: Some(2049),
        };
        report.add("import", "alice$ assay import", cost).expect("a folder");
        let again = Report::open(&path).expect("it was written");
        fs::remove_file(&path).expect("it is there");
        assert_eq!(again.steps, report.steps);
        assert_eq!(
            again.table(),
            "  seconds       MiB  step\n      1.2         3  import (alice)\n      1.2         3  all\n"
        );
    }
}
