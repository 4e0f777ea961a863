//! People whom the policy says to have a token, attested by it or witnessed by others: from the card to the signed root.

use std::fs;

use serde_json::Value;
use testkit::{
    maker::{Forgery, Maker, has_openssl, public_pem},
    token_bench::PIN,
    world::PEOPLE,
};

use crate::common::{ALICES, SPARE, Tokens};

/// The signing key on a card, as its status says.
fn key_of(status: &Value) -> String {
    status["slots"][0]["key"].as_str().unwrap().to_owned()
}

/// The world's policy, with this said of alice's hardware.
fn write_policy(tokens: &Tokens, hardware: &str, head: &str) {
    let text = tokens.world.policy(&PEOPLE);
    let (before, alices) = text.split_once("[people.alice]").unwrap();
    let (comment, rest) = alices.split_once('\n').unwrap();
    fs::write(
        tokens.world.path("policy.toml"),
        format!("{head}{before}[people.alice]{comment}\nhardware = \"{hardware}\"\n{rest}"),
    )
    .unwrap();
}

/// Who signed the newest root, and what it says of alice.
fn alices_hardware(tokens: &Tokens) -> (u64, String) {
    let policy = tokens.world.assay("bob", &["policy", "show"]).ok();
    let hardware = policy["policy"]["people"]["alice"]["hardware"].as_str().unwrap();
    (policy["root-version"].as_u64().unwrap(), hardware.to_owned())
}

const PROPOSE: [&str; 3] = ["policy", "propose", "policy.toml"];

/// A token that attests its key, in the reader in place of alice's own: the same card, as its maker would have it answer.
fn attested_by(
    tokens: &mut Tokens,
    maker: &Maker,
    forgery: &Forgery,
    subject: &str,
    out: &str,
) -> testkit::world::Output {
    maker.attest(subject, forgery);
    let place = tokens.world.path("attests");
    maker.write_token(&place);
    fs::write(tokens.world.path("maker.pem"), maker.read("root.pem")).unwrap();
    tokens.card.take();
    let directory = place.display().to_string();
    let options = ["--yubikey", "5.4.3", "--attestation", &directory];
    let card = tokens.bench.plug(&tokens.world, 0, ALICES, &options);
    let ident = format!("0006:{ALICES}");
    let line = [
        "token",
        "attest",
        "--card",
        &ident,
        "--certificate",
        "keys/alice.asc",
        "--maker",
        "maker.pem",
    ];
    let output = tokens
        .world
        .assay_with_lines(&[&line[..], &["--out", out]].concat(), &[PIN]);
    drop(card);
    tokens.plug_again(&[]);
    output
}

#[test]
fn an_attested_token_is_proposed_with_its_evidence_and_signed_by_whoever_finds_it_in_the_ledger() {
    if !has_openssl() {
        return;
    }
    let Some(mut tokens) = Tokens::new(&[]) else { return };
    let maker = Maker::new("p256");
    let key = key_of(&tokens.status());
    let certificate = fs::read(tokens.world.path("keys/alice.asc")).unwrap();
    let subject = public_pem(&certificate, &key.parse().unwrap());
    let honest = Forgery::honest(&key.parse().unwrap());
    let made = attested_by(&mut tokens, &maker, &honest, &subject, "alice.pem").ok();
    assert_eq!(
        (made["key"].as_str(), made["serial"].as_u64()),
        (Some(key.as_str()), Some(7_654_321)),
        "{made}"
    );
    let root = made["root"].as_str().unwrap().to_owned();
    let world = &tokens.world;

    // Said, and no maker named; a maker named, and no evidence; evidence of another maker's token.
    write_policy(&tokens, "attested", "");
    world.assay("alice", &PROPOSE).refused("names no attestation-roots");
    write_policy(&tokens, "attested", &format!("attestation-roots = [\"{root}\"]\n"));
    let refused = world.assay("alice", &PROPOSE).refused("no evidence attests key");
    assert!(refused.stderr.contains("assay token attest"), "{}", refused.stderr);
    let mallory = Maker::new("p256");
    fs::write(world.path("other.pem"), mallory.attest(&subject, &honest)).unwrap();
    let with = |evidence: &str| world.assay("alice", &[&PROPOSE[..], &["--evidence", evidence]].concat());
    with("other.pem").refused("no evidence attests key");
    with("alice.pem").ok();

    // Who signs the root demands it too: with a ledger that lacks the evidence, bob refuses before any key is used.
    world.tamper_with_ledger(|ledger| fs::remove_dir_all(ledger.join("evidence")).unwrap());
    let key_file = world.path("keys/bob.secret.asc");
    let away = key_file.with_extension("away");
    fs::rename(&key_file, &away).unwrap();
    world
        .assay("bob", &["sign", "--yes"])
        .refused("no evidence attests key");
    fs::rename(&away, &key_file).unwrap();
    // Alice's clone has it still, and gives it back.
    world.assay("alice", &["sync"]).ok();
    world.sign(&["alice", "bob"]);
    world.assay("bob", &["publish"]).ok();
    assert_eq!(alices_hardware(&tokens), (2, "attested".to_owned()));
}

