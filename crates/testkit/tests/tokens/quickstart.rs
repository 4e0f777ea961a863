//! docs/quickstart-contributors.md, word for word, as a new user with a new token.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
};

use testkit::{
    TokenBench, World,
    token_bench::{ADMIN_PIN, PIN, VirtualCard},
    world::{PEOPLE, binary},
};

use crate::common::SPARE;

/// The blocks that a user types, in order.
fn blocks() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/quickstart-contributors.md");
    let text = fs::read_to_string(path).unwrap();
    text.split("```sh\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap().to_owned())
        .collect()
}

/// Somebody at a computer of their own: their commands, their home, a pinentry that types what they think of.
struct Dora<'w> {
    world: &'w World,
    _card: VirtualCard,
}

impl<'w> Dora<'w> {
    fn new(world: &'w World, bench: &TokenBench) -> Self {
        let bin = world.path("dora/bin");
        fs::create_dir_all(&bin).unwrap();
        std::os::unix::fs::symlink(binary("assay"), bin.join("assay")).unwrap();
        // The factory's PINs until a new one was typed.
        let pinentry = format!(
            "#!/bin/sh\nstate={}\necho OK\nwhile read word rest; do\n  case $word in\n  SETPROMPT) prompt=$rest ;;\n  GETPIN)\n    \
             case $prompt in\n    'new PIN:') touch $state/pin; echo 'D {PIN}' ;;\n    \
             'new admin PIN:') touch $state/admin; echo 'D {ADMIN_PIN}' ;;\n    \
             'PIN:') if [ -e $state/pin ]; then echo 'D {PIN}'; else echo 'D 123456'; fi ;;\n    \
             'admin PIN:') if [ -e $state/admin ]; then echo 'D {ADMIN_PIN}'; else echo 'D 12345678'; fi ;;\n    esac ;;\n  esac\n  \
             echo OK\ndone\n",
            world.path("dora").display()
        );
        fs::write(bin.join("pinentry"), pinentry).unwrap();
        fs::set_permissions(bin.join("pinentry"), fs::Permissions::from_mode(0o755)).unwrap();
        Self {
            world,
            _card: bench.plug(world, 0, SPARE, &[]),
        }
    }

    /// Types a block where the one before has led.
    fn types(&self, block: &str) -> String {
        let place = self.world.path("dora");
        let remembered = place.join("where");
        let from = fs::read_to_string(&remembered).unwrap_or_else(|_| place.display().to_string());
        let script = format!(
            "set -e\ncd '{}'\n{block}\npwd > '{}'\n",
            from.trim(),
            remembered.display()
        );
        let mut shell = self.world.plain_command();
        let environment: Vec<_> = shell
            .get_envs()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
            .collect();
        shell = Command::new("sh");
        shell.args(["-c", &script]).env_clear().envs(environment);
        let path = std::env::var("PATH").unwrap();
        let output = shell
            .env("PATH", format!("{}:{path}", place.join("bin").display()))
            .env("HOME", &place)
            .env("GNUPGHOME", place.join(".gnupg"))
            .env("XDG_STATE_HOME", place.join("state"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(output.status.success(), "{block}\n{said}");
        said
    }
}

#[test]
fn the_quickstart_for_contributors_works_word_for_word() {
    let world = World::published();
    let Some(bench) = TokenBench::start(&world) else { return };
    let dora = Dora::new(&world, &bench);
    let blocks = blocks();
    let [pins, enroll, clone, doctor, daily] = &blocks[..] else {
        panic!("the quickstart has other blocks: {blocks:?}")
    };
    dora.types(pins);
    let said = dora.types(enroll);
    assert!(
        said.contains("[people.dora]") && said.contains("dora.revoked.asc"),
        "{said}"
    );

    // What those of role root do with what she sends them.
    fs::copy(world.path("dora/dora.asc"), world.path("keys/dora.asc")).unwrap();
    let policy = world.policy(&[&PEOPLE[..], &["dora"]].concat());
    fs::write(
        world.path("policy.toml"),
        policy.replace("\"carol\", \"dora\"]\nthreshold", "\"carol\"]\nthreshold"),
    )
    .unwrap();
    world
        .assay(
            "alice",
            &["policy", "propose", "policy.toml", "--certificate", "keys/dora.asc"],
        )
        .ok();
    world.sign(&["alice", "bob"]);
    world.assay("alice", &["publish"]).ok();
    world.upstream_bump();
    world.assay("alice", &["import", "--channel", "unstable"]).ok();

    dora.types(&clone.replace("CHAIN", &world.chain()));
    let said = dora.types(doctor);
    assert!(
        said.contains("is dora's in the policy") && !said.contains("WRONG"),
        "{said}"
    );
    let said = dora.types(daily);
    assert!(said.contains("1 changes approved"), "{said}");
    let log = world.assay("alice", &["queue", "--channel", "unstable"]).ok();
    assert!(!log.to_string().contains("\"could\":[\"dora\""), "{log}");
}
