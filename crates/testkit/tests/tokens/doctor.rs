//! The doctor names what is wrong, and what to do.

use testkit::{
    token_bench::{ADMIN_PIN, PIN},
    world::Output,
};

use crate::common::{ALICES, SPARE, Tokens, fails};

fn doctor(tokens: &Tokens, more: &[&str]) -> Output {
    tokens.world.assay("alice", &[&["token", "doctor"], more].concat())
}

#[test]
fn the_doctor_finds_nothing_wrong_with_a_token_that_signs() {
    let Some(tokens) = Tokens::new(&[]) else { return };
    let findings = doctor(&tokens, &[]).ok()["findings"].clone();
    let codes: Vec<_> = findings
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["code"].clone())
        .collect();
    for code in ["service", "token", "pin", "touch", "certificate", "policy"] {
        assert!(codes.contains(&code.into()), "{code} is not among {codes:?}");
    }
}

#[test]
fn the_doctor_names_each_reason_with_its_remedy() {
    let Some(mut tokens) = Tokens::new(&[]) else { return };
    let card = format!("FFFE:{SPARE}");
    let spare = tokens.bench.plug(&tokens.world, 1, SPARE, &[]);
    fails(&doctor(&tokens, &["--card", &card]), "empty-slot");

    // Enrolled, and nobody has proposed it yet.
    tokens.world.give_pins(SPARE);
    let enroll = ["token", "enroll", "--name", "dora", "--card", &card, "--out", "dora"];
    tokens.world.assay_with_lines(&enroll, &[ADMIN_PIN, PIN]).ok();
    fails(&doctor(&tokens, &["--card", &card]), "not-in-keyring");

    // The certificate is in the ledger, the policy does not name it.
    let propose = ["policy", "propose", "policy.toml", "--certificate", "dora/dora.asc"];
    tokens.world.assay("alice", &propose).ok();
    fails(&doctor(&tokens, &["--card", &card]), "not-in-policy");

    // Revoked by the file that was made for the day of its loss.
    let propose = [
        "policy",
        "propose",
        "policy.toml",
        "--certificate",
        "dora/dora.revoked.asc",
    ];
    tokens.world.assay("alice", &propose).ok();
    fails(&doctor(&tokens, &["--card", &card]), "revoked");

    for _ in 0..3 {
        let change = ["token", "pin", "--card", &card];
        tokens.world.assay_with_lines(&change, &["0000000", PIN, PIN]);
    }
    fails(&doctor(&tokens, &["--card", &card]), "pin-blocked");
    drop(spare);

    // Bob's clone, alice's token.
    tokens.world.assay("bob", &["sync"]).ok();
    let output = tokens.world.assay("bob", &["token", "doctor"]);
    fails(&output, "somebody-else");
    assert!(output.stderr.contains("alice"), "{}", output.stderr);

    tokens.card.take();
    fails(&doctor(&tokens, &[]), "no-token");
    let other = tokens.bench.plug(&tokens.world, 0, SPARE, &[]);
    fails(&doctor(&tokens, &[]), "other-token");
    drop(other);
    let weak = tokens.bench.plug(&tokens.world, 0, "00000003", &["--yubikey", "4.3.1"]);
    fails(&doctor(&tokens, &["--card", "0006:00000003"]), "firmware");
    drop(weak);
    let Tokens { world, bench, .. } = tokens;
    bench.stop();
    fails(&world.assay("alice", &["token", "doctor"]), "no-service");
}

#[test]
fn the_doctor_names_an_expired_certificate() {
    let Some(tokens) = Tokens::enrolled_with(&["--days", "1"], &[]) else {
        return;
    };
    let card = format!("FFFE:{ALICES}");
    doctor(&tokens, &["--card", &card]).ok();
    let mut command = tokens
        .world
        .assay_command("alice", &["token", "doctor", "--card", &card]);
    command.arg("--offline");
    let output = tokens.world.later("+3 days", &command);
    fails(&output, "not-valid");
}
