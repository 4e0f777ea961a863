//! What no release lists, approved on request: who may ask for what, what evaluation can reach, and how long it holds.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown, symlink},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use testkit::world::binary;

use crate::{
    asking::{Approver, LISTED, build, drv, files, owner, owners, passes, refused},
    command::json as read,
    machine::{Machine, Ran, on_each},
};

#[test]
fn what_no_list_has_is_approved_on_request_of_root_and_goes_with_the_release_it_rests_on() {
    on_each(|machine| {
        let mut owner = owner(machine);
        let unlisted = drv(&owner, "unlisted");
        owner
            .shell(&format!("nix-store --realise {unlisted}"))
            .refused_by_hook();
        // What is listed needs nobody, and keeps no request.
        build(&owner, &["hello"]).ok();
        assert_eq!(read(&owner.gate(&["requests"]))["requests"], json!([]));
        assert!(!passes(&owner, &unlisted));

        build(&owner, &["unlisted"]).ok();
        let requests = read(&owner.gate(&["requests"]));
        assert_eq!(requests["requests"][0]["what"], "unlisted", "{requests}");
        // Made anew, it is approved again; also when nothing is remembered.
        assert!(passes(&owner, &unlisted));
        owner.gate(&["refresh"]).ok();
        assert!(passes(&owner, &unlisted));
        let evaluated = machine.path("state/gate/evaluated");
        assert_eq!(fs::read_dir(&evaluated).unwrap().count(), 1);
        fs::remove_dir_all(&evaluated).unwrap();
        owner.gate(&["refresh"]).ok();
        assert!(passes(&owner, &unlisted));
        // What is remembered is checked like what is new.
        for file in fs::read_dir(&evaluated).unwrap() {
            fs::write(file.unwrap().path(), "damaged").unwrap();
        }
        owner.gate(&["refresh"]).ok();
        assert!(passes(&owner, &unlisted));

        // The next release means something else by it: that is approved, and the old is not any more.
        let files = files("two");
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        let listed: Vec<String> = LISTED.iter().map(|text| owner.instantiate(text)).collect();
        let listed: Vec<&str> = listed.iter().map(String::as_str).collect();
        owner.release_files(&files, &listed);
        owner.touchstone(&["update"]).ok();
        let newer = drv(&owner, "unlisted");
        assert_ne!(newer, unlisted);
        assert!(passes(&owner, &newer) && !passes(&owner, &unlisted));

        // Forgotten, it approves nothing.
        let id = requests["requests"][0]["id"].as_str().unwrap().to_owned();
        owner.gate(&["requests", "--forget", &id]).ok();
        owner.gate(&["refresh"]).ok();
        assert!(!passes(&owner, &newer) && passes(&owner, &drv(&owner, "hello")));
    });
}

#[test]
fn refuses_a_source_that_no_signed_list_has_unless_root_names_it_and_broken_hashes_always() {
    on_each(|machine| {
        let owner = owner(machine);
        // A source that is listed, also when another derivation fetches the same bytes.
        for attribute in ["built", "again"] {
            let asked = build(&owner, &[attribute]);
            assert!(passes(&owner, &drv(&owner, attribute)), "{asked:?}");
        }
        let fresh = drv(&owner, "fresh");
        let next = refused(
            &build(&owner, &["fresh"]),
            "fresh.tar from https://example.org/fresh.tar (sha256)",
        );
        assert!(!passes(&owner, &fresh));
        // The advice, followed. (What it downloads is not there: the build fails, after it was let pass.)
        let named = next.split_once("--source ").unwrap().1;
        build(&owner, &["fresh", "--source", named]);
        assert!(passes(&owner, &fresh), "{next}");
        owner.gate(&["refresh"]).ok();
        assert!(passes(&owner, &fresh));
        let next = refused(&build(&owner, &["old"]), "(sha1)");
        assert!(next.contains("SHA-256"), "{next}");
        let path = next
            .split_whitespace()
            .find(|word| word.starts_with("/nix/store/"))
            .unwrap();
        refused(&build(&owner, &["old", "--source", path]), "(sha1)");
        assert!(!passes(&owner, &drv(&owner, "old")));
    });
}

