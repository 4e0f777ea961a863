//! `cargo xtask bench`: builds the benchmarks for release, runs them, and prints ours beside the peers'.
//!
//! A benchmark is an example program: `crates/CRATE/examples/bench_NAME.rs`. It prints its rows as one JSON array;
//! `testkit::bench` makes them. docs/performance.md says what was measured, and how to read it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use clap::{Args as Arguments, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Result};
use crate::process::{Line, Terminal};
use crate::workspace;

/// Measure, beside the programs of others, and print a table.
#[derive(Debug, Arguments)]
#[command(
    after_help = "Examples:\n  cargo xtask bench --list\n  cargo xtask bench authenticate\n  \
                        cargo xtask bench --format json\n  cargo xtask bench authenticate -- --commits 10000\n\n\
                        A ratio above 1 is a win, whatever the unit. A peer that is not installed is said to be missing; \
                        `cargo xtask setup --for bench` installs what it can."
)]
pub(crate) struct Args {
    /// Which benchmarks; all without a name.
    names: Vec<String>,
    /// How to print the rows.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Print the names of the benchmarks, and run none.
    #[arg(long)]
    list: bool,
    /// Arguments for the benchmark itself; needs exactly one name.
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// How rows are printed.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// A table, to be read.
    Table,
    /// An array of `{job, unit, ours, peer, peer_value, ratio, limit, share}`.
    Json,
}

/// What a benchmark prints. Unknown members are refused, so that nothing is measured and then not shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    job: String,
    unit: String,
    ours: f64,
    peer: Option<String>,
    peer_value: Option<f64>,
    ratio: Option<f64>,
    limit: Option<f64>,
    share: Option<f64>,
}

pub(crate) fn command(args: &Args, terminal: &Terminal) -> Result<()> {
    let all = find(&workspace::root())?;
    if args.list {
        all.keys().for_each(|name| println!("{name}"));
        return Ok(());
    }
    let chosen = choose(&all, &args.names)?;
    if !args.arguments.is_empty() && chosen.len() != 1 {
        return Err(Failure::usage(
            "arguments after `--` are for one benchmark; name it: cargo xtask bench NAME -- ARGUMENTS",
        ));
    }
    let mut rows = Vec::new();
    for (name, of_crate) in chosen {
        terminal.step(&format!("bench {name}"));
        rows.extend(run(name, of_crate, &args.arguments, terminal)?);
    }
    match args.format {
        Format::Table => print!("{}", table(&rows)),
        Format::Json => println!(
            "{}",
            serde_json::to_string_pretty(&rows).map_err(|error| Failure::refused(error.to_string()))?
        ),
    }
    Ok(())
}

/// Every benchmark of the workspace and its crate, by name.
fn find(root: &Path) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let crates = root.join("crates");
    let entries = |folder: &Path| {
        let all = std::fs::read_dir(folder).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
        all.map_err(Failure::io(format_args!("list {}", folder.display())))
    };
    for of_crate in entries(&crates)? {
        let examples = of_crate.path().join("examples");
        if !examples.is_dir() {
            continue;
        }
        for example in entries(&examples)? {
            let file = example.file_name();
            let name = file
                .to_str()
                .and_then(|file| file.strip_prefix("bench_")?.strip_suffix(".rs"));
            let (Some(name), Some(of_crate)) = (name, of_crate.file_name().to_str().map(str::to_owned)) else {
                continue;
            };
            if let Some(other) = found.insert(name.to_owned(), of_crate.clone()) {
                return Err(Failure::refused(format!(
                    "two benchmarks are called {name}, in crates {other} and {of_crate}; rename one"
                )));
            }
        }
    }
    Ok(found)
}

fn choose<'a>(all: &'a BTreeMap<String, String>, names: &[String]) -> Result<Vec<(&'a str, &'a str)>> {
    if names.is_empty() {
        return Ok(all.iter().map(|(name, of)| (name.as_str(), of.as_str())).collect());
    }
    let chosen = names.iter().map(|name| {
        let found = all.get_key_value(name).map(|(name, of)| (name.as_str(), of.as_str()));
        found.ok_or_else(|| {
            let known: Vec<_> = all.keys().map(String::as_str).collect();
            Failure::usage(format!(
                "no benchmark is called {name}; there are: {}",
                known.join(", ")
            ))
        })
    });
    chosen.collect()
}

