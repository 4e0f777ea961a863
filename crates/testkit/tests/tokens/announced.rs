//! What is shown before the PIN is what is signed, and nothing else is.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use testkit::{
    token_bench::{ADMIN_PIN, PIN},
    world::{Output, binary},
};

use crate::common::{ALICES, Tokens, fails};

#[test]
fn a_document_that_was_not_announced_is_another_question_and_without_an_answer_it_is_not_signed() {
    let Some(tokens) = Tokens::new(&[]) else { return };
    let card = tokens.card.as_ref().unwrap();
    let before = card.asked_to_sign();
    let output = Command::new(binary("examples/announced"))
        .arg(PIN)
        .env("PCSCLITE_CSOCK_NAME", tokens.world.pcscd_socket())
        .output()
        .unwrap();
    let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let shown = |at: usize| said["shown"][at].clone();
    // One question for the two that were announced, both of them beside it; then one for each that comes after.
    assert_eq!(
        said["questions"],
        json!([[shown(0), shown(1)], [shown(2)], [shown(0)]]),
        "{said}"
    );
    let signed = said["signed"].as_array().unwrap();
    assert!(signed[0].is_u64() && signed[1].is_u64(), "{said}");
    assert_eq!(
        (&signed[2], &signed[3]),
        (&json!("no PIN was given"), &json!("no PIN was given"))
    );
    assert_eq!(card.asked_to_sign(), before + 2);
    assert!(shown(0).as_str().unwrap().contains("SHA-256"), "{said}");
}