#[test]
fn an_owners_expression_and_system_are_approved_built_and_switched_to_and_rolled_back() {
    on_each(|machine| {
        let owner = owner(machine);
        let file = owners(
            &owner,
            "owner/packages.nix",
            "{ pkgs, nixpkgs, system }: { ours = derivation { name = \"ours\"; inherit system; builder = \"/bin/sh\"; \
             args = [ \"-c\" \"echo $hello > $out\" ]; inherit (import nixpkgs { inherit system; }) hello; }; }",
        );
        let built = build(&owner, &["--file", &file, "ours"]).ok();
        assert!(built.ends_with("-ours"), "{built}");

        let configuration = owners(
            &owner,
            "owner/nixos/configuration.nix",
            "{ pkgs, ... }: { word = import <nixpkgs/data.nix>; }",
        );
        let profile = machine.path("profile").display().to_string();
        let switch = |action: &str| {
            owner.touchstone(&[
                "switch",
                action,
                "--configuration",
                &configuration,
                "--profile",
                &profile,
            ])
        };
        // The file is not there: the evaluation says so.
        let missing = switch("switch");
        assert_eq!(missing.code, Some(2), "{missing:?}");
        fs::write(&configuration, "{ pkgs, ... }: { word = \"first\"; }").unwrap();
        let word = || fs::read_to_string(resolve(machine, &profile).join("word")).unwrap();
        let ran = switch("switch");
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(word(), "first\n");
        assert_eq!(read(&last_line(&ran))["activated"], true, "{ran:?}");
        fs::write(&configuration, "{ pkgs, ... }: { word = \"second\"; }").unwrap();
        let ran = switch("boot");
        assert_eq!((ran.code, word().as_str()), (Some(0), "second\n"), "{ran:?}");
        owner.shell(&format!("nix-env --profile {profile} --rollback")).ok();
        assert_eq!(word(), "first\n");
        // The configuration that is there now is what is approved when the approvals are made anew.
        fs::write(&configuration, "{ pkgs, ... }: { word = \"third\"; }").unwrap();
        owner.gate(&["refresh"]).ok();
        let ran = switch("build");
        assert!(!ran.err.contains("asking for"), "{ran:?}");
        // Nor is what was remembered of it believed where only a file below changed.
        let below = std::path::Path::new(&configuration).with_file_name("more");
        fs::create_dir(&below).unwrap();
        fs::write(&configuration, "{ pkgs, ... }: { word = import ./more/word.nix; }").unwrap();
        for said in ["fourth", "fifth"] {
            fs::write(below.join("word.nix"), format!("\"{said}\"")).unwrap();
            owner.gate(&["refresh"]).ok();
            let ran = switch("switch");
            assert!(ran.code == Some(0) && !ran.err.contains("asking for"), "{ran:?}");
            assert_eq!(word(), format!("{said}\n"));
        }
    });
}

fn last_line(ran: &Ran) -> Ran {
    Ran {
        code: ran.code,
        out: ran.out.lines().last().unwrap_or_default().to_owned(),
        err: String::new(),
    }
}

/// Where a profile leads, seen from outside.
fn resolve(machine: &Machine, profile: &str) -> std::path::PathBuf {
    let generation = fs::read_link(profile).unwrap();
    let system = fs::read_link(std::path::Path::new(profile).with_file_name(generation)).unwrap();
    machine.store_directory().join(system.file_name().unwrap())
}

