//! The whole cycle with tokens: three people, two kinds of keys, spare tokens, a lost one.

use std::{fs, process::Command};

use testkit::{
    TokenBench, World, peer,
    token_bench::{ADMIN_PIN, PIN},
    world::PEOPLE,
};

use crate::common::{ALICES, SPARE, Tokens};

#[test]
fn a_channel_signed_by_tokens_is_installed_by_us_and_python_tuf_and_its_statements_verify_with_gpg() {
    for algorithm in ["ed25519", "rsa2048"] {
        let world = World::without_chain();
        let Some(bench) = TokenBench::start(&world) else { return };
        let _alices = bench.plug(&world, 0, ALICES, &[]);
        let _bobs = bench.plug(&world, 1, SPARE, &[]);
        world.enroll("alice", ALICES, &["--algorithm", algorithm]);
        world.enroll("bob", SPARE, &["--algorithm", algorithm]);
        fs::write(world.path("policy.toml"), world.policy(&PEOPLE)).unwrap();
        world.start_chain();
        world.first_release("unstable");
        world.publish();
        world.subscribe();
        let json = world.touchstone(&["update"]).ok();
        assert_eq!(json["signed-by"], serde_json::json!(["alice", "bob"]), "{algorithm}");
        python_tuf_installs(&world);
        gpg_verifies_statements(&world);
    }
}

