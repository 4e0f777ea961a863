//! `touchstone gate`, as the owner of a machine and its users type it, from a signed channel to a refused build and back.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use attestation::Time;
use nixstore::{Manifest, StorePath};
use serde_json::Value;
use testkit::{ChannelTarball, TestChain, world::binary};

use crate::machine::{Machine, Ran, on_each, store_path};

const HELLO: &str = "derivation { name = \"hello\"; system = \"x86_64-linux\"; builder = \"/bin/sh\"; args = [ \"-c\" \
                     \"echo hi > $out\" ]; }";

/// What `ci/nix.sh` configures, and what an owner may have written.
const NIX_CONF: &str = "build-users-group =\nsandbox-paths = /bin/sh=/bin/busybox\nsubstituters =\ntarball-ttl = 0\n\
                        experimental-features = nix-command flakes\ntrusted-users = root ann\nsandbox-fallback = true\n\
                        # the owner's own words";

/// A machine that has installed release 1 of a signed channel, and whose owner has said nothing of a gate yet.
pub(crate) struct Owner<'a> {
    pub(crate) machine: &'a Machine,
    pub(crate) chain: TestChain,
}

impl<'a> Owner<'a> {
    pub(crate) fn new(machine: &'a Machine) -> Self {
        Self::of(machine, &[("default.nix", "1")], &[HELLO])
    }

    /// As [`Self::new`], of a channel of these files that lists what these expressions mean.
    pub(crate) fn of(machine: &'a Machine, files: &[(&str, &str)], listed: &[&str]) -> Self {
        let listed: Vec<String> = listed.iter().map(|text| (*text).to_owned()).collect();
        Self::of_conf(machine, files, &listed, "")
    }

    /// As [`Self::of`], with more in `nix.conf`.
    pub(crate) fn of_conf(machine: &'a Machine, files: &[(&str, &str)], listed: &[String], conf: &str) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        fs::remove_dir_all(machine.place.directory()).unwrap();
        machine.write("nix-conf/nix.conf", &format!("{NIX_CONF}{conf}"));
        let mut owner = Self {
            machine,
            chain: TestChain::new(Time::from_unix(i64::try_from(now).unwrap())),
        };
        let listed: Vec<String> = listed.iter().map(|text| owner.instantiate(text)).collect();
        let listed: Vec<&str> = listed.iter().map(String::as_str).collect();
        owner.release_files(files, &listed);
        let chain = owner.chain.id().to_string();
        let url = format!("file://{}", machine.path("site").display());
        owner
            .touchstone(&[
                "subscribe",
                "--url",
                &url,
                "--chain",
                &chain,
                "--channel",
                "unstable",
                "--floor-root",
                "1",
                "--floor-release",
                "1",
            ])
            .ok();
        owner.touchstone(&["update"]).ok();
        owner
    }

    /// Evaluates an expression without any gate.
    pub(crate) fn instantiate(&self, expression: &str) -> String {
        let line = ["env", "NIX_CONFIG=", "nix-instantiate", "-E", expression];
        self.machine.nix(&line).ok()
    }

    /// Releases a channel whose list of derivations is these and what they need.
    pub(crate) fn release(&mut self, text: &str, derivations: &[&str]) {
        self.release_files(&[("default.nix", text)], derivations);
    }

    /// As [`Self::release`], of these files.
    pub(crate) fn release_files(&mut self, files: &[(&str, &str)], derivations: &[&str]) {
        let tarball = ChannelTarball::new(files);
        let listed: BTreeMap<StorePath, _> = derivations
            .iter()
            .map(|path| {
                (
                    store_path(path),
                    self.machine.store().recipe(&store_path(path)).unwrap().derivation,
                )
            })
            .collect();
        let manifest = Manifest::new("x86_64-linux", &listed).to_text();
        let files: &[(&str, &[u8])] = &[
            ("nixexprs.tar.xz", &tarball.bytes),
            ("derivations-x86_64-linux.txt", manifest.as_bytes()),
        ];
        self.chain.release_with("unstable", files, &["alice", "bob"], |claims| {
            let release = claims.mark.as_mut().and_then(|mark| mark.release.as_mut());
            let release = release.unwrap();
            (release.channel_nar, release.tree_nar) = (tarball.nar, tarball.tree_nar);
        });
        self.serve();
    }

    /// Serves the chain as it is.
    pub(crate) fn serve(&self) {
        let site = self.machine.path("site");
        let _ = fs::remove_dir_all(&site);
        self.chain.write_to(&site).unwrap();
    }

