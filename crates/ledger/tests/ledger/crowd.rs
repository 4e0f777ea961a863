//! Twenty people who add, exchange, are killed and begin anew, in an order that a seed decides.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use attestation::Sha256Digest;
use ledger::{Ledger, LedgerPath};

use crate::common::{Person, World, author, origin, said};

const CHILD: &str = "TOUCHSTONE_TEST_LEDGER_CROWD";
const CLONES: usize = 20;
const STEPS: usize = 40;

/// A small generator, so that a failure is played again: splitmix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn index(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(bound as u64)).unwrap()
    }
}

/// Not a test of its own: a person who adds three statements, writes down each once it is added, and exchanges.
#[test]
fn child_of_the_crowd() {
    let Ok(text) = std::env::var(CHILD) else { return };
    let [path, writer, kept, home] = text.split('|').collect::<Vec<_>>()[..] else {
        panic!("{text}");
    };
    let ledger = Ledger::open(path.as_ref()).unwrap();
    for seq in 1..=3 {
        let file = said(writer, seq, "r");
        ledger.add(std::slice::from_ref(&file), "Say", &author()).unwrap();
        fs::write(Path::new(kept).join(format!("{writer}-{seq}")), file.path().to_string()).unwrap();
    }
    let git = ledger::git::Git::new([
        ("PATH".into(), std::env::var_os("PATH").unwrap()),
        ("HOME".into(), home.into()),
    ]);
    ledger
        .sync(&git, &origin(), &author(), &ledger::Resolutions::new())
        .unwrap();
}

struct Crowd<'w> {
    people: Vec<(Person<'w>, Ledger)>,
    kept: PathBuf,
    writers: usize,
}

impl Crowd<'_> {
    fn child(&mut self, who: usize) -> Child {
        self.writers += 1;
        let (person, _) = &self.people[who];
        let text = format!(
            "{}|w{}|{}|{}",
            person.path.display(),
            self.writers,
            self.kept.display(),
            person.world.path("home").display()
        );
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crowd::child_of_the_crowd"])
            .env(CHILD, text)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// What a person does after a crash, when nothing of theirs runs: remove the locks that were named.
    fn remove_locks(&self, directory: &Path) {
        for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "objects") {
                self.remove_locks(&path);
            } else if path.extension().is_some_and(|extension| extension == "lock") {
                let _ = fs::remove_file(path);
            }
        }
    }

    fn add(&mut self, who: usize) {
        self.writers += 1;
        let file = said(&format!("w{}", self.writers), 1, "r");
        let (_, ledger) = &self.people[who];
        ledger.add(std::slice::from_ref(&file), "Say", &author()).unwrap();
        fs::write(self.kept.join(self.writers.to_string()), file.path().to_string()).unwrap();
    }

    fn names(&self, who: usize) -> BTreeSet<Sha256Digest> {
        let (_, ledger) = &self.people[who];
        ledger
            .snapshot()
            .unwrap()
            .statement_names()
            .unwrap()
            .into_iter()
            .collect()
    }
}

#[test]
fn twenty_clones_that_crash_and_exchange_end_with_one_ledger_and_lose_nothing() {
    let seed = std::env::var("TOUCHSTONE_SEED").map_or(7, |text| text.parse().unwrap());
    let mut dice = Dice(seed);
    let world = World::new();
    let kept = world.path("kept");
    fs::create_dir(&kept).unwrap();
    let names: Vec<_> = (0..CLONES).map(|number| format!("p{number}")).collect();
    let first = world.person(&names[0]);
    let ledger = first.create();
    first.sync(&ledger).unwrap();
    let mut people = vec![(first, ledger)];
    for name in &names[1..] {
        let person = world.person(name);
        let ledger = person.join();
        people.push((person, ledger));
    }
    let mut crowd = Crowd {
        people,
        kept,
        writers: 0,
    };
    let mut happened: BTreeMap<&str, usize> = BTreeMap::new();
    for _ in 0..STEPS {
        let who = dice.index(CLONES);
        let done = match dice.below(10) {
            0..4 => {
                crowd.add(who);
                "added"
            }
            4..6 => {
                let (person, ledger) = &crowd.people[who];
                person.sync(ledger).unwrap();
                "exchanged"
            }
            6 => {
                let (person, ledger) = &crowd.people[who];
                let git = person.world.process();
                ledger
                    .pull(&git, &origin(), &author(), &ledger::Resolutions::new())
                    .unwrap();
                "pulled"
            }
            7 => {
                // Several at once, two of them in one clone.
                let other = dice.index(CLONES);
                let mut children = [who, who, other].map(|who| crowd.child(who));
                for child in &mut children {
                    child.wait().unwrap();
                }
                "signed at once"
            }
            _ => {
                let mut child = crowd.child(who);
                std::thread::sleep(Duration::from_millis(5 + dice.below(60)));
                child.kill().unwrap();
                child.wait().unwrap();
                // Its git may still be at it; a lock is removed when nothing runs any more.
                std::thread::sleep(Duration::from_millis(40));
                let (person, _) = &crowd.people[who];
                crowd.remove_locks(&person.path.join(".git"));
                crowd.remove_locks(&world.shared());
                "killed"
            }
        };
        *happened.entry(done).or_default() += 1;
    }
    assert_eq!(happened.len(), 5, "seed {seed} plays no crowd: {happened:?}");

    // All that was lost on the way comes back with the next exchange; a second round brings everybody everything.
    for _ in 0..2 {
        for (person, ledger) in &crowd.people {
            person.sync(ledger).unwrap();
        }
    }
    let heads: BTreeSet<_> = crowd.people.iter().map(|(_, ledger)| ledger.head().unwrap()).collect();
    assert_eq!(heads.len(), 1, "seed {seed}: the ledgers differ");
    let here = crowd.names(0);
    for entry in fs::read_dir(&crowd.kept).unwrap() {
        let noted = fs::read_to_string(entry.unwrap().path()).unwrap();
        // Killed after it made the note's file and before it wrote the note.
        if noted.is_empty() {
            continue;
        }
        let path: LedgerPath = noted.parse().unwrap();
        let LedgerPath::Statement { envelope } = path else {
            panic!("{path}")
        };
        assert!(here.contains(&envelope), "seed {seed}: {path} is lost");
    }
    let (person, ledger) = &crowd.people[0];
    assert!(ledger.snapshot().unwrap().problems().unwrap().is_empty());
    world.git(&person.path, &["fsck", "--strict", "--no-dangling"]);
}
