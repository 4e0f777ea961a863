//! Who asks, and what they try: users of a daemon.

use crate::machine::{Machine, on_each};

#[test]
fn a_user_of_the_daemon_builds_what_is_approved_and_nothing_else_whatever_options_they_give() {
    on_each(|machine| {
        let good = machine.instantiate(&Machine::plain("good", ""));
        machine.approve(&[&good]);
        let _daemon = machine.daemon();
        let bad = machine.write("bad.nix", &Machine::plain("bad", ""));
        let (_, mut before) = ((), 0);
        for options in [
            "",
            "--option sandbox false",
            "--option pre-build-hook \"\"",
            "--option sandbox relaxed",
            "--option builders \"ssh://elsewhere\"",
            "--option substituters \"file:///tmp/evil\" --option require-sigs false",
            "--option build-hook \"\"",
        ] {
            let ran = machine.as_user("ann", &format!("nix-build --no-out-link {bad} {options}"));
            ran.refused_by_hook();
            assert_eq!(machine.refusals(), before + 1, "{options}");
            before += 1;
            assert_eq!(machine.last_refusal().0, "not-approved", "{options}");
        }
        let chroot = machine.write("chroot.nix", &Machine::plain("noChroot", "__noChroot = true;"));
        let ran = machine.as_user(
            "ann",
            &format!("nix-build --no-out-link {chroot} --option sandbox false"),
        );
        assert_ne!(ran.code, Some(0), "{ran:?}");
        assert!(ran.err.contains("__noChroot"), "{ran:?}");
        let good = machine.write("good.nix", &Machine::plain("good", ""));
        machine.as_user("ann", &format!("nix-build --no-out-link {good}")).ok();
    });
}

#[test]
fn the_refusal_names_the_user_that_the_kernel_names() {
    on_each(|machine| {
        let _daemon = machine.daemon();
        let bad = machine.write("bad.nix", &Machine::plain("bad", ""));
        for (user, uid) in [("ann", 3001), ("dev", 3002)] {
            machine
                .as_user(user, &format!("nix-build --no-out-link {bad}"))
                .refused_by_hook();
            let entry = gate::refusals::newest(&machine.place, 1).unwrap().pop().unwrap();
            assert_eq!(entry.client.map(|client| client.uid), Some(uid));
        }
    });
}

#[test]
fn a_developer_builds_anything_in_the_sandbox_and_nothing_of_it_becomes_approved() {
    on_each(|machine| {
        machine.set(|settings| settings.developer_group = Some("coders".to_owned()));
        let _daemon = machine.daemon();
        let own = machine.write("own.nix", &Machine::plain("own", ""));
        machine
            .as_user("ann", &format!("nix-build --no-out-link {own}"))
            .refused_by_hook();
        let output = machine.as_user("dev", &format!("nix-build --no-out-link {own}")).ok();
        // What lies in the store may be used as it lies there; no profile takes it, and nothing is built from it.
        let env = machine.as_user("ann", &format!("nix-env -p $HOME/profile -i {output}"));
        env.refused_by_hook();
        assert_eq!(machine.last_refusal().0, "object");
        let built = Machine::plain("from", &format!("src = builtins.storePath \"{output}\";"));
        let from = machine.write("from.nix", &built);
        machine
            .as_user("ann", &format!("nix-build --no-out-link {from}"))
            .refused_by_hook();
        // And the developer stops where the gate itself is in doubt.
        std::fs::remove_file(machine.place.approvals()).unwrap();
        let more = machine.write("more.nix", &Machine::plain("more", ""));
        machine
            .as_user("dev", &format!("nix-build --no-out-link {more}"))
            .refused_by_hook();
        assert_eq!(machine.last_refusal().0, "approvals");
    });
}

#[test]
fn root_is_refused_too() {
    on_each(|machine| {
        machine.set(|settings| settings.developer_group = Some("coders".to_owned()));
        let bad = machine.instantiate(&Machine::plain("bad", ""));
        machine.refuses(&bad, "not-approved");
        let _daemon = machine.daemon();
        let ran = machine.nix(&["env", "NIX_REMOTE=daemon", "nix-store", "--realise", &bad]);
        ran.refused_by_hook();
        let entry = gate::refusals::newest(&machine.place, 1).unwrap().pop().unwrap();
        assert_eq!(entry.client.map(|client| client.uid), Some(0));
    });
}