    fn conf(&self) -> PathBuf {
        self.machine.path("nix-conf/nix.conf")
    }

    /// Runs a line of shell on the machine, with its own `nix.conf`.
    pub(crate) fn shell(&self, line: &str) -> Ran {
        let conf = self.machine.path("nix-conf");
        let users = self.machine.users();
        let line = format!(
            "{users} unset NIX_CONFIG; export NIX_CONF_DIR={}; {line}",
            conf.display()
        );
        self.machine.nix(&["sh", "-c", &line])
    }

    pub(crate) fn touchstone(&self, arguments: &[&str]) -> Ran {
        let program = binary("touchstone");
        self.shell(&format!(
            "exec {} --format json --state {} {}",
            program.display(),
            self.machine.path("state").display(),
            arguments.join(" ")
        ))
    }

    pub(crate) fn gate(&self, arguments: &[&str]) -> Ran {
        self.touchstone(&[&["gate"], arguments].concat())
    }

    pub(crate) fn on(&self) -> Ran {
        let conf = self.machine.path("nix-conf").display().to_string();
        let hook = env!("CARGO_BIN_EXE_touchstone-hook");
        self.gate(&["on", "--nix-conf-dir", &conf, "--hook", hook])
    }

    pub(crate) fn daemon(&self, more: &str) -> crate::machine::Daemon {
        let conf = self.machine.path("nix-conf");
        self.machine.daemon_with(&format!(
            "unset NIX_CONFIG; export NIX_CONF_DIR={}; {more}",
            conf.display()
        ))
    }

    pub(crate) fn user(&self, line: &str) -> Ran {
        self.machine.as_user("ann", line)
    }
}

pub(crate) fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{ran:?}"))
}