/// What pinentry shows is compared with what is in the ledger afterwards.
#[test]
fn what_pinentry_shows_is_the_digest_of_what_was_signed() {
    let Some(tokens) = Tokens::new(&[]) else { return };
    let world = &tokens.world;
    let home = world.path("gnupg/alice");
    fs::create_dir_all(&home).unwrap();
    let (pinentry, log) = (home.join("pinentry"), world.path("tmp/shown"));
    let script = format!(
        "#!/bin/sh\necho OK\nwhile read -r line; do\n  printf '%s\\n' \"$line\" >> {}\n  [ \"$line\" = GETPIN ] && echo 'D {PIN}'\n  \
         echo OK\ndone\n",
        log.display()
    );
    fs::write(&pinentry, script).unwrap();
    fs::set_permissions(&pinentry, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(
        home.join("gpg-agent.conf"),
        format!("pinentry-program {}\n", pinentry.display()),
    )
    .unwrap();
    fs::remove_file(world.path("keys/alice.pin")).unwrap();
    let before = world.ledger_files();
    world.assay("alice", &["sign", "--yes"]).ok();
    let fresh: Vec<_> = world
        .ledger_files()
        .into_iter()
        .filter(|path| !before.contains(path))
        .collect();
    assert_eq!(fresh.len(), 1, "{fresh:?}");
    let envelope: Value = serde_json::from_slice(&world.ledger_file(&fresh[0])).unwrap();
    let payload = data_encoding::BASE64
        .decode(envelope["payload"].as_str().unwrap().as_bytes())
        .unwrap();
    let signed = attestation::dsse::pre_authentication_encoding(attestation::dsse::IN_TOTO, &payload);
    let digest = attestation::Sha256Digest::of(signed).to_string();
    let shown = fs::read_to_string(log).unwrap();
    assert_eq!(shown.matches("GETPIN").count(), 1, "{shown}");
    assert!(shown.contains(&digest), "{digest} is not in {shown}");
    assert!(!shown.contains(PIN), "{shown}");
}

/// The card is pulled out while the user types, and one that calls itself the same is put in, with other keys and the same
/// PIN.
#[test]
fn refuses_a_card_of_the_same_serial_number_that_was_put_in_while_the_pin_was_typed() {
    let Some(mut tokens) = Tokens::new(&[]) else { return };
    let state = tokens.world.path(format!("tokens/{ALICES}.state"));
    let (alices, mallorys) = (state.with_extension("alices"), state.with_extension("mallorys"));
    // Mallory makes the other card.
    tokens.card.take();
    fs::rename(&state, &alices).unwrap();
    tokens.card = Some(tokens.bench.plug(&tokens.world, 0, ALICES, &[]));
    tokens.world.give_pins(ALICES);
    let enroll = ["token", "enroll", "--name", "mallory", "--out", "mallory"];
    tokens.world.assay_with_lines(&enroll, &[ADMIN_PIN, PIN]).ok();
    tokens.card.take();
    fs::rename(&state, &mallorys).unwrap();
    fs::rename(&alices, &state).unwrap();
    tokens.card = Some(tokens.bench.plug(&tokens.world, 0, ALICES, &[]));

    let pipe = tokens.world.path("tmp/typing");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut sign = tokens.world.assay_command("alice", &["sign", "--yes", "--pin-fd", "0"]);
    // Open for reading and writing: opening it waits for nobody.
    let keyboard = || fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    let mut typed = keyboard();
    let child = sign
        .stdin(keyboard())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let card = tokens.card.as_ref().unwrap();
    let log = card.log().len();
    // It has read the counters, and waits for the PIN: the card is asked nothing any more.
    let mut quiet = (0, log);
    testkit::token_bench::wait_for("it waits for the PIN", || card.log().len() > log);
    while quiet.0 < 20 {
        std::thread::sleep(std::time::Duration::from_millis(50));
        let now = card.log().len();
        quiet = if now == quiet.1 { (quiet.0 + 1, now) } else { (0, now) };
    }
    tokens.card.take();
    fs::rename(&state, &alices).unwrap();
    fs::rename(&mallorys, &state).unwrap();
    let ledger = tokens.ledger();
    let swapped = tokens.bench.plug(&tokens.world, 0, ALICES, &[]);
    let (before, quiet) = (swapped.asked_to_sign(), swapped.log().len());
    typed.write_all(format!("{PIN}\n").as_bytes()).unwrap();
    let output = Output::of_child(child, "assay sign".to_owned());
    // By what the card says now, or because the reader noticed that it went.
    let code = output.json["code"].as_str().unwrap_or_default().to_owned();
    assert!(
        ["other-key", "removed"].contains(&code.as_str()),
        "{code}: {}",
        output.stderr
    );
    assert!(
        !swapped.log()[quiet..].contains("[00, 20, 00, 81]"),
        "the other card got the PIN"
    );
    assert_eq!(
        swapped.asked_to_sign(),
        before,
        "the other card signed: {}",
        output.stderr
    );
    assert_eq!(tokens.ledger(), ledger);
    // The honest twin: her own card, put in again.
    drop(swapped);
    fs::rename(&state, &mallorys).unwrap();
    fs::rename(&alices, &state).unwrap();
    tokens.plug_again(&[]);
    tokens.sign(&[PIN]).ok();
}

#[test]
fn an_enrolled_card_forgets_the_pin_after_each_signature() {
    let Some(tokens) = Tokens::new(&[]) else { return };
    assert_eq!(tokens.status()["pin-for-each-signature"], true);
    // Whatever it was before: enrolled anew, it does again.
    if !testkit::peer::has("gpg") {
        return;
    }
    let gpg = crate::cases::Gpg::new(&tokens, "alice", ADMIN_PIN);
    let toggle = "printf 'admin\\nforcesig\\nquit\\n' | gpg --no-tty --batch --command-fd 0 --status-fd 1 --pinentry-mode ask --card-edit";
    gpg.run("sh", &["-c", toggle]);
    gpg.run("gpgconf", &["--kill", "scdaemon"]);
    assert_eq!(tokens.status()["pin-for-each-signature"], false);
    let output = tokens.world.assay("alice", &["token", "doctor"]).ok();
    assert!(output.to_string().contains("pin-kept"), "{output}");
    let enroll = ["token", "enroll", "--name", "alice", "--out", "anew", "--replace"];
    tokens.world.assay_with_lines(&enroll, &[ADMIN_PIN, PIN]).ok();
    assert_eq!(tokens.status()["pin-for-each-signature"], true);
}

/// Of two ways to be kept out this is the one that needs no polkit: a socket that others may not open. (What pcscd says of a
/// user whom polkit refuses has the same name here, and no test.)
#[test]
fn the_doctor_names_a_reader_service_that_does_not_let_this_user_in() {
    let Some(tokens) = Tokens::new(&[]) else { return };
    if !testkit::peer::has("setpriv") {
        return;
    }
    let world = &tokens.world;
    let set = |path: std::path::PathBuf, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    set(world.path(""), 0o711);
    set(world.pcscd_socket(), 0o700);
    // Somewhere that everybody may run it from.
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let assay = place.path().join("assay");
    fs::copy(binary("assay"), &assay).unwrap();
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        .arg(&assay)
        .args(["--format", "json", "token", "doctor"])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", place.path())
        .env("PCSCLITE_CSOCK_NAME", world.pcscd_socket())
        .current_dir(place.path());
    let output = Output::run(&mut command);
    fails(&output, "no-permission");
    assert!(output.stderr.contains("polkit"), "{}", output.stderr);
    set(world.pcscd_socket(), 0o777);
    Output::run(&mut command).ok();
}

#[test]
fn the_doctor_names_a_token_that_somebody_elses_scdaemon_holds() {
    let Some(tokens) = Tokens::new(&[]) else { return };
    let gpg = crate::cases::Gpg::new(&tokens, "mallory", PIN);
    gpg.run("gpg", &["--card-status"]);
    let output = tokens.world.assay("alice", &["token", "doctor"]);
    fails(&output, "held");
    assert!(output.stderr.contains("scdaemon"), "{}", output.stderr);
    gpg.run("gpgconf", &["--kill", "scdaemon"]);
    tokens.world.assay("alice", &["token", "doctor"]).ok();
}