#[test]
fn refuses_a_configuration_that_somebody_else_could_change() {
    let Some(machine) = Machine::new("nix226") else { return };
    let owner = owner(&machine);
    let expression = "{ system }: derivation { name = \"x\"; inherit system; builder = \"/bin/sh\"; args = [ \"-c\" \"echo > $out\" ]; }";
    let file = owners(&owner, "owner/x.nix", expression);
    build(&owner, &["--file", &file]).ok();
    let path = machine.path("owner/x.nix");
    for foreign in [&path, &machine.path("owner"), &machine.path("owner/other.nix")] {
        if !foreign.exists() {
            fs::write(foreign, "1").unwrap();
        }
        chown(foreign, Some(3001), None).unwrap();
        let changed = expression.replace("\"x\"", &format!("\"y{}\"", foreign.as_os_str().len()));
        fs::write(&path, changed).unwrap();
        let next = refused(
            &build(&owner, &["--file", &file]),
            "to be root's and writable by nobody else",
        );
        assert!(next.contains("chown root"), "{next}");
        // Nor is what was asked for before evaluated again.
        let refreshed = read(&owner.gate(&["refresh"]));
        assert_eq!(
            refreshed["requests"][0]["trouble"]["code"], "not-the-owners",
            "{refreshed}"
        );
        chown(foreign, Some(0), None).unwrap();
    }
    build(&owner, &["--file", &file]).ok();
}

#[test]
fn evaluation_reads_the_signed_tree_and_the_owners_directory_and_nothing_else() {
    on_each(|machine| {
        let owner = owner(machine);
        let secret = machine.write("elsewhere/secret.nix", "{ }");
        let directory = machine.path("owner");
        fs::create_dir_all(&directory).unwrap();
        symlink(&secret, directory.join("link.nix")).unwrap();
        let wrap = |value: &str| {
            format!(
                "{{ system }}: derivation {{ name = \"x\"; inherit system; builder = \"/bin/sh\"; args = [ \"-c\" \"echo > $out\" ]; \
                 value = {value}; }}"
            )
        };
        // Over the socket, so that it is the approver that refuses, and not the client's own evaluation.
        let approver = Approver::start(&owner);
        for (value, said) in [
            ("builtins.readFile /etc/passwd".to_owned(), "forbidden in restricted mode"),
            (format!("builtins.toJSON (import {secret})"), "forbidden in restricted mode"),
            ("builtins.toJSON (import ./link.nix)".to_owned(), "forbidden in restricted mode"),
            ("builtins.fetchurl \"http://127.0.0.1:1/x\"".to_owned(), "forbidden in restricted mode"),
            (
                format!("builtins.fetchurl {{ url = \"file://{secret}\"; sha256 = \"{}\"; }}", "1".repeat(64)),
                "forbidden in restricted mode",
            ),
            ("builtins.fetchTarball { url = \"file:///tmp/x\"; sha256 = \"\"; }".to_owned(), "error"),
            (format!("builtins.fetchGit \"{}\"", machine.path("elsewhere").display()), "error"),
            ("builtins.toJSON (builtins.getFlake \"path:/tmp\")".to_owned(), "error"),
            (
                "builtins.readFile (derivation { name = \"ifd\"; inherit system; builder = \"/bin/sh\"; args = [ \"-c\" \"echo > $out\" ]; })"
                    .to_owned(),
                "import-from-derivation",
            ),
            ("builtins.storePath \"/nix/store/rw7inc1angha9y1sq6wsxk65crllgqr6-built-by-a-developer\"".to_owned(), "error"),
            ("builtins.exec [ \"id\" ]".to_owned(), "exec"),
        ] {
            let file = owners(&owner, "owner/x.nix", &wrap(&value));
            let answer = approver.ask(&json!({ "kind": "expression", "file": file }));
            let trouble = &answer["refused"];
            assert_eq!(trouble["code"], "evaluation", "{value}: {answer}");
            let reason = trouble["reason"].as_str().unwrap();
            assert!(reason.contains(said) || reason.contains("not allowed") || reason.contains("disabled"), "{value}: {answer}");
        }
        let file = owners(
            &owner,
            "owner/x.nix",
            &wrap("builtins.getEnv \"HOME\" + builtins.readFile ./beside.txt"),
        );
        fs::write(directory.join("beside.txt"), "beside").unwrap();
        let answer = approver.ask(&json!({ "kind": "expression", "file": file }));
        assert_eq!(answer["approved"]["derivations"], 1, "{answer}");
        assert_eq!(
            read(&owner.gate(&["requests"]))["requests"].as_array().unwrap().len(),
            1
        );
    });
}

