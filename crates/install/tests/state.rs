//! The state directory: who may use it, and what it keeps.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::{fs, path::Path};

use attestation::{Seconds, Time, chain::Release};
use install::{
    Action, Floor, Floors, Generation, InstallError, Limits, LockError, LockedState, MetadataFiles, State, StateError,
    SubscribeError, Subscription, verify,
};
use policy::Current;
use tempfile::TempDir;
use testkit::{ChannelTarball, TestChain};

fn now() -> Time {
    Time::from_unix(1_795_300_000)
}

fn state() -> (TempDir, State) {
    let directory = tempfile::tempdir().unwrap();
    let state = State::create(directory.path()).unwrap();
    (directory, state)
}

fn lock(directory: &TempDir) -> LockedState {
    State::open(directory.path()).unwrap().lock("a test", now()).unwrap()
}

fn subscription(chain: &TestChain, channel: &str) -> Subscription {
    Subscription {
        chain: chain.id(),
        channel: channel.parse().unwrap(),
        urls: vec!["https://mirror.example/".parse().unwrap()],
        floor: Floor { root: 1, release: 1 },
        redirects: Vec::new(),
    }
}

/// Releases `text`, and gives what a subscriber learns of it.
fn release(chain: &mut TestChain, text: &str) -> (ChannelTarball, Current<Release>, MetadataFiles) {
    let tarball = ChannelTarball::new(&[("default.nix", text)]);
    chain.release_tarball("unstable", &tarball);
    let current = chain
        .visit("unstable")
        .unwrap()
        .current_release(&"unstable".parse().unwrap())
        .unwrap();
    let file = |path: String| chain.files[&path].clone();
    let sequence = current.verified().get().sequence;
    let metadata = MetadataFiles {
        roots: vec![file("metadata/1.root.json".to_owned())],
        keyring: file("metadata/keyring.pgp".to_owned()),
        timestamp: Some(file("metadata/timestamp.json".to_owned())),
        snapshot: chain
            .files
            .iter()
            .filter(|(path, _)| path.ends_with(".snapshot.json"))
            .map(|(_, bytes)| bytes.clone())
            .next_back(),
        targets: Some(file("metadata/1.targets.json".to_owned())),
        channel: Some(file(format!("metadata/{sequence}.unstable.json"))),
        violations: None,
    };
    (tarball, current, metadata)
}

fn install(locked: &LockedState, chain: &mut TestChain, text: &str) -> Generation {
    let (tarball, release, metadata) = release(chain, text);
    let unpacked = locked.unpack(tarball.bytes.as_slice(), Limits::default()).unwrap();
    locked
        .commit(unpacked.check(&release).unwrap(), &metadata, now())
        .unwrap()
}

fn numbers(generations: &[Generation]) -> Vec<u64> {
    generations.iter().map(|generation| generation.number().get()).collect()
}

#[test]
fn refuses_a_second_writer_and_says_who_the_first_is() {
    let (directory, state) = state();
    let held = state.clone().lock("touchstone update", now()).unwrap();
    let error = state.clone().lock("touchstone rollback", now()).unwrap_err();
    match error {
        LockError::Held { holder, .. } => {
            let process = std::process::id();
            assert_eq!(holder, format!("touchstone update, process {process}, since {}", now()));
        }
        other => panic!("{other:?}"),
    }
    drop(held);
    state.lock("touchstone rollback", now()).unwrap();
    drop(directory);
}

#[test]
fn refuses_state_of_a_newer_version() {
    let (directory, _state) = state();
    fs::write(directory.path().join("format"), "touchstone-state 3\n").unwrap();
    let error = State::open(directory.path()).unwrap_err();
    assert!(
        matches!(
            error,
            StateError::Newer {
                expected: 2,
                found: 3,
                ..
            }
        ),
        "{error:?}"
    );
    let error = State::create(directory.path()).unwrap_err();
    assert!(matches!(error, StateError::Newer { .. }), "{error:?}");
}

