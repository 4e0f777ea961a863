//! Every case under "Tokens" of the list of attacks, each with its honest twin.

use std::{fs, process::Command};

use testkit::token_bench::{ADMIN_PIN, PIN};

use crate::common::{ALICES, SPARE, Tokens, fails};

#[test]
fn refuses_wrong_pin_says_how_many_tries_are_left_and_signs_again_once_unblocked() {
    let Some(tokens) = Tokens::new(&[]) else { return };
    let before = (tokens.counter(), tokens.ledger());
    for left in [2, 1] {
        let output = tokens.sign(&["0000000"]);
        fails(&output, "wrong-pin");
        assert!(
            output.stderr.contains(&format!("{left} tries are left")),
            "{}",
            output.stderr
        );
        assert_eq!(tokens.status()["pin-tries"], left);
    }
    fails(&tokens.sign(&["0000000"]), "pin-blocked");
    // It is not even asked for.
    fails(&tokens.sign(&[]), "pin-blocked");
    assert_eq!(
        (tokens.counter(), tokens.ledger()),
        before,
        "something was signed without a PIN"
    );

    let unblock = ["token", "pin", "--unblock"];
    fails(
        &tokens.world.assay_with_lines(&unblock, &["00000000", PIN, PIN]),
        "wrong-admin-pin",
    );
    tokens.world.assay_with_lines(&unblock, &[ADMIN_PIN, PIN, PIN]).ok();
    assert_eq!(tokens.status()["pin-tries"], 3);
    tokens.sign(&[PIN]).ok();
    assert_eq!(tokens.counter(), before.0 + 1);
}

#[test]
fn refuses_when_no_pin_is_given_and_keeps_the_tries() {
    let Some(tokens) = Tokens::new(&[]) else { return };
    fails(&tokens.sign(&[]), "no-pin");
    assert_eq!(tokens.status()["pin-tries"], 3);
    tokens.sign(&[PIN]).ok();
}

#[test]
fn a_token_removed_in_the_middle_of_a_batch_loses_nothing_and_signs_nothing_twice() {
    let Some(mut tokens) = Tokens::new(&["--cut-at-sign", "2"]) else {
        return;
    };
    let tip = tokens.world.git("upstream", &["rev-parse", "HEAD"]);
    let import = ["import", "--channel", "stable", "--baseline", tip.trim()];
    tokens.world.assay("bob", &import).ok();
    let before = tokens.ledger();
    let output = tokens.sign(&[PIN]);
    fails(&output, "removed");
    assert_eq!(
        tokens.ledger(),
        before + 1,
        "the first of two signatures was made: {}",
        output.stderr
    );

    tokens.plug_again(&[]);
    let signed = tokens.sign(&[PIN]).ok();
    assert_eq!(signed["signed"].as_array().map(Vec::len), Some(1), "{signed}");
    assert_eq!(tokens.sign(&[PIN]).ok()["signed"], serde_json::json!([]));
}

#[test]
fn refuses_another_token_than_the_one_of_the_settings() {
    let Some(mut tokens) = Tokens::new(&[]) else { return };
    tokens.card.take();
    let spare = tokens.bench.plug(&tokens.world, 0, SPARE, &[]);
    let output = tokens.sign(&[PIN]);
    fails(&output, "other-token");
    assert!(
        output.stderr.contains("FFFE:00000001") && output.stderr.contains("FFFE:00000002"),
        "{}",
        output.stderr
    );
    assert_eq!(spare.asked_to_sign(), 0);
    drop(spare);
    tokens.plug_again(&[]);
    tokens.sign(&[PIN]).ok();
}

#[test]
fn refuses_without_a_token_and_without_a_reader_service() {
    let Some(mut tokens) = Tokens::new(&[]) else { return };
    tokens.card.take();
    fails(&tokens.sign(&[PIN]), "no-token");
    tokens.plug_again(&[]);
    tokens.sign(&[PIN]).ok();
    let Tokens { world, bench, .. } = tokens;
    bench.stop();
    fails(&world.assay_as("alice", &["token", "status"], &[]), "no-service");
}