#[test]
fn an_attestation_of_another_key_or_of_an_imported_one_or_without_touch_is_no_evidence() {
    if !has_openssl() {
        return;
    }
    let Some(mut tokens) = Tokens::new(&[]) else { return };
    let maker = Maker::new("rsa");
    let key = key_of(&tokens.status());
    let certificate = fs::read(tokens.world.path("keys/alice.asc")).unwrap();
    let subject = public_pem(&certificate, &key.parse().unwrap());
    let bobs = fs::read(tokens.world.path("keys/bob.asc")).unwrap();
    let bobs_key = tokens.world.assay("bob", &["policy", "show"]).ok()["policy"]["people"]["bob"]["keys"][0]
        .as_str()
        .unwrap()
        .to_owned();
    let another = public_pem(&bobs, &bobs_key.parse().unwrap());
    let honest = Forgery::honest(&key.parse().unwrap());
    let flaws = [
        (honest.clone(), &another, "another.pem"),
        (
            Forgery {
                fingerprint: bobs_key,
                ..honest.clone()
            },
            &subject,
            "named.pem",
        ),
        (
            Forgery {
                source: "020100",
                ..honest.clone()
            },
            &subject,
            "imported.pem",
        ),
        (
            Forgery {
                touch: "040100",
                ..honest.clone()
            },
            &subject,
            "untouched.pem",
        ),
    ];
    for (forgery, subject, out) in flaws {
        let output = attested_by(&mut tokens, &maker, &forgery, subject, out);
        output.refused("");
        assert!(!tokens.world.path(out).exists(), "{out} was written");
    }
    attested_by(&mut tokens, &maker, &honest, &subject, "alice.pem").ok();
    // A token that cannot is told so, before a PIN is asked for.
    let card = format!("FFFE:{ALICES}");
    let line = [
        "token",
        "attest",
        "--card",
        &card,
        "--certificate",
        "keys/alice.asc",
        "--maker",
        "maker.pem",
    ];
    let output = tokens
        .world
        .assay_with_lines(&[&line[..], &["--out", "none.pem"]].concat(), &[]);
    crate::common::fails(&output, "unsupported");
    assert!(output.stderr.contains("assay token witness"), "{}", output.stderr);
}

#[test]
fn a_witnessed_token_takes_two_others_who_saw_that_very_key() {
    let Some(tokens) = Tokens::new(&[]) else { return };
    let world = &tokens.world;
    let key = key_of(&tokens.status());
    write_policy(&tokens, "witnessed", "");
    let refused = || {
        let output = world.assay("alice", &PROPOSE);
        let words = format!("of key {key} there are ");
        output.refused(&words).stderr
    };
    let said = refused();
    assert!(
        said.contains("there are 0 of 2 witnesses") && said.contains("assay token witness"),
        "{said}"
    );
    let card = format!("FFFE:{ALICES}");
    let witness = |who: &str, certificate: &str, key: &str, pins: &[&str]| {
        let line = [
            "token",
            "witness",
            "--person",
            "alice",
            "--certificate",
            certificate,
            "--key",
            key,
        ];
        let more = [
            "--token",
            &card,
            "--seen",
            "alice enrolled a token that I took out of its package",
            "--yes",
        ];
        world.assay_as(who, &[&line[..], &more].concat(), pins)
    };
    // Nobody for themselves, nobody for a key that the certificate does not have.
    witness("alice", "keys/alice.asc", &key, &[PIN]).refused("nobody witnesses their own key");
    let other = "0".repeat(40);
    witness("bob", "keys/alice.asc", &other, &[]).refused("has no key");
    witness("bob", "keys/alice.asc", &key, &[]).ok();
    witness("bob", "keys/alice.asc", &key, &[]).ok();
    assert!(
        refused().contains("there are 1 of 2 witnesses"),
        "the same person counted twice"
    );
    // Of another key under her name, in a certificate of carol's own making.
    let carols = world.assay("carol", &["policy", "show"]).ok()["policy"]["people"]["carol"]["keys"][0]
        .as_str()
        .unwrap()
        .to_owned();
    witness("carol", "keys/carol.asc", &carols, &[]).ok();
    assert!(
        refused().contains("there are 1 of 2 witnesses"),
        "another key was counted"
    );
    witness("carol", "keys/alice.asc", &key, &[]).ok();
    world.assay("alice", &PROPOSE).ok();
    world.sign(&["alice", "bob"]);
    world.assay("bob", &["publish"]).ok();
    assert_eq!(alices_hardware(&tokens), (2, "witnessed".to_owned()));
    // A spare key of hers has to be seen as well.
    let _spare = tokens.bench.plug(world, 1, SPARE, &[]);
    world.give_pins(SPARE);
    let spare = format!("FFFE:{SPARE}");
    let enroll = [
        "token",
        "enroll",
        "--name",
        "alice",
        "--card",
        &spare,
        "--into",
        "keys/alice.asc",
    ];
    let with = ["--with", &card, "--out", "keys"];
    let pins = [testkit::token_bench::ADMIN_PIN, PIN, PIN];
    world.assay_with_lines(&[&enroll[..], &with].concat(), &pins).ok();
    write_policy(&tokens, "witnessed", "");
    let propose = [&PROPOSE[..], &["--certificate", "keys/alice.asc"]].concat();
    world.assay("alice", &propose).refused("there are 0 of 2 witnesses");
}
