//! Several clones of one bare repository: merging, and a remote that misbehaves.

use crate::common::{World, author, origin, root, said, signature};
use attestation::Sha256Digest;
use ledger::{JoinError, Ledger, LedgerPath, MergeError, NewFile, Remote, Resolutions, Side, SyncError, Way, git::Git};

#[test]
fn three_clones_exchange_through_a_bare_repository() {
    let world = World::new();
    let (alice, bob, carol) = (world.person("alice"), world.person("bob"), world.person("carol"));
    let of_alice = alice.create();
    of_alice.add(&[said("alice", 1, "r")], "Say", &author()).unwrap();
    assert!(alice.sync(&of_alice).unwrap().pushed, "the first push makes the branch");
    let (of_bob, of_carol) = (bob.join(), carol.join());

    of_alice.add(&[said("alice", 2, "r")], "Say", &author()).unwrap();
    of_bob.add(&[said("bob", 1, "r")], "Say", &author()).unwrap();
    of_carol.add(&[said("carol", 1, "r")], "Say", &author()).unwrap();
    for _ in 0..2 {
        alice.sync(&of_alice).unwrap();
        bob.sync(&of_bob).unwrap();
        carol.sync(&of_carol).unwrap();
    }
    alice.sync(&of_alice).unwrap();
    let heads = [&of_alice, &of_bob, &of_carol].map(|ledger| ledger.head().unwrap());
    assert_eq!(heads, [heads[0]; 3], "two rounds bring everybody to one commit");
    assert_eq!(of_bob.snapshot().unwrap().statement_names().unwrap().len(), 4);
    let again = alice.sync(&of_alice).unwrap();
    assert!(!again.pushed && again.gained.is_empty());
    world.git(&world.shared(), &["fsck", "--strict"]);
}

#[test]
fn ledgers_that_began_apart_merge() {
    let world = World::new();
    let (alice, bob) = (world.person("alice"), world.person("bob"));
    let (of_alice, of_bob) = (alice.create(), bob.create());
    of_bob.add(&[said("bob", 1, "r")], "Say", &author()).unwrap();
    of_alice.add(&[said("alice", 1, "r")], "Say", &author()).unwrap();
    alice.sync(&of_alice).unwrap();
    let synced = bob.sync(&of_bob).unwrap();
    assert_eq!(synced.gained, [said("alice", 1, "r").path().clone()]);
    assert_eq!(of_bob.snapshot().unwrap().statement_names().unwrap().len(), 2);
}

#[test]
fn pushing_at_the_same_time_loses_nothing() {
    let world = World::new();
    let people: Vec<_> = ["alice", "bob", "carol"].map(|name| world.person(name)).into();
    let of_alice = people[0].create();
    people[0].sync(&of_alice).unwrap();
    let ledgers: Vec<_> = people.iter().map(crate::common::Person::join).collect();
    std::thread::scope(|scope| {
        for (number, (person, ledger)) in people.iter().zip(ledgers).enumerate() {
            scope.spawn(move || {
                for seq in 1..=4 {
                    ledger
                        .add(&[said(&format!("p{number}"), seq, "r")], "Say", &author())
                        .unwrap();
                    person.sync(&ledger).unwrap();
                }
            });
        }
    });
    people[0].sync(&of_alice).unwrap();
    assert_eq!(of_alice.snapshot().unwrap().statement_names().unwrap().len(), 12);
}

#[test]
fn two_roots_of_one_version_are_an_alarm_and_nothing_moves() {
    let world = World::new();
    let (alice, bob) = (world.person("alice"), world.person("bob"));
    let of_alice = alice.create();
    let begin = [NewFile::root(&root(1, 100)).unwrap()];
    of_alice.add(&begin, "Begin", &author()).unwrap();
    alice.sync(&of_alice).unwrap();
    let of_bob = bob.join();
    of_alice
        .add(&[NewFile::root(&root(2, 200)).unwrap()], "Rotate", &author())
        .unwrap();
    alice.sync(&of_alice).unwrap();
    of_bob
        .add(&[NewFile::root(&root(2, 201)).unwrap()], "Rotate", &author())
        .unwrap();
    let head = of_bob.head().unwrap();

    let error = bob.sync(&of_bob).unwrap_err();
    let SyncError::Merge { source, .. } = &error else {
        panic!("{error:?}");
    };
    let MergeError::Conflicts { conflicts } = source else {
        panic!("{source:?}");
    };
    assert!(source.is_alarm());
    assert_eq!(conflicts[0].path.to_string(), "root/2.root.json");
    assert_ne!(conflicts[0].ours, conflicts[0].theirs);
    assert_eq!(of_bob.head().unwrap(), head);

    // Somebody who can verify both decides, and everybody agrees from then on.
    let theirs = Resolutions::from([(conflicts[0].path.clone(), Side::Theirs)]);
    of_bob.sync(&world.process(), &origin(), &author(), &theirs).unwrap();
    alice.sync(&of_alice).unwrap();
    assert_eq!(of_bob.head().unwrap(), of_alice.head().unwrap());
    let second = &of_bob.snapshot().unwrap().roots().unwrap().files[1];
    assert_eq!(second.root.claimed(), &root(2, 200));
}