/// What touchstone 0.1 wrote before state format 2.
#[test]
fn brings_state_of_format_1_along() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/state-1");
    let copied = std::process::Command::new("cp")
        .arg("-rT")
        .args([&fixture, directory.path()])
        .status();
    assert!(copied.unwrap().success());
    let state = State::open(directory.path()).unwrap();
    let before = state.subscription().unwrap();
    assert_eq!(
        (before.floor.root, before.floor.release, before.redirects.len()),
        (3, 120, 0)
    );
    let format = || fs::read_to_string(directory.path().join("format")).unwrap();
    assert_eq!(format(), "touchstone-state 1\n", "reading changes nothing");
    let locked = lock(&directory);
    assert_eq!(format(), "touchstone-state 2\n");
    assert_eq!(locked.subscription().unwrap(), before);
    let text = fs::read_to_string(directory.path().join("subscription.json")).unwrap();
    assert!(text.contains("\"redirects\": []"), "{text}");
    assert_eq!(
        locked.floors(before.chain).unwrap().release(&before.channel),
        121,
        "floors are kept"
    );
    assert_eq!(locked.history().unwrap().len(), 1);
    // Numbers go on where they were.
    drop(locked);
    assert_eq!(State::open(directory.path()).unwrap().subscription().unwrap(), before);
}

#[test]
fn refuses_a_format_file_that_is_none() {
    let (directory, _state) = state();
    for text in ["", "1", "touchstone-state x", "touchstone-state -1\n"] {
        fs::write(directory.path().join("format"), text).unwrap();
        let error = State::open(directory.path()).unwrap_err();
        assert!(matches!(error, StateError::Format { .. }), "{text:?}: {error:?}");
    }
}

/// A gate may have been switched on before anything was subscribed.
#[test]
fn a_directory_in_which_only_a_gate_is_becomes_a_state() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("gate")).unwrap();
    let absent = State::open(directory.path());
    assert!(matches!(absent, Err(StateError::Absent { .. })), "{absent:?}");
    State::create(directory.path()).unwrap();
    State::open(directory.path()).unwrap();
}

#[test]
fn refuses_a_directory_of_something_else() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("thesis.tex"), "years of work").unwrap();
    for result in [State::create(directory.path()), State::open(directory.path())] {
        assert!(matches!(result, Err(StateError::Foreign { .. })), "{result:?}");
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn finishes_a_state_directory_that_was_never_finished() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("tmp")).unwrap();
    assert!(matches!(State::open(directory.path()), Err(StateError::Absent { .. })));
    State::create(directory.path()).unwrap();
    State::open(directory.path()).unwrap();
}

#[test]
fn another_subscription_needs_a_word_and_forgets_nothing() {
    let (directory, state) = state();
    let (chain, other) = (TestChain::new(now()), TestChain::new(now().plus(Seconds(9))));
    assert!(matches!(state.subscription(), Err(StateError::NotSubscribed)));
    let locked = lock(&directory);
    let first = subscription(&chain, "unstable");
    locked.subscribe(&first, false).unwrap();
    let floors = Floors::none().raised(3, now(), &first.channel, 7);
    locked.keep_floors(chain.id(), &floors).unwrap();
    for second in [subscription(&other, "unstable"), subscription(&chain, "stable")] {
        let error = locked.subscribe(&second, false).unwrap_err();
        assert!(matches!(error, SubscribeError::Other { .. }), "{error:?}");
        locked.subscribe(&second, true).unwrap();
        assert_eq!(locked.subscription().unwrap(), second);
        locked.subscribe(&first, true).unwrap();
    }
    assert_eq!(locked.floors(chain.id()).unwrap(), floors);
    assert_eq!(locked.floors(other.id()).unwrap(), Floors::none());
    // A new mirror is no other channel.
    let mut moved = first;
    moved.urls = vec!["file:///mnt/stick".parse().unwrap()];
    locked.subscribe(&moved, false).unwrap();
}

#[test]
fn says_which_file_is_damaged() {
    let (directory, state) = state();
    let file = directory.path().join("subscription.json");
    for text in ["", "{", r#"{"chain":1}"#, r#"{"unknown":true}"#] {
        fs::write(&file, text).unwrap();
        let error = state.subscription().unwrap_err();
        assert!(
            matches!(&error, StateError::Malformed { path, .. } if *path == file),
            "{error:?}"
        );
    }
}

