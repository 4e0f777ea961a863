//! What the classifier makes of real history, and how that compares with what people made of it.
//!
//! ```sh
//! cargo run --release -p review --example evidence -- history GIT_DIR
//! cargo run --release -p review --example evidence -- labels nixpkgs=GIT_DIR home-manager=GIT_DIR
//! ```
//!
//! ```sh
//! cargo run --release -p review --example evidence -- verdicts GIT_DIR 600 history
//! cargo run --release -p review --example evidence -- verdicts GIT_DIR 600 changes
//! ```
//!
//! `history` classifies every commit that `HEAD` reaches, and prints the tables of docs/evidence.md. `labels` judges the
//! changes of `tests/data/labels.tsv`, which a person judged before, and prints precision and recall; each disagreement
//! goes to standard error. `verdicts` prints class and codes of every unit that so many commits, spread over all that are no
//! merges, changed: as the classification of a history has them, and as [`review::changes`] has them. Both must print the
//! same, but for what only the rest of the tree tells.

#![expect(clippy::unwrap_used, reason = "evidence that cannot be had ends the run")]

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    path::Path,
    sync::Mutex,
    time::Instant,
};

use attestation::{ChainId, Class, Sha256Digest, unit::FindingLevel};
use importer::{ObjectId, Repository};
use review::UnitChange;

const LABELS: &str = include_str!("../tests/data/labels.tsv");
const DRAWN: &str = include_str!("../tests/data/drawn.tsv");

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["history", repository] => history(&Repository::open(Path::new(repository)).unwrap()),
        ["verdicts", repository, count, how] => {
            verdicts(
                &Repository::open(Path::new(repository)).unwrap(),
                count.parse().unwrap(),
                how,
            );
        }
        ["labels", ref repositories @ ..] if !repositories.is_empty() => labels(repositories),
        _ => {
            eprintln!(
                "evidence history GIT_DIR | evidence verdicts GIT_DIR COUNT history|changes | evidence labels nixpkgs=GIT_DIR home-manager=GIT_DIR"
            );
            std::process::exit(2);
        }
    }
}

