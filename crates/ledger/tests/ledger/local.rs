//! One repository: adding, reading, and several writers at once.

use std::{
    collections::BTreeSet,
    num::{NonZeroU64, NonZeroUsize},
    process::Command,
};

use crate::common::{World, author, root, said, signature, statement, targets};
use attestation::{Sha256Digest, pending::Proposal};
use ledger::{AddError, CreateError, Ledger, LedgerPath, NewFile, OpenError, Problem, Snapshot, StatementFile};

fn statements(snapshot: &Snapshot) -> Vec<Result<StatementFile, Problem>> {
    snapshot.statements(NonZeroUsize::new(2).unwrap()).unwrap()
}

#[test]
fn what_is_added_is_read_again() {
    let world = World::new();
    let ledger = world.person("alice").create();
    let root_one = root(1, 100);
    let proposal = Proposal::Root(Box::new(root(2, 200).claims));
    let payload = proposal.payload_digest();
    let envelope = statement("alice", 1, None, "bad");
    let files = [
        NewFile::root(&root_one).unwrap(),
        NewFile::certificate(b"a certificate".to_vec()),
        NewFile::proposal(&proposal),
        NewFile::signature(payload, &signature("ab", "00")),
        NewFile::signature(payload, &signature("cd", "01")),
        NewFile::statement(&envelope).unwrap(),
    ];
    let head = ledger.add(&files, "Begin", &author()).unwrap();

    let reopened = Ledger::open(&world.path("alice")).unwrap();
    let snapshot = reopened.snapshot().unwrap();
    assert_eq!(snapshot.commit(), head);
    let roots = snapshot.roots().unwrap();
    assert_eq!(roots.files[0].bytes, root_one.to_bytes());
    assert_eq!(roots.files[0].root.claimed(), &root_one);
    assert_eq!(snapshot.keyring().unwrap().files[0].bytes.claimed(), b"a certificate");
    assert_eq!(snapshot.proposals().unwrap().files[0].proposal.claimed(), &proposal);
    assert_eq!(snapshot.proposal(payload).unwrap().unwrap().unwrap().payload, payload);
    let keys: Vec<_> = snapshot
        .signatures(payload)
        .unwrap()
        .files
        .iter()
        .map(|file| file.signature.claimed().keyid.to_string())
        .collect();
    assert_eq!(keys, ["ab", "cd"]);
    let statements: Vec<_> = statements(&snapshot).into_iter().map(Result::unwrap).collect();
    assert_eq!(statements[0].envelope, envelope);
    assert_eq!(statements[0].id, statements[0].statement.claimed().id());
    assert!(snapshot.signatures(Sha256Digest::of("other")).unwrap().files.is_empty());
    assert_eq!(snapshot.problems().unwrap().len(), 0);
    assert_eq!(snapshot.paths().unwrap().len(), files.len());
}

#[test]
fn git_finds_nothing_wrong_with_what_is_written() {
    let world = World::new();
    let alice = world.person("alice");
    let ledger = alice.create();
    for seq in 1..20 {
        ledger.add(&[said("alice", seq, "r")], "Say", &author()).unwrap();
    }
    world.git(&alice.path, &["fsck", "--strict", "--full"]);
    let count = world.git(&alice.path, &["rev-list", "--count", "touchstone"]);
    assert_eq!(count, "20");
    let names = world.git(&alice.path, &["ls-tree", "-r", "--name-only", "touchstone"]);
    assert!(names.lines().all(|name| name.parse::<LedgerPath>().is_ok()), "{names}");
}

#[test]
fn adding_the_same_again_changes_nothing() {
    let world = World::new();
    let ledger = world.person("alice").create();
    let file = said("alice", 1, "r");
    let head = ledger.add(&[file.clone(), file.clone()], "Say", &author()).unwrap();
    assert_eq!(ledger.add(&[file], "Say again", &author()).unwrap(), head);
}

