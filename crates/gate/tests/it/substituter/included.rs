//! What `gate on` leaves for a `nix.conf` that is somebody else's.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use gate::Place;
use testkit::world::binary;

use super::{Builders, key};
use crate::machine::{ORIGIN, on_each};

/// As the NixOS module has it: `nix.conf` is somebody else's, and includes what only this machine knows.
#[test]
fn a_nix_conf_that_includes_the_gates_file_substitutes_until_no_cache_is_asked() {
    on_each(|machine| {
        let builders = Builders::new(machine, 1);
        let listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let touchstone = binary("touchstone").display().to_string();
        let state = machine.path("state").display().to_string();
        let place = Place::new(machine.path("state/gate"));
        let on = |more: &[&str]| {
            let hook = env!("CARGO_BIN_EXE_touchstone-hook");
            let line = [
                &touchstone,
                "--state",
                &state,
                "gate",
                "on",
                "--without-nix-conf",
                "--hook",
                hook,
            ];
            machine.nix(&[&line[..], more].concat())
        };
        let (key, cache) = (key(1).public().to_string(), &builders.urls()[0]);
        let asks = ["--cache", cache, "--builder-key", &key, "--listen"];
        let elsewhere = on(&[&asks[..], &["192.0.2.1:8412"]].concat());
        assert_eq!(elsewhere.code, Some(2), "{elsewhere:?}");
        assert!(elsewhere.err.contains("not on the loopback interface"), "{elsewhere:?}");
        let address = listen.to_string();
        let asks_here = [&asks[..], &[&address]].concat();
        let before_all = on(&asks_here);
        assert_eq!(before_all.code, Some(3), "{before_all:?}");
        assert!(before_all.err.contains("touchstone subscribe"), "{before_all:?}");
        assert!(!place.directory().exists(), "what was refused changes nothing");
        let chain = "a".repeat(64);
        let subscribe = [
            "subscribe",
            "--no-fetch",
            "--url",
            "https://example.org/t",
            "--chain",
            &chain,
            "--channel",
            "unstable",
            "--floor-root",
            "1",
            "--floor-release",
            "1",
        ];
        machine
            .nix(&[&[&touchstone, "--state", &state][..], &subscribe].concat())
            .ok();
        on(&asks_here).ok();
        // No release is installed here, so `gate on` approved nothing.
        let approve = || machine.draft(&[&builders.derivation]).write(&place, ORIGIN).unwrap();
        approve();
        let included = place.directory().join("substituter.conf");
        let substitute = || {
            let configuration = machine.write(
                "etc-nix/nix.conf",
                &format!(
                    "substituters = \ntrusted-public-keys = \nrequire-sigs = true\nmax-jobs = 0\n\
                     narinfo-cache-negative-ttl = 0\n!include {}\n",
                    included.display()
                ),
            );
            let directory = std::path::Path::new(&configuration)
                .parent()
                .unwrap()
                .display()
                .to_string();
            let line = format!(
                "unset NIX_CONFIG; NIX_CONF_DIR={directory} exec nix-store --realise {}",
                builders.output
            );
            machine.nix(&["sh", "-c", &line])
        };
        let mut command = Command::new(&touchstone);
        let mut process = command
            .args(["--state", &state, "gate", "serve"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let start = Instant::now();
        while TcpStream::connect(listen).is_err() && start.elapsed() < Duration::from_secs(20) {
            thread::sleep(Duration::from_millis(20));
        }
        let given = substitute();
        let _ = process.kill().and_then(|()| process.wait().map(drop));
        given.ok();
        builders.forget();
        on(&["--no-caches"]).ok();
        approve();
        assert_eq!(
            fs::read_to_string(&included).unwrap(),
            "substituters = \ntrusted-public-keys = \n"
        );
        assert_ne!(substitute().code, Some(0));
        let nothing = Command::new(&touchstone)
            .args(["--state", &state, "gate", "serve"])
            .output()
            .unwrap();
        assert_eq!(nothing.status.code(), Some(2), "{nothing:?}");
    });
}