/// The checks that do not hold.
fn wrong(ran: &Ran) -> Vec<String> {
    let json = json(ran);
    let checks = json["checks"].as_array().unwrap();
    let bad = checks.iter().filter(|check| check["holds"] == false);
    bad.map(|check| check["what"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn from_a_signed_channel_to_a_gate_that_holds_and_back() {
    on_each(|machine| {
        let owner = Owner::new(machine);
        let on = owner.on();
        assert_eq!(json(&on)["releases"], serde_json::json!([1]), "{on:?}");
        {
            let _daemon = owner.daemon("");
            let check = owner.gate(&["check"]);
            assert_eq!(wrong(&check), Vec::<String>::new(), "{check:?}");
            assert_eq!(check.code, Some(0));
            let hello = machine.write("hello.nix", HELLO);
            let built = owner.user(&format!("nix-build --no-out-link {hello}"));
            assert_eq!(built.code, Some(0), "{built:?}\n{:?}", owner.gate(&["status"]));
            let bad = machine.write("bad.nix", &Machine::plain("bad", ""));
            // ann was a trusted user before.
            let refused = owner.user(&format!("nix-build --no-out-link {bad} --option sandbox false"));
            refused.refused_by_hook();
            let derivation = owner.user(&format!("nix-instantiate {bad}")).ok();
            let why = owner.gate(&["why", &derivation]);
            assert_eq!(why.code, Some(1), "{why:?}");
            let reason = &json(&why)["reasons"][0];
            assert_eq!(reason["code"], "not-approved");
            assert!(reason["next"].as_str().unwrap().contains("signed channel"));
            let status = json(&owner.gate(&["status", "--last", "1"]));
            assert_eq!(status["refusals"][0]["derivation"], derivation.as_str(), "{status}");
            assert_eq!(status["refusals"][0]["client"]["uid"], 3001, "{status}");
            let good = owner.user(&format!("nix-instantiate {hello}")).ok();
            let why = owner.gate(&["why", &good]);
            assert_eq!(
                (why.code, json(&why)["passes"].clone()),
                (Some(0), Value::Bool(true)),
                "{why:?}"
            );
        }
        let conf = machine.path("nix-conf").display().to_string();
        owner.gate(&["off", "--nix-conf-dir", &conf]).ok();
        assert_eq!(fs::read_to_string(owner.conf()).unwrap(), NIX_CONF);
        let _daemon = owner.daemon("");
        let bad = machine.write("bad.nix", &Machine::plain("bad", ""));
        owner.user(&format!("nix-build --no-out-link {bad}")).ok();
        let check = owner.gate(&["check"]);
        assert_eq!(check.code, Some(1));
        assert!(
            wrong(&check).contains(&"a build that must be refused".to_owned()),
            "{check:?}"
        );
    });
}

#[test]
fn check_finds_a_daemon_that_is_told_otherwise() {
    on_each(|machine| {
        let owner = Owner::new(machine);
        owner.on().ok();
        let newline = "$(printf '\\\\n')";
        for (environment, setting) in [
            ("export NIX_CONFIG='sandbox = false';", "setting sandbox"),
            ("export NIX_CONFIG='pre-build-hook =';", "setting pre-build-hook"),
            ("export NIX_CONFIG='trusted-users = root ann';", "setting trusted-users"),
            ("export NIX_CONFIG='sandbox = relaxed';", "setting sandbox"),
            ("export NIX_CONFIG='builders = ssh://elsewhere';", "setting builders"),
            (
                "export NIX_CONFIG='substituters = http://127.0.0.1:9';",
                "setting substituters",
            ),
            (
                "export NIX_CONFIG='extra-experimental-features = ca-derivations';",
                "setting experimental-features",
            ),
        ] {
            assert!(!environment.contains(newline));
            let _daemon = owner.daemon(environment);
            let check = owner.gate(&["check"]);
            assert_eq!(check.code, Some(1), "{environment}: {check:?}");
            assert!(wrong(&check).contains(&setting.to_owned()), "{environment}: {check:?}");
        }
        let _daemon = owner.daemon("");
        assert_eq!(owner.gate(&["check"]).code, Some(0));
        // Damage at rest is found too, before somebody's build finds it.
        let mut approvals = fs::read(machine.place.approvals()).unwrap_or_default();
        let place = gate::Place::new(machine.path("state/gate"));
        assert!(approvals.is_empty());
        approvals = fs::read(place.approvals()).unwrap();
        *approvals.last_mut().unwrap() ^= 1;
        fs::write(place.approvals(), approvals).unwrap();
        assert!(wrong(&owner.gate(&["check"])).contains(&"approvals".to_owned()));
        owner.gate(&["refresh"]).ok();
        assert_eq!(owner.gate(&["check"]).code, Some(0));
    });
}

#[test]
fn approvals_follow_the_installed_releases_and_a_changed_list_is_refused() {
    let Some(machine) = Machine::new("nix226") else { return };
    let mut owner = Owner::new(&machine);
    owner.on().ok();
    let other = machine.instantiate(&Machine::plain("other", ""));
    let passes = |owner: &Owner<'_>| owner.gate(&["why", &other]).code == Some(0);
    assert!(!passes(&owner));
    owner.release("2", &[&other]);
    owner.touchstone(&["update", "--without-gate"]).ok();
    // Somebody changes the list on its way.
    let site = machine.path("site/targets/unstable");
    let list = fs::read_dir(&site).unwrap().map(|entry| entry.unwrap().path());
    let lists: Vec<_> = list
        .filter(|path| path.to_string_lossy().contains("derivations-"))
        .collect();
    let honest: Vec<_> = lists.iter().map(|path| fs::read(path).unwrap()).collect();
    for path in &lists {
        let text = fs::read_to_string(path).unwrap();
        fs::write(path, text.replacen("other", "evil!", 1).replacen("hello", "evil!", 1)).unwrap();
    }
    let refused = owner.gate(&["refresh"]);
    assert_ne!(refused.code, Some(0), "{refused:?}");
    assert_eq!(json(&refused)["error"]["code"], "no-manifest", "{refused:?}");
    assert!(!passes(&owner));
    for (path, bytes) in lists.iter().zip(honest) {
        fs::write(path, bytes).unwrap();
    }
    let refreshed = owner.gate(&["refresh"]);
    assert_eq!(json(&refreshed)["releases"], serde_json::json!([1, 2]), "{refreshed:?}");
    assert!(passes(&owner));
}

#[test]
fn only_root_switches_the_gate_and_a_nix_conf_of_the_system_is_left_alone() {
    let Some(machine) = Machine::new("nix28") else { return };
    let owner = Owner::new(&machine);
    let conf = owner.conf();
    fs::rename(&conf, machine.path("nix-conf/made")).unwrap();
    std::os::unix::fs::symlink("made", &conf).unwrap();
    let refused = owner.on();
    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert!(
        json(&refused)["error"]["next"]
            .as_str()
            .unwrap()
            .contains("services.touchstone")
    );
    let program = binary("touchstone");
    let user = machine.as_user("ann", &format!("{} --format json gate on", program.display()));
    assert_eq!(
        (user.code, json(&user)["error"]["code"].clone()),
        (Some(3), "not-root".into()),
        "{user:?}"
    );
}
