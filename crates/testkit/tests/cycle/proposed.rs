//! What somebody with push rights, or a broken machine, can propose: a signer signs what their own clone derives, and
//! finds out before a key is used.

use attestation::{
    Sha256Digest, Time,
    chain::{Release, StatementList},
    pending::Proposal,
    statement::Import,
    tuf::TargetFile,
};
use testkit::World;

/// Release 2 is proposed. Bob's key is not at hand: using it would be another error than a refusal.
fn proposed() -> (World, String) {
    let world = World::published();
    let payload = world.propose_release();
    hide_key(&world, "bob");
    (world, payload)
}

fn hide_key(world: &World, person: &str) {
    let key = world.path(format!("keys/{person}.secret.asc"));
    std::fs::rename(&key, key.with_extension("away")).unwrap();
}

fn give_key_back(world: &World, person: &str) {
    let key = world.path(format!("keys/{person}.secret.asc"));
    std::fs::rename(key.with_extension("away"), key).unwrap();
}

/// The proposed release, with something about it changed.
fn forged(world: &World, payload: &str, edit: impl FnOnce(&mut Release)) -> Sha256Digest {
    forge(world, payload, |proposal| {
        let Proposal::Release { targets, .. } = proposal else {
            panic!("{proposal:?}")
        };
        edit(targets.mark.as_mut().unwrap().release.as_mut().unwrap());
    })
}

fn forge(world: &World, payload: &str, edit: impl FnOnce(&mut Proposal)) -> Sha256Digest {
    let mut proposal = world.proposal(payload);
    edit(&mut proposal);
    world.forge_proposal(&proposal)
}

/// Bob is asked to sign it: refused for a reason with `words`, without his key, his record or the ledger being touched.
/// Then the same for whoever signs all that is pending.
fn is_refused(world: &World, forged: Sha256Digest, words: &str) {
    world
        .assay("bob", &["sign", "--yes", "--only", &forged.to_string()])
        .refused(words);
    let marker = format!("signatures/{forged}/");
    assert!(
        world.ledger_files().iter().all(|path| !path.starts_with(&marker)),
        "{marker} is in the ledger"
    );
    assert!(
        !grep(world, "records", &forged.to_string()),
        "{forged} was recorded as signed"
    );
}

fn grep(world: &World, directory: &str, needle: &str) -> bool {
    let mut grep = std::process::Command::new("grep");
    let status = grep.args(["-rq", needle]).arg(world.path(directory)).status().unwrap();
    status.success()
}

#[test]
fn signs_the_honest_proposal_and_uses_the_key_only_then() {
    let (world, payload) = proposed();
    // The twin of every refusal here: nothing is refused, so the key is looked for.
    world
        .assay("bob", &["sign", "--yes", "--only", &payload])
        .failed(3, "bob.secret.asc");
    give_key_back(&world, "bob");
    let json = world.assay("bob", &["sign", "--yes"]).ok();
    assert_eq!(json["signed"][0]["payload"], payload);
}

#[test]
fn refuses_a_nar_hash_that_git_does_not_give() {
    let (world, payload) = proposed();
    let tree = forged(&world, &payload, |release| {
        release.tree_nar = Sha256Digest::of("something else");
    });
    is_refused(&world, tree, "tree-nar: the proposal says");
    let channel = forged(&world, &payload, |release| {
        release.channel_nar = Sha256Digest::of("something else");
    });
    is_refused(&world, channel, "channel-nar: the proposal says");
}

#[test]
fn one_false_proposal_stops_the_signing_of_everything() {
    let (world, payload) = proposed();
    give_key_back(&world, "bob");
    // A higher version, so that it is what would be signed.
    forge(&world, &payload, |proposal| {
        let Proposal::Release { targets, .. } = proposal else {
            panic!("{proposal:?}")
        };
        targets.version += 1;
        targets.mark.as_mut().unwrap().release.as_mut().unwrap().tree_nar = Sha256Digest::of("something else");
    });
    world
        .assay("bob", &["sign", "--yes"])
        .refused("tree-nar: the proposal says");
    assert!(
        world
            .ledger_files()
            .iter()
            .all(|path| !path.starts_with(&format!("signatures/{payload}/")))
    );
    world.assay("bob", &["sign", "--yes", "--only", &payload]).ok();
}