#[test]
fn the_first_root_never_gives_way() {
    let world = World::new();
    let (alice, bob) = (world.person("alice"), world.person("bob"));
    let (of_alice, of_bob) = (alice.create(), bob.create());
    of_alice
        .add(&[NewFile::root(&root(1, 100)).unwrap()], "Begin", &author())
        .unwrap();
    of_bob
        .add(&[NewFile::root(&root(1, 101)).unwrap()], "Begin", &author())
        .unwrap();
    alice.sync(&of_alice).unwrap();
    for side in [Side::Ours, Side::Theirs] {
        let resolutions = Resolutions::from([("root/1.root.json".parse().unwrap(), side)]);
        let error = of_bob
            .sync(&world.process(), &origin(), &author(), &resolutions)
            .unwrap_err();
        assert!(
            matches!(&error, SyncError::Merge { source, .. } if source.is_alarm()),
            "{error:?}"
        );
    }
}

#[test]
fn two_signatures_of_one_key_on_one_payload_are_a_conflict_that_names_both() {
    let world = World::new();
    let (alice, bob) = (world.person("alice"), world.person("bob"));
    let of_alice = alice.create();
    alice.sync(&of_alice).unwrap();
    let of_bob = bob.join();
    let payload = Sha256Digest::of("payload");
    for (person, ledger, sig) in [(&alice, &of_alice, "00"), (&bob, &of_bob, "01")] {
        ledger
            .add(&[NewFile::signature(payload, &signature("ab", sig))], "Sign", &author())
            .unwrap();
        let synced = person.sync(ledger);
        assert_eq!(synced.is_err(), sig == "01");
        if let Err(error) = synced {
            let SyncError::Merge { source, .. } = &error else {
                panic!("{error:?}");
            };
            assert!(!source.is_alarm(), "signing twice is no attack");
        }
    }
}

#[test]
fn a_file_that_was_removed_there_is_kept_here_and_comes_back() {
    let world = World::new();
    let (alice, bob) = (world.person("alice"), world.person("bob"));
    let of_alice = alice.create();
    let file = said("alice", 1, "a reject");
    of_alice.add(std::slice::from_ref(&file), "Say", &author()).unwrap();
    alice.sync(&of_alice).unwrap();
    world.vandalise(&[], &[&file.path().to_string()]);

    let synced = alice.sync(&of_alice).unwrap();
    assert_eq!(synced.removed_there, [file.path().clone()]);
    assert_eq!(synced.rewritten_from, None);
    let of_bob = bob.join();
    assert!(of_bob.snapshot().unwrap().get(file.path()).unwrap().is_some());
}

#[test]
fn a_file_that_was_altered_there_is_a_conflict() {
    let world = World::new();
    let alice = world.person("alice");
    let ledger = alice.create();
    let file = said("alice", 1, "a reject");
    ledger.add(std::slice::from_ref(&file), "Say", &author()).unwrap();
    alice.sync(&ledger).unwrap();
    world.vandalise(&[(&file.path().to_string(), "{}")], &[]);
    let error = alice.sync(&ledger).unwrap_err();
    assert!(matches!(error, SyncError::Merge { .. }), "{error:?}");
    assert_eq!(
        ledger.snapshot().unwrap().get(file.path()).unwrap().unwrap(),
        file.bytes()
    );
}

#[test]
fn a_branch_that_was_cut_short_takes_nothing_away() {
    let world = World::new();
    let (alice, bob) = (world.person("alice"), world.person("bob"));
    let of_alice = alice.create();
    alice.sync(&of_alice).unwrap();
    let short = of_alice.head().unwrap().to_string();
    let file = said("alice", 1, "r");
    of_alice.add(std::slice::from_ref(&file), "Say", &author()).unwrap();
    alice.sync(&of_alice).unwrap();
    let full = of_alice.head().unwrap();

    world.git(&world.shared(), &["update-ref", "refs/heads/touchstone", &short]);
    let synced = alice.sync(&of_alice).unwrap();
    assert_eq!(synced.rewritten_from, Some(full), "the rewriting is told");
    assert_eq!(synced.head, full);
    assert!(synced.pushed, "what was cut off is restored");
    assert!(bob.join().snapshot().unwrap().get(file.path()).unwrap().is_some());
}