#[test]
fn an_unprivileged_user_gets_nothing_approved_unless_the_owner_lets_them_and_then_only_what_people_signed() {
    on_each(|machine| {
        let owner = owner(machine);
        let _daemon = owner.daemon("");
        let _approver = Approver::start(&owner);
        let touchstone = format!(
            "{} --format json --state {}",
            binary("touchstone").display(),
            machine.path("state").display()
        );
        let ask = |user: &str, line: &str| machine.as_user(user, &format!("{touchstone} {line}"));
        let unlisted = drv(&owner, "unlisted");
        let own = machine.write(
            "home-ann/own.nix",
            "{ system }: derivation { name = \"own\"; inherit system; builder = \"/bin/sh\"; args = [ \"-c\" \"echo > $out\" ]; }",
        );
        // What is listed needs nobody.
        ask("ann", "build --no-out-link hello").ok();
        refused(
            &ask("ann", "build --no-out-link unlisted"),
            "only root may have what no release lists approved",
        );
        owner
            .gate(&[
                "on",
                "--without-nix-conf",
                "--hook",
                env!("CARGO_BIN_EXE_touchstone-hook"),
                "--request-group",
                "coders",
            ])
            .ok();
        refused(&ask("ann", "build --no-out-link unlisted"), "only members of coders");
        refused(
            &ask("dev", &format!("build --no-out-link --file {own}")),
            "only root may have an expression of its own",
        );
        refused(
            &ask(
                "dev",
                "build --no-out-link fresh --source rw7inc1angha9y1sq6wsxk65crllgqr6-x",
            ),
            "only root may take a source",
        );
        refused(&ask("dev", "build --no-out-link fresh"), "in no signed list");
        let configuration = machine.write("home-ann/configuration.nix", "{ word = \"x\"; }");
        refused(
            &ask("dev", &format!("switch build --configuration {configuration}")),
            "only root may have an expression",
        );
        assert_eq!(read(&owner.gate(&["requests"]))["requests"], json!([]));
        assert!(!passes(&owner, &unlisted));

        ask("dev", "build --no-out-link unlisted").ok();
        assert!(passes(&owner, &unlisted));
        // And everybody may build it then.
        machine.as_user("ann", &format!("nix-store --realise {unlisted}")).ok();
        let requests = read(&owner.gate(&["requests"]));
        assert_eq!(requests["requests"][0]["uid"], 3002, "{requests}");
    });
}