#[test]
fn refuses_another_tree() {
    let (world, payload) = proposed();
    let other = world.git("upstream", &["rev-parse", "HEAD~1^{tree}"]);
    let forged = forged(&world, &payload, |release| release.tree = other.trim().parse().unwrap());
    is_refused(&world, forged, "tree: the proposal says");
}

#[test]
fn refuses_a_release_that_would_stay_current_until_2099() {
    let (world, payload) = proposed();
    let forged = forge(&world, &payload, |proposal| {
        let Proposal::Release { targets, .. } = proposal else {
            panic!("{proposal:?}")
        };
        targets.expires = Time::from_unix(4_070_908_800);
    });
    is_refused(&world, forged, "expires: the proposal says 2099-01-01T00:00:00Z");
}

#[test]
fn refuses_another_tarball() {
    let (world, payload) = proposed();
    let forged = forge(&world, &payload, |proposal| {
        let Proposal::Release { targets, .. } = proposal else {
            panic!("{proposal:?}")
        };
        let name = "unstable/nixexprs.tar.xz".to_owned();
        targets
            .targets
            .insert(name, TargetFile::new(4, Sha256Digest::of("evil")));
    });
    is_refused(&world, forged, "unstable/nixexprs.tar.xz: the proposal says");
}

#[test]
fn refuses_a_file_that_the_release_does_not_have() {
    let (world, payload) = proposed();
    let forged = forge(&world, &payload, |proposal| {
        let Proposal::Release { targets, .. } = proposal else {
            panic!("{proposal:?}")
        };
        let name = "unstable/packages.json".to_owned();
        targets
            .targets
            .insert(name, TargetFile::new(4, Sha256Digest::of("evil")));
    });
    is_refused(&world, forged, "members that this clone does not derive");
}

#[test]
fn refuses_a_commit_that_upstream_does_not_have() {
    let (world, payload) = proposed();
    // One that bob's clone has, from the fork, and one that nobody has.
    world.git("alice", &["checkout", "--quiet", "-b", "evil", "origin/nixos-unstable"]);
    world.git("alice", &["commit", "--quiet", "--allow-empty", "--message", "evil"]);
    world.git("alice", &["push", "--quiet", "origin", "evil"]);
    world.git("bob", &["fetch", "--quiet", "origin"]);
    let evil = world.git("alice", &["rev-parse", "HEAD"]);
    for commit in [evil.trim(), "0123456789012345678901234567890123456789"] {
        let forged = forged(&world, &payload, |release| release.commit = commit.parse().unwrap());
        is_refused(&world, forged, "is not on upstream's branch");
    }
}

#[test]
fn refuses_a_release_of_what_nobody_reviewed() {
    let (world, payload) = proposed();
    // A later commit of upstream, for which there is no import at all.
    world.upstream_bump();
    let tip = world.git("upstream", &["rev-parse", "HEAD"]);
    let forged = forged(&world, &payload, |release| release.commit = tip.trim().parse().unwrap());
    is_refused(&world, forged, "no import into unstable follows its last release");
}

#[test]
fn refuses_a_release_that_follows_another_one() {
    let (world, payload) = proposed();
    let forged = forged(&world, &payload, |release| {
        release.previous = Some(Sha256Digest::of("another"));
    });
    is_refused(
        &world,
        forged,
        "the release follows another one than the last that this clone has",
    );
}

#[test]
fn refuses_a_release_whose_list_omits_or_invents_a_statement() {
    let (world, payload) = proposed();
    let Proposal::Release { statements, .. } = world.proposal(&payload) else {
        panic!("a release")
    };
    for id in &statements {
        let mut without = statements.clone();
        without.remove(id);
        let forged = with_statements(&world, &payload, without);
        world
            .assay("bob", &["sign", "--yes", "--only", &forged.to_string()])
            .refused("");
    }
    let mut with_another = statements;
    with_another.insert(Sha256Digest::of("never said").to_string().parse().unwrap());
    let forged = with_statements(&world, &payload, with_another);
    is_refused(&world, forged, "which this clone lacks or which does not count");
}

type Ids = std::collections::BTreeSet<attestation::StatementId>;

fn with_statements(world: &World, payload: &str, ids: Ids) -> Sha256Digest {
    forge(world, payload, |proposal| {
        let Proposal::Release { targets, statements } = proposal else {
            panic!("{proposal:?}")
        };
        let release = targets.mark.as_mut().unwrap().release.as_mut().unwrap();
        release.statements = StatementList::of(&ids);
        *statements = ids;
    })
}