#[derive(Default)]
struct Counts {
    units: usize,
    classes: BTreeMap<Class, usize>,
    rules: BTreeMap<(std::cmp::Reverse<FindingLevel>, &'static str), usize>,
}

fn history(repository: &Repository) {
    let begin = Instant::now();
    let forest = repository.forest();
    let tip = repository.resolve("HEAD").unwrap();
    let commits = forest.reached(tip).unwrap();
    let counts = Mutex::new(Counts::default());
    review::history(repository, &forest, &commits, |_, unit| {
        let mut counts = counts.lock().unwrap();
        counts.units += 1;
        *counts.classes.entry(unit.class).or_default() += 1;
        let rules: BTreeSet<_> = unit.findings.iter().map(|finding| finding.rule).collect();
        for rule in rules {
            *counts
                .rules
                .entry((std::cmp::Reverse(rule.level), rule.code))
                .or_default() += 1;
        }
    })
    .unwrap();
    let counts = counts.into_inner().unwrap();
    let single = commits.iter().filter(|commit| commit.parents.len() < 2).count();
    println!(
        "{} commits up to {tip}, {single} of them no merges, {} changed units in these; {:.1} s\n",
        commits.len(),
        counts.units,
        begin.elapsed().as_secs_f64()
    );
    println!("| class | units | share |\n|---|---|---|");
    for (class, count) in &counts.classes {
        println!("| `{class}` | {count} | {} |", percent(*count, counts.units));
    }
    println!("\n| rule | level | units | per 1,000 commits |\n|---|---|---|---|");
    for ((std::cmp::Reverse(level), code), count) in &counts.rules {
        let rate = *count as f64 * 1000.0 / single as f64;
        println!("| `{code}` | {level:?} | {count} | {rate:.1} |");
    }
    packages(repository, tip);
}

/// Prints what is said of the units that some commits changed, sorted.
fn verdicts(repository: &Repository, count: usize, how: &str) {
    let forest = repository.forest();
    let tip = repository.resolve("HEAD").unwrap();
    let mut commits = forest.reached(tip).unwrap();
    commits.retain(|commit| commit.parents.len() == 1);
    let step = commits.len().div_ceil(count).max(1);
    let commits: Vec<_> = commits.into_iter().step_by(step).collect();
    let lines = Mutex::new(Vec::new());
    let say = |commit: ObjectId, unit: &str, class: Class, findings: &[nixexpr::Finding]| {
        let codes: BTreeSet<&str> = findings.iter().map(|finding| finding.rule.code).collect();
        let codes: Vec<&str> = codes.into_iter().filter(|code| *code != "hash-transplanted").collect();
        let line = format!("{commit}\t{unit}\t{class}\t{}", codes.join(","));
        lines.lock().unwrap().push(line);
    };
    match how {
        "history" => review::history(repository, &forest, &commits, |commit, unit| {
            say(commit.id, unit.unit.as_str(), unit.class, &unit.findings);
        })
        .unwrap(),
        "changes" => {
            let chain = ChainId::from_digest(Sha256Digest::of("evidence"));
            for commit in &commits {
                let old = forest.commit(commit.parents[0]).unwrap().tree;
                for change in review::changes(repository, chain, Some(old), commit.tree).unwrap() {
                    say(commit.id, change.delta.unit.as_str(), change.class, &change.findings);
                }
            }
        }
        other => panic!("history or changes, not {other}"),
    }
    let mut lines = lines.into_inner().unwrap();
    lines.sort();
    for line in lines {
        println!("{line}");
    }
}

/// How many packages of a tree are known in full.
fn packages(repository: &Repository, tip: ObjectId) {
    let listing = repository.listing(repository.commit(tip).unwrap().tree).unwrap();
    let (mut all, mut known, mut unread) = (0, 0, 0);
    let mut lacking: BTreeMap<&str, usize> = BTreeMap::new();
    for file in listing.files() {
        let path = file.path.as_str();
        if !path.ends_with(".nix") || file.mode == importer::FileMode::Symlink {
            continue;
        }
        let bytes = repository.blob(file.id).unwrap();
        let Ok(parsed) = nixexpr::parse(path, &bytes) else {
            unread += 1;
            continue;
        };
        let facts = nixexpr::facts(&parsed);
        for package in &facts.packages {
            let sources = match &package.sources {
                nixexpr::Fact::Known(sources) if !sources.is_empty() => Some(sources),
                nixexpr::Fact::Unknown => None,
                _ => continue,
            };
            all += 1;
            let source = sources.is_some_and(|sources| {
                sources.iter().all(|at| {
                    let source = &facts.sources[*at];
                    source.origin.is_known() && source.hash.is_known()
                })
            });
            let lacks = [
                ("name", package.pname.is_known()),
                ("version", package.version.is_known()),
                ("source", source),
            ];
            let lacks: Vec<_> = lacks
                .iter()
                .filter(|(_, known)| !known)
                .map(|(what, _)| *what)
                .collect();
            known += usize::from(lacks.is_empty());
            for what in lacks {
                *lacking.entry(what).or_default() += 1;
            }
        }
    }
    println!(
        "\n{all} package expressions with a source at the tip; name, version and source of {known} are known ({}). \
         {unread} files could not be read. Not known: {}.",
        percent(known, all),
        lacking
            .iter()
            .map(|(what, count)| format!("{what} of {count}"))
            .collect::<Vec<_>>()
            .join(", ")
    );
}

fn percent(part: usize, whole: usize) -> String {
    format!("{:.1} %", part as f64 * 100.0 / whole.max(1) as f64)
}

/// What was labelled, and what was found.
#[derive(Default)]
struct Score {
    both: usize,
    ours: usize,
    theirs: usize,
}

impl Score {
    fn add(&mut self, ours: bool, theirs: bool) {
        match (ours, theirs) {
            (true, true) => self.both += 1,
            (true, false) => self.ours += 1,
            (false, true) => self.theirs += 1,
            (false, false) => {}
        }
    }