#[test]
fn the_evaluator_is_nobody_else_has_no_network_and_bounds() {
    let Some(machine) = Machine::new("nix226") else { return };
    let owner = owner(&machine);
    let tools = machine.path("tools");
    fs::create_dir_all(&tools).unwrap();
    // In the place of Nix: says who and where it is.
    let fake = "#!/bin/sh\nif [ \"$1\" = --version ]; then echo fake; exit; fi\n\
                echo \"error: uid=$(busybox id -u) groups=$(busybox id -G) pid=$PPID nets=$(busybox grep -c : /proc/net/dev) \
                address=$(busybox awk '/Max address space/ {print $4}' /proc/self/limits) \
                privileges=$(busybox awk '/NoNewPrivs/ {print $2}' /proc/self/status) \
                capabilities=$(busybox awk '/CapEff/ {print $2}' /proc/self/status) \
                variables=$(busybox env | busybox cut -d= -f1 | busybox sort | busybox tr '\\n' ,)\" >&2\nexit 1\n";
    let instantiate = tools.join("nix-instantiate");
    fs::write(&instantiate, fake).unwrap();
    fs::set_permissions(&instantiate, fs::Permissions::from_mode(0o755)).unwrap();
    let question = machine.write(
        "question.json",
        "{\"format\":1,\"wanted\":{\"kind\":\"packages\",\"attributes\":[\"unlisted\"]}}\n",
    );
    let approver = Approver::start_with(&owner, &format!("export PATH={}:$PATH SECRET=x;", tools.display()));
    let answer: Value = serde_json::from_str(&approver.ask_as_root(&question)).unwrap();
    let said = answer["refused"]["reason"].as_str().unwrap();
    for fact in [
        "uid=3009",
        "groups=3009",
        "pid=1 ",
        "nets=1 ",
        "address=8589934592",
        "privileges=1",
        "capabilities=0000000000000000",
    ] {
        assert!(said.contains(fact), "{fact}: {answer}");
    }
    assert!(!said.contains("SECRET") && said.contains("NIX_REMOTE"), "{answer}");
    drop(approver);

    // It ends in time, and with it all that it started.
    let mark = "86399";
    let slow = format!(
        "#!/bin/sh\nif [ \"$1\" = --version ]; then echo fake; exit; fi\nbusybox setsid busybox sleep {mark} &\nbusybox sleep {mark}\n"
    );
    fs::write(&instantiate, slow).unwrap();
    owner
        .gate(&[
            "on",
            "--without-nix-conf",
            "--hook",
            env!("CARGO_BIN_EXE_touchstone-hook"),
            "--evaluation-seconds",
            "1",
        ])
        .ok();
    let approver = Approver::start_with(&owner, &format!("export PATH={}:$PATH;", tools.display()));
    let start = Instant::now();
    let answer: Value = serde_json::from_str(&approver.ask_as_root(&question)).unwrap();
    assert_eq!(answer["refused"]["code"], "too-long", "{answer}");
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    let left = fs::read_dir("/proc").unwrap().filter_map(Result::ok).filter(|entry| {
        let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        words.split(|byte| *byte == 0).any(|word| word == mark.as_bytes())
    });
    assert_eq!(left.count(), 0);
    drop(approver);

    // And within its memory, with real Nix.
    fs::remove_file(&instantiate).unwrap();
    let limits = ["--evaluation-seconds", "60", "--evaluation-memory", "1000"];
    owner
        .gate(
            &[
                &[
                    "on",
                    "--without-nix-conf",
                    "--hook",
                    env!("CARGO_BIN_EXE_touchstone-hook"),
                ][..],
                &limits,
            ]
            .concat(),
        )
        .ok();
    let greedy = owners(
        &owner,
        "owner/greedy.nix",
        "builtins.foldl' (all: n: all + all) \"0123456789abcdef\" (builtins.genList (n: n) 40)",
    );
    let approver = Approver::start(&owner);
    let small = owners(&owner, "small/small.nix", "{ pkgs }: pkgs.unlisted");
    let answer = approver.ask(&json!({ "kind": "expression", "file": small }));
    assert!(answer["approved"]["derivations"].is_number(), "{answer}");
    let answer = approver.ask(&json!({ "kind": "expression", "file": greedy }));
    assert_eq!(answer["refused"]["code"], "evaluation", "{answer}");
    assert!(
        answer["refused"]["reason"].as_str().unwrap().contains("memory"),
        "{answer}"
    );
}

#[test]
fn refuses_questions_that_are_none() {
    let Some(machine) = Machine::new("nix28") else { return };
    let owner = owner(&machine);
    let approver = Approver::start(&owner);
    for bad in [
        "\n".to_owned(),
        "{}\n".to_owned(),
        "GET / HTTP/1.1\r\n\r\n".to_owned(),
        format!("{}\n", "[".repeat(100_000)),
        "{\"format\":2,\"wanted\":{\"kind\":\"packages\",\"attributes\":[\"hello\"]}}\n".to_owned(),
        "{\"format\":1,\"wanted\":{\"kind\":\"packages\",\"attributes\":[\"hello; evil\"]}}\n".to_owned(),
        "{\"format\":1,\"wanted\":{\"kind\":\"system\",\"configuration\":\"relative.nix\"}}\n".to_owned(),
    ] {
        let file = machine.write("question.json", &bad);
        let answer: Value = serde_json::from_str(&approver.ask_as_root(&file)).unwrap();
        assert_eq!(answer["refused"]["code"], "question", "{bad:.80}: {answer}");
    }
    let file = machine.write(
        "question.json",
        "{\"format\":1,\"wanted\":{\"kind\":\"packages\",\"attributes\":[\"hello\"]}}\n",
    );
    let answer: Value = serde_json::from_str(&approver.ask_as_root(&file)).unwrap();
    assert_eq!(answer["approved"]["derivations"], 1, "{answer}");
}