#[test]
fn a_branch_that_was_replaced_by_another_history_takes_nothing_away() {
    let world = World::new();
    let (alice, mallory) = (world.person("alice"), world.person("mallory"));
    let of_alice = alice.create();
    let file = said("alice", 1, "r");
    of_alice.add(std::slice::from_ref(&file), "Say", &author()).unwrap();
    alice.sync(&of_alice).unwrap();
    let full = of_alice.head().unwrap();
    let of_mallory = mallory.create();
    of_mallory.add(&[said("mallory", 1, "r")], "Say", &author()).unwrap();
    world.git(&mallory.path, &["push", "--quiet", "--force", "origin", "touchstone"]);

    let synced = alice.sync(&of_alice).unwrap();
    assert_eq!(synced.rewritten_from, Some(full));
    assert_eq!(of_alice.snapshot().unwrap().statement_names().unwrap().len(), 2);
}

#[test]
fn a_directory_in_the_place_of_a_file_does_not_displace_it() {
    let world = World::new();
    let alice = world.person("alice");
    let ledger = alice.create();
    let file = NewFile::root(&root(1, 100)).unwrap();
    let statement = said("alice", 1, "r");
    ledger
        .add(&[file.clone(), statement.clone()], "Begin", &author())
        .unwrap();
    alice.sync(&ledger).unwrap();
    world.vandalise(&[], &["root/1.root.json", "statements"]);
    world.vandalise(&[("root/1.root.json/x", "x"), ("statements", "x")], &[]);
    alice.sync(&ledger).unwrap();
    let snapshot = ledger.snapshot().unwrap();
    assert_eq!(snapshot.get(file.path()).unwrap().unwrap(), file.bytes());
    assert_eq!(snapshot.get(statement.path()).unwrap().unwrap(), statement.bytes());
    assert!(snapshot.problems().unwrap().is_empty());
}

#[test]
fn foreign_files_that_differ_settle() {
    let world = World::new();
    let (alice, bob) = (world.person("alice"), world.person("bob"));
    let of_alice = alice.create();
    alice.sync(&of_alice).unwrap();
    world.vandalise(&[("README", "one"), ("attic/a", "1")], &[]);
    alice.sync(&of_alice).unwrap();
    let of_bob = bob.join();
    for (number, text) in ["two", "three", "four"].into_iter().enumerate() {
        world.vandalise(&[("README", text), (&format!("attic/{number}"), text)], &[]);
        bob.sync(&of_bob).unwrap();
        alice.sync(&of_alice).unwrap();
    }
    bob.sync(&of_bob).unwrap();
    assert_eq!(of_alice.head().unwrap(), of_bob.head().unwrap());
    let files = world.git(&alice.path, &["ls-tree", "-r", "--name-only", "touchstone"]);
    assert_eq!(
        files, "README\nattic/0\nattic/1\nattic/2\nattic/a",
        "nothing is removed"
    );
    assert!(!alice.sync(&of_alice).unwrap().pushed, "the clones agree");
}

#[test]
fn merging_an_ancestor_is_nothing_and_a_descendant_moves_the_branch() {
    let world = World::new();
    let alice = world.person("alice");
    let ledger = alice.create();
    let first = ledger.head().unwrap();
    let second = ledger.add(&[said("alice", 1, "r")], "Say", &author()).unwrap();
    let none = Resolutions::new();
    let merged = ledger.merge(first, "Merge", &author(), &none).unwrap();
    assert_eq!((merged.way, merged.head), (Way::NothingNew, second));
    world.git(
        &alice.path,
        &["update-ref", "refs/heads/touchstone", &first.to_string()],
    );
    let merged = ledger.merge(second, "Merge", &author(), &none).unwrap();
    assert_eq!((merged.way, merged.head), (Way::FastForward, second));
    assert_eq!(merged.gained.len(), 1);
}

#[test]
fn pulling_does_not_push() {
    let world = World::new();
    let alice = world.person("alice");
    let ledger = alice.create();
    alice.sync(&ledger).unwrap();
    let there = world.git(&world.shared(), &["rev-parse", "touchstone"]);
    ledger.add(&[said("alice", 1, "r")], "Say", &author()).unwrap();
    let pulled = ledger
        .pull(&world.process(), &origin(), &author(), &Resolutions::new())
        .unwrap();
    assert!(!pulled.pushed);
    assert_eq!(world.git(&world.shared(), &["rev-parse", "touchstone"]), there);
}

