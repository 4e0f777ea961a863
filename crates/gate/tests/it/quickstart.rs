//! docs/quickstart-gate.md, word for word, as somebody who has a machine with Nix and has never seen a gate.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
};

use testkit::world::binary;

use crate::{
    command::Owner,
    machine::{Machine, Ran, on_each, run},
};

/// The blocks that are typed, in order.
fn blocks() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/quickstart-gate.md");
    let text = fs::read_to_string(path).unwrap();
    text.split("```sh\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap().to_owned())
        .collect()
}

/// What is listed: what `hello` of the channel is.
const HELLO: &str = "(import ./. { }).hello";

const SET: &str = "{ system ? builtins.currentSystem, config ? { }, overlays ? [ ] }: { hello = derivation { name = \"hello\"; \
                   inherit system; builder = \"/bin/sh\"; args = [ \"-c\" \"mkdir -p $out/bin; echo hi > $out/bin/hello\" ]; }; }";

/// A machine whose `/etc` and `/var/lib/touchstone` are its own, and the commands that a newcomer has.
struct Newcomer<'a> {
    owner: Owner<'a>,
    before: String,
}

impl<'a> Newcomer<'a> {
    fn new(machine: &'a Machine) -> Self {
        let tree = machine.write("tree/default.nix", SET);
        let hello = HELLO.replace("./.", Path::new(&tree).parent().unwrap().to_str().unwrap());
        let owner = Owner::of(machine, &[("default.nix", SET)], &[&hello]);
        // Nothing was subscribed or installed yet.
        fs::remove_dir_all(machine.path("state")).unwrap();
        let bin = machine.path("bin");
        fs::create_dir_all(&bin).unwrap();
        for name in ["touchstone", "touchstone-hook"] {
            symlink(binary(name), bin.join(name)).unwrap();
        }
        let program = |name: &str, text: &str| {
            fs::write(bin.join(name), format!("#!/bin/sh\n{text}\n")).unwrap();
            fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        };
        let pid = machine.path("daemon.pid").display().to_string();
        // There is no systemd here: these do what it would.
        program(
            "systemctl",
            &format!(
                "test \"$*\" = 'restart nix-daemon' || exit 1\nsocket=/nix/var/nix/daemon-socket/socket\n\
                 if test -e {pid}; then busybox kill $(busybox cat {pid}); fi; busybox rm -f $socket\n\
                 unset NIX_REMOTE\nbusybox setsid nix-daemon >/dev/null 2>&1 & echo $! > {pid}\n\
                 while ! test -S $socket; do busybox sleep 0.05; done"
            ),
        );
        program(
            "useradd",
            "for name; do :; done; echo $name:x:3009:3009::/:/bin/false >> /etc/passwd",
        );
        let before = format!(
            "busybox mkdir -p {home}/state; \
             if ! busybox test -e {home}/root-etc; then busybox cp -r /etc {home}/root-etc; busybox cp {home}/nix-conf/nix.conf {home}/root-etc/nix/nix.conf; fi; \
             busybox mount --bind {home}/root-etc /etc; busybox mkdir -p /var/lib/touchstone; busybox mount --bind {home}/state /var/lib/touchstone; \
             export PATH={home}/bin:$PATH HOME={home}/home NIX_REMOTE=daemon; unset NIX_CONFIG; busybox mkdir -p $HOME; cd $HOME; \
             mkdir() {{ busybox mkdir \"$@\"; }}; cp() {{ busybox cp \"$@\"; }};",
            home = machine.path("").display().to_string().trim_end_matches('/'),
        );
        Self { owner, before }
    }

    fn types(&self, block: &str) -> Ran {
        let url = format!("file://{}", self.owner.machine.path("site").display());
        let chain = self.owner.chain.id().to_string();
        let block = block
            .replace("https://example.org/touchstone", &url)
            .replace("CHAIN", &chain);
        let block = block.replace("sudo ", "");
        run(self
            .owner
            .machine
            .command("sh")
            .args(["-c", &format!("{}\nset -e\n{block}", self.before)]))
    }
}

impl Drop for Newcomer<'_> {
    fn drop(&mut self) {
        let pid = fs::read_to_string(self.owner.machine.path("daemon.pid")).unwrap_or_default();
        if let Some(pid) = pid.trim().parse().ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

#[test]
fn the_quickstart_for_the_gate_works_word_for_word() {
    on_each(|machine| {
        let newcomer = Newcomer::new(machine);
        let blocks = blocks();
        let [subscribe, on, package, refused, why, own, requests, off] = &blocks[..] else {
            panic!("the quickstart has other blocks: {blocks:?}")
        };
        newcomer.types("systemctl restart nix-daemon").ok();
        newcomer.types(subscribe).ok();
        let ran = newcomer.types(on);
        assert!(ran.code == Some(0) && ran.out.contains("the gate holds"), "{ran:?}");
        let ran = newcomer.types(package);
        assert!(ran.code == Some(0) && ran.out.contains("-hello"), "{ran:?}");
        newcomer.types(refused).refused_by_hook();
        let ran = newcomer.types(why);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(
            ran.out.contains("mine.drv is not approved") && ran.out.contains("touchstone build --file"),
            "{ran:?}"
        );
        let ran = newcomer.types(own);
        assert!(ran.code == Some(0) && ran.out.contains("-mine"), "{ran:?}");
        let ran = newcomer.types(requests);
        assert!(
            ran.code == Some(0) && ran.out.contains("/etc/touchstone/mine.nix"),
            "{ran:?}"
        );
        assert!(ran.out.contains("mine.drv"), "the refusal is not shown: {ran:?}");
        newcomer.types(off).ok();
        let ran = newcomer.types(
            "nix-build --no-out-link -E 'derivation { name = \"free\"; system = builtins.currentSystem; \
                                  builder = \"/bin/sh\"; args = [ \"-c\" \"echo > $out\" ]; }'",
        );
        assert_eq!(ran.code, Some(0), "{ran:?}");
    });
}