fn run(name: &str, of_crate: &str, arguments: &[String], terminal: &Terminal) -> Result<Vec<Row>> {
    let line = Line::cargo()
        .directory(workspace::root())
        .args(["run", "--release", "--quiet", "--package", of_crate])
        .args(["--example", &format!("bench_{name}"), "--"])
        .args(arguments)
        // Peers in Rust would pay for backtraces of errors that they expect.
        .env("RUST_BACKTRACE", "0");
    let printed = line.result(terminal)?;
    serde_json::from_str(&printed).map_err(|error| {
        Failure::refused(format!(
            "bench_{name} printed something else than rows: {error}; print them with testkit::bench::print, alone"
        ))
    })
}

fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<44} {:>12} {:<10} {:>12} {:>8} {:>12} {:>6}  peer\n",
        "job", "ours", "unit", "peer", "ratio", "limit", "share"
    );
    for row in rows {
        let _ = writeln!(
            text,
            "{:<44} {:>12} {:<10} {:>12} {:>8} {:>12} {:>6}  {}",
            row.job,
            number(Some(row.ours)),
            row.unit,
            number(row.peer_value),
            row.ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}x")),
            number(row.limit),
            row.share
                .map_or("-".to_owned(), |share| format!("{:.0} %", share * 100.0)),
            row.peer.as_deref().unwrap_or("-"),
        );
    }
    text
}

/// With about three digits that say something.
fn number(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value.abs() >= 100.0 => format!("{value:.0}"),
        Some(value) if value.abs() >= 1.0 => format!("{value:.2}"),
        Some(value) => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        Row {
            job: "authenticate".to_owned(),
            unit: "commits/s".to_owned(),
            ours: 40_000.4,
            peer: Some("sq-git 0.6".to_owned()),
            peer_value: Some(2_400.0),
            ratio: Some(16.67),
            limit: Some(44_000.0),
            share: Some(0.91),
        }
    }

    #[test]
    fn the_table_has_ours_the_peer_and_the_limit() {
        let text = table(&[row()]);
        let words: Vec<&str> = text.lines().nth(1).expect("a row").split_whitespace().collect();
        assert_eq!(
            words,
            "authenticate 40000 commits/s 2400 16.67x 44000 91 % sq-git 0.6"
                .split(' ')
                .collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_missing_peer_is_said_to_be_missing() {
        let missing = Row {
            peer: Some("guix: missing (apt install guix)".to_owned()),
            peer_value: None,
            ratio: None,
            ..row()
        };
        assert!(table(&[missing]).contains("guix: missing (apt install guix)"));
    }

    #[test]
    fn refuses_rows_of_another_shape() {
        assert!(serde_json::from_str::<Vec<Row>>(r#"[{"job":"a","unit":"s"}]"#).is_err());
        let mut json = serde_json::to_value(row()).expect("a row");
        assert!(serde_json::from_value::<Row>(json.clone()).is_ok());
        json["noise"] = 1.into();
        assert!(serde_json::from_value::<Row>(json).is_err());
    }

    #[test]
    fn refuses_a_benchmark_that_is_not_there() {
        let all = BTreeMap::from([("history".to_owned(), "policy".to_owned())]);
        assert_eq!(choose(&all, &[]).expect("all"), [("history", "policy")]);
        let failure = choose(&all, &["histories".to_owned()]).expect_err("none");
        assert!(failure.to_string().contains("there are: history"), "{failure}");
    }

    #[test]
    fn every_benchmark_is_found_under_one_name() {
        let root = std::env::temp_dir().join(format!("xtask-bench-{}", std::process::id()));
        let examples = |of: &str| root.join("crates").join(of).join("examples");
        for of in ["a", "b"] {
            std::fs::create_dir_all(examples(of)).expect("a folder");
        }
        for file in ["bench_one.rs", "other.rs", "bench_notes.md"] {
            std::fs::write(examples("a").join(file), "").expect("a file");
        }
        let found = find(&root);
        std::fs::write(examples("b").join("bench_one.rs"), "").expect("a file");
        let twice = find(&root);
        std::fs::remove_dir_all(&root).expect("it is there");
        assert_eq!(
            found.expect("found"),
            BTreeMap::from([("one".to_owned(), "a".to_owned())])
        );
        assert!(twice.is_err());
    }
}