#[test]
fn a_path_is_a_remote_too() {
    let world = World::new();
    let alice = world.person("alice");
    let ledger = alice.create();
    let remote = Remote::new(world.shared().to_str().unwrap()).unwrap();
    ledger
        .sync(&world.process(), &remote, &author(), &Resolutions::new())
        .unwrap();
    let joined = Ledger::join(&world.person("bob").path, &world.process(), &remote, &author()).unwrap();
    assert_eq!(joined.head().unwrap(), ledger.head().unwrap());
}

#[test]
fn joining_says_what_is_missing() {
    let world = World::new();
    let bob = world.person("bob");
    let error = Ledger::join(&bob.path, &world.process(), &origin(), &author()).unwrap_err();
    assert!(matches!(error, JoinError::NoLedgerThere { .. }), "{error:?}");
    // A longer name with our branch's name at its end is not our branch.
    let alice = world.person("alice");
    alice.create();
    let refspec = "touchstone:refs/attic/refs/heads/touchstone";
    world.git(&alice.path, &["push", "--quiet", "origin", refspec]);
    let error = Ledger::join(&bob.path, &world.process(), &origin(), &author()).unwrap_err();
    assert!(matches!(error, JoinError::NoLedgerThere { .. }), "{error:?}");
}

#[test]
fn a_failing_git_is_quoted() {
    let world = World::new();
    let alice = world.person("alice");
    let ledger = alice.create();
    let none = Resolutions::new();
    let nowhere = Remote::new("nowhere").unwrap();
    let error = ledger.sync(&world.process(), &nowhere, &author(), &none).unwrap_err();
    let SyncError::Git { source, .. } = &error else {
        panic!("{error:?}");
    };
    assert!(
        source
            .to_string()
            .contains("'nowhere' does not appear to be a git repository"),
        "{source}"
    );

    let empty = Git::new([("PATH".into(), "/nonexistent".into())]);
    let error = ledger.sync(&empty, &origin(), &author(), &none).unwrap_err();
    assert!(
        matches!(
            &error,
            SyncError::Git {
                source: ledger::git::GitError::Start(_),
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn a_refused_push_is_an_error_and_keeps_what_came() {
    let world = World::new();
    let (alice, bob) = (world.person("alice"), world.person("bob"));
    let of_alice = alice.create();
    alice.sync(&of_alice).unwrap();
    let of_bob = bob.join();
    of_alice.add(&[said("alice", 1, "r")], "Say", &author()).unwrap();
    alice.sync(&of_alice).unwrap();
    let hook = world.shared().join("hooks/update");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    std::fs::write(&hook, "#!/bin/sh\necho read only >&2\nexit 1\n").unwrap();
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    of_bob.add(&[said("bob", 1, "r")], "Say", &author()).unwrap();
    let error = bob.sync(&of_bob).unwrap_err();
    assert!(
        matches!(&error, SyncError::Git { source, .. } if source.to_string().contains("read only")),
        "{error:?}"
    );
    assert_eq!(of_bob.snapshot().unwrap().statement_names().unwrap().len(), 2);
}

#[test]
fn resolutions_take_the_side_they_name() {
    let world = World::new();
    let alice = world.person("alice");
    let ledger = alice.create();
    let base = ledger.head().unwrap();
    let payload = Sha256Digest::of("payload");
    let [ours, theirs] = ["00", "01"].map(|sig| NewFile::signature(payload, &signature("ab", sig)));
    let other = ledger.add(std::slice::from_ref(&theirs), "Sign", &author()).unwrap();
    world.git(&alice.path, &["update-ref", "refs/heads/touchstone", &base.to_string()]);
    let head = ledger.add(std::slice::from_ref(&ours), "Sign", &author()).unwrap();
    for (side, expected) in [(Side::Ours, &ours), (Side::Theirs, &theirs)] {
        world.git(&alice.path, &["update-ref", "refs/heads/touchstone", &head.to_string()]);
        let path: LedgerPath = expected.path().clone();
        let resolutions = Resolutions::from([(path.clone(), side)]);
        ledger.merge(other, "Merge", &author(), &resolutions).unwrap();
        assert_eq!(
            ledger.snapshot().unwrap().get(&path).unwrap().unwrap(),
            expected.bytes()
        );
    }
}