#[test]
fn generations_count_up_and_their_numbers_are_never_used_again() {
    let (directory, state) = state();
    let mut chain = TestChain::new(now());
    let locked = lock(&directory);
    assert_eq!(state.current().unwrap(), None);
    for text in ["1", "2", "3", "4"] {
        install(&locked, &mut chain, text);
    }
    let current = state.current().unwrap().unwrap();
    assert_eq!(current.number().get(), 4);
    let drop_in = directory.path().join("current/nixexprs/nixpkgs/default.nix");
    assert_eq!(fs::read_to_string(drop_in).unwrap(), "4");

    // Back to 2; 4 is the newest then, but neither it nor the current one goes.
    let second = state.generations().unwrap().remove(1);
    locked.make_current(&second, Action::Rollback, 2, now()).unwrap();
    let removed = locked.remove_old(1, now()).unwrap();
    assert_eq!(removed.iter().map(|number| number.get()).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(numbers(&state.generations().unwrap()), [2, 4]);
    fs::remove_dir_all(directory.path().join("generations/4")).unwrap();
    assert_eq!(install(&locked, &mut chain, "5").number().get(), 5);

    let actions: Vec<_> = state
        .history()
        .unwrap()
        .iter()
        .map(|event| (event.action, event.to.get()))
        .collect();
    let expected = [
        (Action::Install, 1),
        (Action::Install, 2),
        (Action::Install, 3),
        (Action::Install, 4),
        (Action::Rollback, 2),
        (Action::Remove, 1),
        (Action::Remove, 3),
        (Action::Install, 5),
    ];
    assert_eq!(actions, expected);
}

#[test]
fn a_torn_line_of_the_history_loses_no_other() {
    let (directory, state) = state();
    let mut chain = TestChain::new(now());
    let locked = lock(&directory);
    install(&locked, &mut chain, "1");
    let file = directory.path().join("history.jsonl");
    let mut text = fs::read_to_string(&file).unwrap();
    text.push_str("{\"time\":\"2026-11");
    fs::write(&file, text).unwrap();
    install(&locked, &mut chain, "2");
    assert_eq!(state.history().unwrap().len(), 2);
}

#[test]
fn what_a_killed_run_left_is_cleared_by_the_next() {
    let (directory, state) = state();
    let left = directory.path().join("tmp/half/nixexprs");
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("default.nix"), "half").unwrap();
    state.lock("a test", now()).unwrap();
    assert!(is_empty(&directory.path().join("tmp")));
}

#[test]
fn a_generation_is_verified_from_its_own_files_alone() {
    let (directory, state) = state();
    let mut chain = TestChain::new(now());
    let generation = install(&lock(&directory), &mut chain, "1");
    let channel = "unstable".parse().unwrap();
    let check = |chain: &TestChain| verify::release(&generation, chain.id(), &channel, &[], now());
    verify::tree(&generation, &check(&chain).unwrap()).unwrap();
    let record = generation.record().unwrap();
    assert_eq!(record.release, *check(&chain).unwrap().get());
    assert_eq!(record.signed_by.len(), 2);

    let error = check(&TestChain::new(now().plus(Seconds(9)))).unwrap_err();
    assert!(matches!(error, verify::VerifyError::Trust(_)), "{error:?}");
    let other = verify::release(&generation, chain.id(), &"stable".parse().unwrap(), &[], now()).unwrap_err();
    assert!(
        matches!(
            other,
            verify::VerifyError::Incomplete { .. } | verify::VerifyError::Trust(_)
        ),
        "{other:?}"
    );
    for file in [
        "roots/1.root.json",
        "timestamp.json",
        "snapshot.json",
        "targets.json",
        "channels/unstable.json",
    ] {
        let file = state.path().join("generations/1/metadata").join(file);
        let honest = fs::read(&file).unwrap();
        let mut bent = honest.clone();
        bent[honest.len() / 2] ^= 1;
        fs::write(&file, bent).unwrap();
        assert!(check(&chain).is_err(), "{} was bent and accepted", file.display());
        fs::write(&file, honest).unwrap();
    }
    check(&chain).unwrap();
}

#[test]
fn refuses_a_tree_that_is_not_the_signed_one() {
    let (directory, state) = state();
    let mut chain = TestChain::new(now());
    let (tarball, honest, _) = release(&mut chain, "signed");
    let locked = lock(&directory);
    let other = ChannelTarball::new(&[("default.nix", "shipped")]);
    let unpacked = locked.unpack(other.bytes.as_slice(), Limits::default()).unwrap();
    let error = unpacked.check(&honest).unwrap_err();
    assert!(matches!(error, InstallError::OtherTree { .. }), "{error:?}");
    assert!(is_empty(&state.path().join("tmp")), "what was refused is still there");
    locked
        .unpack(tarball.bytes.as_slice(), Limits::default())
        .unwrap()
        .check(&honest)
        .unwrap();
}

fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).unwrap().next().is_none()
}