#[test]
fn refuses_a_second_root_of_one_version() {
    let world = World::new();
    let ledger = world.person("alice").create();
    ledger
        .add(&[NewFile::root(&root(1, 100)).unwrap()], "Begin", &author())
        .unwrap();
    let head = ledger.head().unwrap();
    let second = NewFile::root(&root(1, 101)).unwrap();
    let honest = said("alice", 1, "r");
    let error = ledger.add(&[honest, second], "Again", &author()).unwrap_err();
    let AddError::AlreadyThere { path, .. } = &error else {
        panic!("{error:?}");
    };
    assert!(
        path.is_written_once() && error.to_string().contains("look at both"),
        "{error}"
    );
    assert_eq!(ledger.head().unwrap(), head, "a part of a refused addition was made");
    ledger
        .add(&[NewFile::root(&root(2, 101)).unwrap()], "Rotate", &author())
        .unwrap();
}

#[test]
fn refuses_two_contents_of_one_name_in_one_addition() {
    let world = World::new();
    let ledger = world.person("alice").create();
    let payload = Sha256Digest::of("payload");
    let files = ["00", "01"].map(|sig| NewFile::signature(payload, &signature("ab", sig)));
    let error = ledger.add(&files, "Sign", &author()).unwrap_err();
    assert!(matches!(error, AddError::AlreadyThere { .. }), "{error:?}");
}

#[test]
fn opening_says_what_is_missing() {
    let world = World::new();
    let nowhere = Ledger::open(&world.path("nowhere")).unwrap_err();
    assert!(matches!(nowhere, OpenError::NoRepository { .. }), "{nowhere:?}");
    let alice = world.person("alice");
    let error = Ledger::open(&alice.path).unwrap_err();
    assert!(matches!(error, OpenError::NoLedger { .. }), "{error:?}");
    let ledger = alice.create();
    let error = Ledger::create(&alice.path, &author()).unwrap_err();
    assert!(
        matches!(error, CreateError::AlreadyThere { head, .. } if head == ledger.head().unwrap()),
        "{error:?}"
    );
}

#[test]
fn an_unreadable_branch_is_an_error_and_not_an_empty_ledger() {
    let world = World::new();
    let alice = world.person("alice");
    let ledger = alice.create();
    ledger.add(&[said("alice", 1, "r")], "Say", &author()).unwrap();
    let head = ledger.head().unwrap().to_string();
    let object = alice.path.join(".git/objects").join(&head[..2]).join(&head[2..]);
    std::fs::remove_file(object).unwrap();
    let error = Ledger::open(&alice.path).unwrap_err();
    assert!(matches!(error, OpenError::Read(_)), "{error:?}");
}

#[test]
fn threads_adding_at_the_same_time_lose_nothing() {
    let world = World::new();
    let alice = world.person("alice");
    alice.create();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let path = &alice.path;
            scope.spawn(move || {
                let ledger = Ledger::open(path).unwrap();
                for seq in 1..=15 {
                    let file = said(&format!("writer{writer}"), seq, "r");
                    ledger.add(&[file], "Say", &author()).unwrap();
                }
            });
        }
    });
    let names = Ledger::open(&alice.path).unwrap().snapshot().unwrap();
    assert_eq!(names.statement_names().unwrap().len(), 60);
    world.git(&alice.path, &["fsck", "--strict"]);
}

/// They are read in the order in which they lie in packs, of which there are two here, and some lie in none.
#[test]
fn statements_come_in_the_order_of_their_names_wherever_they_lie() {
    let world = World::new();
    let alice = world.person("alice");
    let ledger = alice.create();
    for seq in 1..=30 {
        ledger.add(&[said("alice", seq, "r")], "Say", &author()).unwrap();
        if seq == 10 || seq == 20 {
            world.git(&alice.path, &["repack", "-d", "--quiet"]);
        }
    }
    let packs = std::fs::read_dir(alice.path.join(".git/objects/pack")).unwrap();
    assert_eq!(
        packs
            .filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|it| it == "idx"))
            .count(),
        2
    );
    let snapshot = Ledger::open(&alice.path).unwrap().snapshot().unwrap();
    let read: Vec<_> = statements(&snapshot)
        .into_iter()
        .map(|file| file.unwrap().digest)
        .collect();
    assert_eq!(read, snapshot.statement_names().unwrap());
    assert!(read.is_sorted() && read.len() == 30);
}

const CHILD: &str = "TOUCHSTONE_TEST_LEDGER_CHILD";