fn python_tuf_installs(world: &World) {
    let Some(python) = peer::python() else { return };
    let server = testkit::world::Server::start(&world.path("site"));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/python/tuf_client.py");
    let output = Command::new(python)
        .args([script, server.url()])
        .arg(world.path("site/metadata/1.root.json"))
        .arg("unstable/nixexprs.tar.xz")
        .arg(world.path("tuf"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.starts_with("downloaded "), "{said}");
}

/// By the recipe of docs/formats.md.
fn gpg_verifies_statements(world: &World) {
    if !peer::has("gpg") {
        return;
    }
    let home = world.path("gpg-home");
    fs::create_dir_all(&home).unwrap();
    let gpg = |arguments: &[&str]| {
        let mut gpg = Command::new("gpg");
        gpg.env("GNUPGHOME", &home).current_dir(world.path("tmp"));
        gpg.args(["--batch", "--quiet", "--no-autostart", "--trust-model", "always"])
            .args(arguments);
        gpg.output().unwrap().status.success()
    };
    for name in ["alice", "bob"] {
        let certificate = world.path(format!("keys/{name}.asc"));
        assert!(gpg(&["--import", certificate.to_str().unwrap()]));
    }
    let mut verified = 0;
    for path in world
        .ledger_files()
        .iter()
        .filter(|path| path.starts_with("statements/"))
    {
        let envelope: serde_json::Value = serde_json::from_slice(&world.ledger_file(path)).unwrap();
        let bytes = |text: &serde_json::Value| data_encoding::BASE64.decode(text.as_str().unwrap().as_bytes()).unwrap();
        let payload = bytes(&envelope["payload"]);
        let encoded = attestation::dsse::pre_authentication_encoding(attestation::dsse::IN_TOTO, &payload);
        fs::write(world.path("tmp/statement.pae"), encoded).unwrap();
        fs::write(
            world.path("tmp/statement.sig"),
            bytes(&envelope["signatures"][0]["sig"]),
        )
        .unwrap();
        assert!(gpg(&["--verify", "statement.sig", "statement.pae"]), "{path}");
        fs::write(world.path("tmp/statement.pae"), "something else").unwrap();
        assert!(
            !gpg(&["--verify", "statement.sig", "statement.pae"]),
            "gpg verifies anything"
        );
        verified += 1;
    }
    assert!(verified >= 2, "alice and bob both exempted the first tree");
}

#[test]
fn a_p256_token_reviews_and_signs_no_root() {
    let world = World::without_chain();
    let Some(bench) = TokenBench::start(&world) else { return };
    let _card = bench.plug(&world, 0, ALICES, &[]);
    world.enroll("alice", ALICES, &["--algorithm", "p256"]);
    let text = world.policy(&PEOPLE);
    fs::write(world.path("policy.toml"), &text).unwrap();
    let certificates = PEOPLE.map(|name| format!("keys/{name}.asc"));
    let mut init = vec![
        "init",
        "--policy",
        "policy.toml",
        "--as",
        "alice",
        "--key",
        "card:",
        "--remote",
        "origin",
    ];
    init.extend(certificates.iter().flat_map(|path| ["--certificate", path]));
    world.assay("alice", &init).refused("signs statements only");
}

#[test]
fn a_spare_token_joins_the_certificate_and_takes_over_when_the_first_is_lost() {
    let Some(mut tokens) = Tokens::new(&[]) else { return };
    let world = &tokens.world;
    let spare = tokens.bench.plug(world, 1, SPARE, &[]);
    world.give_pins(SPARE);
    let (first, second) = (format!("FFFE:{ALICES}"), format!("FFFE:{SPARE}"));
    let joined = world
        .assay_with_lines(
            &[
                "token",
                "enroll",
                "--name",
                "alice",
                "--card",
                &second,
                "--into",
                "keys/alice.asc",
                "--with",
                &first,
                "--out",
                "keys",
            ],
            &[ADMIN_PIN, PIN, PIN],
        )
        .ok();
    let keys = joined["person"]["keys"].as_array().unwrap().clone();
    assert_eq!(keys.len(), 2, "{joined}");
    assert_eq!(
        keys[0],
        tokens.status()["slots"][0]["key"],
        "the first key stays the first"
    );
    fs::write(world.path("policy.toml"), world.policy(&PEOPLE)).unwrap();
    let propose = ["policy", "propose", "policy.toml", "--certificate", "keys/alice.asc"];
    // `policy person` lists the newest key first; the lines of the enrolment keep the order.
    let text = fs::read_to_string(world.path("policy.toml")).unwrap();
    let (a, b) = (keys[0].as_str().unwrap(), keys[1].as_str().unwrap());
    let ordered = text.replace(&format!("\"{b}\", \"{a}\""), &format!("\"{a}\", \"{b}\""));
    fs::write(world.path("policy.toml"), ordered).unwrap();
    world.assay("bob", &propose).ok();
    world.sign(&["alice", "bob"]);
    world.assay("bob", &["publish"]).ok();

    // The first token is lost: neither it nor its primary key takes part in what follows.
    tokens.card.take();
    let world = &tokens.world;
    fs::create_dir(world.path("new")).unwrap();
    let rotated = world
        .assay_with_lines(
            &[
                "token", "rotate", "--name", "alice", "--card", &second, "--lost", a, "--out", "new",
            ],
            &[PIN],
        )
        .ok();
    assert_eq!(rotated["person"]["keys"], serde_json::json!([b]), "{rotated}");
    fs::copy(world.path("new/alice.asc"), world.path("keys/alice.asc")).unwrap();
    fs::write(world.path("policy.toml"), world.policy(&PEOPLE)).unwrap();
    world.assay("bob", &propose).ok();
    world.set_key("alice", &format!("card:{second}"));
    world.assay("alice", &["init", "--key", &format!("card:{second}")]).ok();
    world.sign(&["bob", "carol", "alice"]);
    world.assay("bob", &["publish"]).ok();
    let policy = world.assay("bob", &["policy", "show"]).ok();
    assert_eq!(policy["root-version"], 3, "{policy}");
    assert_eq!(policy["policy"]["people"]["alice"]["keys"], serde_json::json!([b]));
    assert!(spare.asked_to_sign() > 0);
}

/// Ten thousand units changed, one review, one signature on the card.
#[test]
fn ten_thousand_reviews_take_one_signature_of_the_token() {
    const UNITS: usize = 10_000;
    let Some(tokens) = Tokens::new(&[]) else { return };
    let world = &tokens.world;
    world.sign(&["alice", "bob"]);
    world.assay("alice", &["release", "--channel", "unstable"]).ok();
    world.sign(&["alice", "bob"]);
    world.publish();
    for number in 0..UNITS {
        let name = format!("p{number:05}");
        let directory = world.path(format!("upstream/pkgs/by-name/{}/{name}", &name[..2]));
        fs::create_dir_all(&directory).unwrap();
        fs::write(
            directory.join("package.nix"),
            format!("{{ }}: {{ pname = \"{name}\"; }}\n"),
        )
        .unwrap();
    }
    world.commit_upstream("many packages");
    let imported = world.assay("bob", &["import", "--channel", "unstable"]).ok();
    assert!(imported["units"].as_u64().unwrap() >= UNITS as u64, "{imported}");
    let before = (tokens.counter(), tokens.card.as_ref().unwrap().asked_to_sign());
    let review = ["review", "--channel", "unstable", "--approve-all", "--yes"];
    let said = world.assay_as("alice", &review, &[PIN]).ok();
    assert!(
        said["claim"].as_str().unwrap().contains("10000 changes approved"),
        "{said}"
    );
    assert_eq!(tokens.counter(), before.0 + 1);
    assert_eq!(tokens.card.as_ref().unwrap().asked_to_sign(), before.1 + 1);
    // And it counts: each of them has an approval.
    let queue = world.assay("bob", &["queue", "--channel", "unstable"]).ok();
    assert!(queue["total"].as_u64().unwrap() >= UNITS as u64, "{}", queue["total"]);
    assert!(
        !queue.to_string().contains("\"could\":[\"alice\""),
        "alice's review does not count"
    );
}