#[test]
fn two_tokens_at_once_are_told_apart() {
    let Some(tokens) = Tokens::new(&[]) else { return };
    let spare = tokens.bench.plug(&tokens.world, 1, SPARE, &[]);
    let list = tokens.world.assay("alice", &["token", "list"]).ok();
    let of = |index: usize, member: &str| list[index][member].clone();
    assert_eq!(of(0, "card"), "FFFE:00000001");
    assert_eq!(of(0, "person"), "alice", "{list}");
    assert_eq!(of(1, "card"), "FFFE:00000002");
    assert!(of(1, "key").is_null() && of(1, "person").is_null(), "{list}");
    fails(&tokens.world.assay_plain(&["token", "status"]), "which-token");
    tokens.sign(&[PIN]).ok();
    assert_eq!(spare.asked_to_sign(), 0);
}

#[test]
fn gpg_sees_the_same_card_and_the_batch_is_signed_through_its_agent_while_it_holds_it() {
    let Some(tokens) = Tokens::new(&[]) else { return };
    let gpg = Gpg::new(&tokens, "alice", PIN);
    let status = gpg.run("gpg", &["--card-status"]);
    let key = tokens.status()["slots"][0]["key"].as_str().unwrap().to_uppercase();
    assert!(status.replace(' ', "").contains(&key), "{status}");
    let list = tokens.world.assay("alice", &["token", "list"]).ok();
    assert_eq!(list[0]["held-by-gpg"], true, "{list}");
    let before = tokens.counter();
    // No PIN is read by us: the line stays where it is.
    tokens.sign(&["0000000"]).ok();
    assert_eq!(tokens.counter(), before + 1);
    // What came of it counts.
    assert_eq!(tokens.sign(&[]).ok()["signed"], serde_json::json!([]));
}

#[test]
fn refuses_a_token_that_somebody_elses_scdaemon_holds() {
    let Some(tokens) = Tokens::new(&[]) else { return };
    let gpg = Gpg::new(&tokens, "mallory", PIN);
    gpg.run("gpg", &["--card-status"]);
    let output = tokens.sign(&[PIN]);
    fails(&output, "held");
    assert!(output.stderr.contains("scdaemon"), "{}", output.stderr);
    gpg.run("gpgconf", &["--kill", "scdaemon"]);
    tokens.sign(&[PIN]).ok();
}

#[test]
fn refuses_when_the_touch_is_not_given_and_signs_when_it_is() {
    let Some(mut tokens) = Tokens::new(&["--touch", "deny", "--hurry", "10"]) else {
        return;
    };
    assert_eq!(tokens.status()["slots"][0]["touch"], "fixed");
    let before = tokens.counter();
    let output = tokens.sign(&[PIN]);
    fails(&output, "no-touch");
    assert!(
        output.stderr.contains("touch token FFFE:00000001 now"),
        "{}",
        output.stderr
    );
    assert_eq!(tokens.counter(), before);
    // Not taken for a wrong PIN, by the card or by us.
    assert_eq!(tokens.status()["pin-tries"], 3);
    tokens.plug_again(&["--touch", "delay:300"]);
    tokens.sign(&[PIN]).ok();
    assert_eq!(tokens.counter(), before + 1);
}

#[test]
fn refuses_a_key_on_the_card_that_is_not_the_one_in_the_keyring() {
    let Some(tokens) = Tokens::new(&[]) else { return };
    let enroll = ["token", "enroll", "--name", "alice", "--out", "other"];
    fails(&tokens.world.assay_with_lines(&enroll, &[ADMIN_PIN, PIN]), "slot-taken");
    tokens
        .world
        .assay_with_lines(&[&enroll[..], &["--replace"]].concat(), &[ADMIN_PIN, PIN])
        .ok();
    let before = tokens.counter();
    tokens.sign(&[PIN]).failed(2, "is not one of alice's in the policy");
    assert_eq!(tokens.counter(), before, "the wrong key signed");
}

#[test]
fn refuses_a_certificate_without_signing_subkey() {
    let Some(tokens) = Tokens::new(&[]) else { return };
    let bytes = fs::read(tokens.world.path("keys/alice.asc")).unwrap();
    let bare = testkit::people::without_subkeys(&bytes);
    fs::write(tokens.world.path("keys/bare.asc"), bare).unwrap();
    let person = |file: &str| tokens.world.assay_plain(&["policy", "person", "alice", file]);
    person("keys/bare.asc").refused("no key that signs validly now");
    person("keys/alice.asc").ok();
}