/// Not a test of its own: what the processes of the next test run.
#[test]
fn child_adds_statements() {
    let Some((path, writer)) = std::env::var(CHILD).ok().and_then(|text| {
        text.split_once(':')
            .map(|(path, writer)| (path.to_owned(), writer.to_owned()))
    }) else {
        return;
    };
    let ledger = Ledger::open(path.as_ref()).unwrap();
    for seq in 1..=15 {
        ledger.add(&[said(&writer, seq, "r")], "Say", &author()).unwrap();
    }
}

#[test]
fn processes_adding_at_the_same_time_lose_nothing() {
    let world = World::new();
    let alice = world.person("alice");
    let ledger = alice.create();
    let children: Vec<_> = (0..3)
        .map(|writer| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "local::child_adds_statements"])
                .env(CHILD, format!("{}:writer{writer}", alice.path.display()))
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(ledger.snapshot().unwrap().statement_names().unwrap().len(), 45);
}

#[test]
fn a_writer_that_is_killed_leaves_the_old_ledger_or_the_new_one() {
    let world = World::new();
    let alice = world.person("alice");
    let ledger = alice.create();
    let (mut before, mut rounds) = (0, 0_u64);
    // On a busy machine a child takes long to begin: they are given more and more time, until one has written.
    while rounds < 12 || (before == 0 && rounds < 60) {
        let delay = rounds;
        rounds += 1;
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "local::child_adds_statements"])
            .env(CHILD, format!("{}:writer{delay}", alice.path.display()))
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(5 + 7 * delay));
        child.kill().unwrap();
        child.wait().unwrap();
        let snapshot = ledger.snapshot().unwrap();
        let read = statements(&snapshot).into_iter().map(Result::unwrap).count();
        assert!(read >= before, "{read} statements of {before} are left");
        before = read;
        world.git(&alice.path, &["fsck", "--strict", "--no-dangling"]);
        // What a killed git leaves too, and what the next writer names.
        let _ = std::fs::remove_file(alice.path.join(".git/refs/heads/touchstone.lock"));
    }
    assert!(before > 0, "every child was killed before it wrote");
}

#[test]
fn a_replacement_of_the_ledgers_commit_is_not_followed() {
    let world = World::new();
    let alice = world.person("alice");
    let ledger = alice.create();
    let short = ledger.head().unwrap().to_string();
    let file = said("alice", 1, "a reject");
    let full = ledger.add(std::slice::from_ref(&file), "Say", &author()).unwrap();
    world.git(&alice.path, &["replace", &full.to_string(), &short]);
    let snapshot = Ledger::open(&alice.path).unwrap().snapshot().unwrap();
    assert!(snapshot.get(file.path()).unwrap().is_some());
}

#[test]
fn a_lock_that_a_crash_left_is_named() {
    let world = World::new();
    let alice = world.person("alice");
    let ledger = alice.create();
    std::fs::write(alice.path.join(".git/refs/heads/touchstone.lock"), "").unwrap();
    let error = ledger.add(&[said("alice", 1, "r")], "Say", &author()).unwrap_err();
    let mut chain = error.to_string();
    let mut source: Option<&dyn std::error::Error> = std::error::Error::source(&error);
    while let Some(error) = source {
        chain.push_str(&error.to_string());
        source = error.source();
    }
    assert!(
        chain.contains("touchstone.lock") || chain.contains("lockfile"),
        "{chain}"
    );
}