    fn row(&self, name: &str) -> String {
        format!(
            "| `{name}` | {} | {} | {} | {} | {} |",
            self.both + self.theirs,
            self.ours,
            self.theirs,
            percent(self.both, self.both + self.ours),
            percent(self.both, self.both + self.theirs)
        )
    }
}

fn labels(repositories: &[&str]) {
    let repositories: BTreeMap<&str, Repository> = repositories
        .iter()
        .map(|named| {
            let (name, path) = named.split_once('=').unwrap();
            (name, Repository::open(Path::new(path)).unwrap())
        })
        .collect();
    let chain = ChainId::from_digest(Sha256Digest::of("evidence"));
    let mut cache: BTreeMap<String, Vec<UnitChange>> = BTreeMap::new();
    let mut classes: BTreeMap<&str, Score> = BTreeMap::new();
    let mut rules: BTreeMap<String, Score> = BTreeMap::new();
    let (mut rows, mut agree) = (0, 0);
    for (line, drawn) in LABELS.lines().zip(DRAWN.lines()) {
        let fields: Vec<_> = line.split('\t').collect();
        let [repository, commit, unit, class, codes, note] = fields[..] else {
            panic!("{line}");
        };
        let files: BTreeSet<&str> = drawn.split('\t').nth(4).unwrap().split([' ', ',']).collect();
        let Some(repository) = repositories.get(repository) else {
            continue;
        };
        let changes = cache.entry(commit.to_owned()).or_insert_with(|| {
            let commit = repository
                .commit(ObjectId::from_hex(commit.as_bytes()).unwrap())
                .unwrap();
            let old = commit
                .parents
                .first()
                .map(|parent| repository.commit(*parent).unwrap().tree);
            review::changes(repository, chain, old, commit.tree).unwrap()
        });
        let exact: Vec<_> = changes
            .iter()
            .filter(|change| change.delta.unit.as_str() == unit)
            .collect();
        let of_files = |change: &&UnitChange| {
            change
                .files
                .iter()
                .any(|file| files.contains(file.change.path.as_str()))
        };
        let ours = if exact.is_empty() {
            changes.iter().filter(of_files).collect()
        } else {
            exact
        };
        rows += 1;
        let Some(found) = ours.iter().map(|change| change.class).max() else {
            eprintln!("no unit: {commit} {unit}");
            continue;
        };
        let theirs: BTreeSet<String> = codes
            .split(',')
            .filter(|code| *code != "-")
            .map(str::to_owned)
            .collect();
        let is: BTreeSet<String> = ours
            .iter()
            .flat_map(|change| &change.findings)
            .filter(|finding| finding.level() != FindingLevel::S)
            .map(|finding| finding.rule.code.to_owned())
            .collect();
        for name in ["bump", "edit", "new", "removed", "moved", "sensitive", "unparsed"] {
            classes
                .entry(name)
                .or_default()
                .add(found.as_str() == name, class == name);
        }
        for code in is.union(&theirs) {
            rules
                .entry(code.clone())
                .or_default()
                .add(is.contains(code), theirs.contains(code));
        }
        if found.as_str() == class && is == theirs {
            agree += 1;
            continue;
        }
        let list =
            |codes: std::collections::btree_set::Difference<'_, String>| codes.cloned().collect::<Vec<_>>().join(",");
        eprintln!(
            "{commit}\t{unit}\tlabel {class}, found {found}\tmissed [{}]\tfalse [{}]\t{note}",
            list(theirs.difference(&is)),
            list(is.difference(&theirs))
        );
    }
    println!(
        "{rows} labelled changes; class and every code agree in {agree} ({}).\n",
        percent(agree, rows)
    );
    println!("| | labelled | found falsely | missed | precision | recall |\n|---|---|---|---|---|---|");
    for (name, score) in &classes {
        println!("{}", score.row(name));
    }
    for (name, score) in &rules {
        println!("{}", score.row(name));
    }
}