#[test]
fn refuses_a_release_without_the_reject_that_the_signer_holds() {
    let (world, payload) = proposed();
    // Everything was approved when it was proposed; now carol rejects.
    let hello = "pkgs/by-name/he/hello";
    let reject = [
        "review",
        "--channel",
        "unstable",
        "--reject",
        hello,
        "--note",
        "a trojan",
        "--yes",
    ];
    let id = world.assay("carol", &reject).ok()["statement"]
        .as_str()
        .unwrap()
        .to_owned();
    world
        .assay("bob", &["sign", "--yes", "--only", &payload])
        .refused(hello);
    world
        .assay("alice", &["release", "--channel", "unstable"])
        .refused(hello);
    // Listing it does not help.
    let Proposal::Release { mut statements, .. } = world.proposal(&payload) else {
        panic!("a release")
    };
    statements.insert(id.parse().unwrap());
    let listing = with_statements(&world, &payload, statements);
    is_refused(&world, listing, hello);
    // Its author alone takes it back.
    let others = [
        "review",
        "--channel",
        "unstable",
        "--approve",
        hello,
        "--supersedes",
        &id,
        "--yes",
    ];
    // Whether or not alice may say so, it lifts nothing of carol's.
    world.assay("alice", &others);
    world
        .assay("alice", &["release", "--channel", "unstable"])
        .refused(hello);
    world.assay("carol", &others).ok();
    let anew = world.release();
    give_key_back(&world, "bob");
    for person in ["bob", "carol"] {
        world.assay(person, &["sign", "--yes", "--only", &anew]).ok();
    }
    world.publish();
    world.subscribe();
    world.update_installs(2);
}

type Edit<T> = fn(&mut T);

#[test]
fn refuses_a_false_import() {
    let world = World::published();
    world.upstream_bump();
    let payload = world.assay("alice", &["import", "--channel", "unstable"]).ok()["proposal"]
        .as_str()
        .unwrap()
        .to_owned();
    hide_key(&world, "bob");
    let edits: [(&str, Edit<Import>); 6] = [
        ("tree-nar: the proposal says", |import| {
            import.tree_nar = Sha256Digest::of("another");
        }),
        ("deltas: the proposal says", |import| {
            import.deltas = Sha256Digest::of("another");
        }),
        ("delta-count: the proposal says", |import| import.delta_count += 1),
        ("upstream, branch or partition", |import| {
            import.upstream = "https://evil.example/nixpkgs".to_owned();
        }),
        ("is not on upstream's branch", |import| {
            import.to = "0123456789012345678901234567890123456789".parse().unwrap();
        }),
        ("to-tree: the proposal says", |import| {
            import.to_tree = "0123456789012345678901234567890123456789".parse().unwrap();
        }),
    ];
    for (words, edit) in edits {
        let forged = forge(&world, &payload, |proposal| {
            let Proposal::Import(import) = proposal else {
                panic!("{proposal:?}")
            };
            edit(import);
        });
        world
            .assay("bob", &["sign", "--yes", "--only", &forged.to_string()])
            .refused(words);
    }
    world
        .assay("bob", &["sign", "--yes", "--only", &payload])
        .failed(3, "bob.secret.asc");
}

#[test]
fn refuses_a_false_first_tree() {
    let world = World::with_chain();
    let base = world.git("upstream", &["rev-parse", "HEAD"]);
    let import = ["import", "--channel", "unstable", "--baseline", base.trim()];
    let payload = world.assay("alice", &import).ok()["proposal"]
        .as_str()
        .unwrap()
        .to_owned();
    hide_key(&world, "bob");
    let forged = forge(&world, &payload, |proposal| {
        let Proposal::Exemption(exemption) = proposal else {
            panic!("{proposal:?}")
        };
        exemption.tree_nar = Sha256Digest::of("another");
    });
    world
        .assay("bob", &["sign", "--yes", "--only", &forged.to_string()])
        .refused("tree-nar: the proposal says");
    world
        .assay("bob", &["sign", "--yes", "--only", &payload])
        .failed(3, "bob.secret.asc");
}