#[test]
fn malformed_and_foreign_files_are_listed_and_do_not_hide_the_others() {
    let world = World::new();
    let alice = world.person("alice");
    let ledger = alice.create();
    let good = said("alice", 1, "r");
    ledger
        .add(&[good.clone(), NewFile::root(&root(1, 100)).unwrap()], "Say", &author())
        .unwrap();
    alice.sync(&ledger).unwrap();
    let junk = "{}";
    let junk_name = format!("statements/{}/{}.dsse.json", &digest(junk)[..2], &digest(junk)[2..]);
    let forged_name = format!("statements/00/{}.dsse.json", "0".repeat(62));
    let forged = String::from_utf8(said("alice", 2, "r").bytes().to_vec()).unwrap();
    let signature_name = format!("signatures/{}/ab.json", digest("payload"));
    world.vandalise(
        &[
            (&junk_name, junk),
            (&forged_name, &forged),
            ("README", "hello"),
            ("attic/deep/er/file", "x"),
            ("root/2.root.json", "nonsense"),
            ("root/4.root.json", std::str::from_utf8(&root(4, 1).to_bytes()).unwrap()),
            (
                &signature_name,
                std::str::from_utf8(NewFile::signature(Sha256Digest::of("payload"), &signature("cd", "00")).bytes())
                    .unwrap(),
            ),
        ],
        &[],
    );
    alice.sync(&ledger).unwrap();
    let snapshot = ledger.snapshot().unwrap();

    let (read, wrong): (Vec<_>, Vec<_>) = statements(&snapshot).into_iter().partition(Result::is_ok);
    assert_eq!(read.len(), 1, "the good one");
    assert_eq!(read[0].as_ref().unwrap().digest, Sha256Digest::of(good.bytes()));
    let alarms = wrong.iter().filter(|problem| problem.as_ref().unwrap_err().is_alarm());
    assert_eq!(
        (wrong.len(), alarms.count()),
        (2, 1),
        "junk is a problem, another name is an alarm"
    );

    let roots = snapshot.roots().unwrap();
    assert_eq!(roots.files.len(), 1, "root 4 is beyond a gap");
    assert!(
        roots
            .problems
            .iter()
            .any(|problem| matches!(problem, Problem::RootGap { found: 4, missing: 2 }))
    );

    let signatures = snapshot.signatures(Sha256Digest::of("payload")).unwrap();
    assert!(
        signatures.files.is_empty() && signatures.problems[0].is_alarm(),
        "a signature under another key's name"
    );

    let foreign: BTreeSet<_> = snapshot
        .problems()
        .unwrap()
        .into_iter()
        .filter_map(|problem| match problem {
            Problem::Foreign { path } => Some(path),
            _ => None,
        })
        .collect();
    assert_eq!(foreign, ["README", "attic"].map(String::from).into());
}

#[test]
fn a_statement_under_another_name_is_not_found_under_it() {
    let world = World::new();
    let alice = world.person("alice");
    let ledger = alice.create();
    alice.sync(&ledger).unwrap();
    let forged = String::from_utf8(said("alice", 1, "r").bytes().to_vec()).unwrap();
    world.vandalise(
        &[(&format!("statements/00/{}.dsse.json", "0".repeat(62)), &forged)],
        &[],
    );
    alice.sync(&ledger).unwrap();
    let name = "0".repeat(64).parse().unwrap();
    let found = ledger.snapshot().unwrap().statement(name).unwrap().unwrap();
    assert!(found.unwrap_err().is_alarm());
}

#[test]
fn refuses_to_file_what_is_not_a_statement() {
    let mut envelope = statement("alice", 1, None, "r");
    envelope.payload.push(b' ');
    assert!(NewFile::statement(&envelope).is_err());
    assert!(NewFile::root(&root(0, 1)).is_err(), "version 0");
}

#[test]
fn the_newest_metadata_is_the_one_with_the_highest_version() {
    let world = World::new();
    let ledger = world.person("alice").create();
    let role: attestation::RoleName = "unstable".parse().unwrap();
    let files: Vec<_> = [9, 10]
        .map(|version| NewFile::metadata(role.clone(), &targets(version, "unstable")).unwrap())
        .into();
    ledger.add(&files, "Release", &author()).unwrap();
    let snapshot = ledger.snapshot().unwrap();
    let newest = snapshot.newest_metadata(&role).unwrap().unwrap().unwrap();
    assert_eq!(newest.version, NonZeroU64::new(10).unwrap());
    let versions: Vec<_> = snapshot
        .metadata()
        .unwrap()
        .files
        .iter()
        .map(|file| file.version.get())
        .collect();
    assert_eq!(versions, [9, 10]);
    assert!(snapshot.newest_metadata(&"stable".parse().unwrap()).unwrap().is_none());
    let other = NewFile::metadata("stable".parse().unwrap(), &targets(1, "unstable"));
    assert!(other.is_err(), "one channel's targets under another's name");
}

fn digest(text: &str) -> String {
    Sha256Digest::of(text).to_string()
}