#[test]
fn refuses_to_enroll_with_the_pins_of_the_factory_and_destroys_nothing() {
    let Some(tokens) = Tokens::new(&[]) else { return };
    let _spare = tokens.bench.plug(&tokens.world, 1, SPARE, &[]);
    let card = format!("FFFE:{SPARE}");
    let enroll = ["token", "enroll", "--name", "dora", "--card", &card, "--out", "dora"];
    let with = |pins: &[&str]| tokens.world.assay_with_lines(&enroll, pins);
    fails(&with(&["12345678", "123456"]), "factory-pin");
    let change = ["token", "pin", "--card", &card];
    let with_pin = |pins: &[&str]| tokens.world.assay_with_lines(&change, pins);
    fails(&with_pin(&["123456", "1234", "1234"]), "short-pin");
    fails(&with_pin(&["123456", PIN, "7439218"]), "no-pin");
    tokens.world.give_pins(SPARE);
    with(&[ADMIN_PIN, PIN]).ok();
}

#[test]
fn refuses_firmware_whose_keys_can_be_computed() {
    let Some(tokens) = Tokens::new(&[]) else { return };
    let enroll = |serial: &str, card: &str| {
        let out = format!("out-{serial}");
        let arguments = ["token", "enroll", "--name", "dora", "--card", card, "--out", &out];
        tokens.world.assay_with_lines(&arguments, &[ADMIN_PIN, PIN])
    };
    for (serial, firmware, weak) in [("00000003", "4.3.4", true), ("00000004", "5.4.3", false)] {
        let _card = tokens.bench.plug(&tokens.world, 1, serial, &["--yubikey", firmware]);
        let card = format!("0006:{serial}");
        for (more, pins) in [
            (&[][..], ["123456", PIN, PIN]),
            (&["--admin"], ["12345678", ADMIN_PIN, ADMIN_PIN]),
        ] {
            let change = [&["token", "pin", "--card", &card][..], more].concat();
            tokens.world.assay_with_lines(&change, &pins).ok();
        }
        let output = enroll(serial, &card);
        if weak {
            fails(&output, "firmware");
        } else {
            output.ok();
        }
    }
}

/// Somebody's gpg, with a pinentry that knows a PIN.
pub(crate) struct Gpg<'t> {
    tokens: &'t Tokens,
    home: std::path::PathBuf,
}

impl<'t> Gpg<'t> {
    pub(crate) fn new(tokens: &'t Tokens, person: &str, pin: &str) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        // Where the world's commands look for it; a short path, since sockets are in it.
        let home = tokens.world.path("gnupg").join(person);
        fs::create_dir_all(&home).unwrap();
        fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
        let pinentry = home.join("pinentry");
        fs::write(
            &pinentry,
            format!("#!/bin/sh\necho OK\nwhile read word rest; do\n  [ \"$word\" = GETPIN ] && echo 'D {pin}'\n  echo OK\ndone\n"),
        )
        .unwrap();
        fs::set_permissions(&pinentry, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(
            home.join("gpg-agent.conf"),
            format!("pinentry-program {}\n", pinentry.display()),
        )
        .unwrap();
        fs::write(
            home.join("scdaemon.conf"),
            "disable-ccid\nreader-port Virtual PCD 00 00\n",
        )
        .unwrap();
        Self { tokens, home }
    }

    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> String {
        let output = Command::new(program)
            .env("GNUPGHOME", &self.home)
            .env("PCSCLITE_CSOCK_NAME", self.tokens.world.pcscd_socket())
            .args(arguments)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Gpg<'_> {
    fn drop(&mut self) {
        // Without an agent there is nothing to end.
        let _ = Command::new("gpgconf")
            .env("GNUPGHOME", &self.home)
            .args(["--kill", "all"])
            .status();
    }
}

#[test]
fn a_status_names_the_slots_of_alices_token() {
    let Some(tokens) = Tokens::new(&[]) else { return };
    let status = tokens.status();
    assert_eq!(status["card"], format!("FFFE:{ALICES}"));
    assert_eq!(status["slots"][0]["slot"], "sign");
    assert_eq!(status["slots"][2]["touch"], "fixed", "{status}");
    assert_eq!(status["admin-pin-tries"], 3);
}