#[test]
fn refuses_a_root_whose_policy_and_keys_disagree_or_that_lasts_too_long() {
    let world = World::with_chain();
    std::fs::write(world.path("next.toml"), world.policy(&testkit::world::PEOPLE)).unwrap();
    let payload = world.assay("alice", &["policy", "propose", "next.toml"]).ok()["proposal"]
        .as_str()
        .unwrap()
        .to_owned();
    hide_key(&world, "bob");
    let weaker = forge(&world, &payload, |proposal| {
        let Proposal::Root(root) = proposal else {
            panic!("{proposal:?}")
        };
        root.roles.get_mut(&"root".parse().unwrap()).unwrap().threshold = 1;
    });
    world
        .assay("bob", &["sign", "--yes", "--only", &weaker.to_string()])
        .refused("");
    let longer = forge(&world, &payload, |proposal| {
        let Proposal::Root(root) = proposal else {
            panic!("{proposal:?}")
        };
        root.expires = Time::from_unix(4_070_908_800);
    });
    world
        .assay("bob", &["sign", "--yes", "--only", &longer.to_string()])
        .refused("expires at 2099");
    world
        .assay("bob", &["sign", "--yes", "--only", &payload])
        .failed(3, "bob.secret.asc");
}

/// Alice signed one release; she is shown another of the same version.
#[test]
fn refuses_a_second_release_of_one_version() {
    let (world, payload) = proposed();
    world.sign(&["alice"]);
    let earlier = forged(&world, &payload, |release| {
        release.time = Time::from_unix(release.time.unix() - 1);
    });
    let output = world.assay("alice", &["sign", "--yes", "--only", &earlier.to_string()]);
    assert_ne!(output.code, Some(0), "{}", output.stderr);
    // The same, rightly derived in every other respect.
    let Proposal::Release { targets, .. } = world.proposal(&payload) else {
        panic!("a release")
    };
    let twin = forge(&world, &payload, |proposal| {
        let Proposal::Release { targets: twin, .. } = proposal else {
            panic!("{proposal:?}")
        };
        twin.expires = Time::from_unix(targets.expires.unix() - 1);
        let release = twin.mark.as_mut().unwrap().release.as_mut().unwrap();
        release.time = Time::from_unix(release.time.unix() - 1);
    });
    let output = world.assay("alice", &["sign", "--yes", "--only", &twin.to_string()]);
    assert_eq!(output.code, Some(1), "{}", output.stderr);
    assert!(
        world
            .ledger_files()
            .iter()
            .all(|path| !path.starts_with(&format!("signatures/{twin}/")))
    );
}

/// An older proposal of the same version, which was honest in its time, is no alarm.
#[test]
fn a_newer_proposal_takes_the_place_of_one_that_nobody_signed() {
    let (world, payload) = proposed();
    give_key_back(&world, "bob");
    let hello = "pkgs/by-name/he/hello";
    std::thread::sleep(std::time::Duration::from_secs(1));
    let approve = ["review", "--channel", "unstable", "--approve", hello, "--yes"];
    world.assay("alice", &approve).ok();
    let newer = world.release();
    assert_ne!(newer, payload);
    for person in ["alice", "bob"] {
        let json = world.assay(person, &["sign", "--yes"]).ok();
        assert_eq!(json["signed"][0]["payload"], newer, "{json}");
    }
    world.publish();
    world.subscribe();
    world.update_installs(2);
}

/// Who said what about a package, what one person said, and on whom things wait.
#[test]
fn the_log_answers_what_people_ask_of_it() {
    let (world, payload) = proposed();
    let log = |more: &[&str]| world.assay("carol", &[&["log"], more].concat()).ok();
    let authors = |json: &serde_json::Value| {
        let statements = json["statements"].as_array().unwrap().iter();
        statements
            .map(|said| said["author"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let about = log(&["--about", "pkgs/by-name/he"]);
    assert_eq!(authors(&about), ["bob", "carol"]);
    for said in about["statements"].as_array().unwrap() {
        assert_eq!(said["verdicts"][0]["unit"], "pkgs/by-name/he/hello");
        assert_eq!(said["verdicts"][0]["verdict"], "approve");
    }
    assert_eq!(authors(&log(&["--about", "pkgs/by-name/he", "--by", "bob"])), ["bob"]);
    // A unit whose name only begins alike is another.
    assert!(authors(&log(&["--about", "pkgs/by-name/he/hel"])).is_empty());
    let waiting = log(&["--waiting"]);
    assert!(authors(&waiting).is_empty());
    let proposals = waiting["proposals"].as_array().unwrap();
    assert_eq!(proposals.len(), 1, "{waiting}");
    assert_eq!(proposals[0]["payload"], payload);
    assert!(
        proposals[0]["could-sign"]
            .as_array()
            .is_some_and(|people| people.len() >= 2),
        "{waiting}"
    );
}
