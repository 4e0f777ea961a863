//! A machine whose owner and users ask for what no release lists: the package set, the service, and what is typed.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use testkit::world::binary;

use crate::{
    command::Owner,
    machine::{Machine, Ran},
};

/// The package set: `hello` is listed, the others are not.
const SET: &str = r#"{ system, config ? { }, overlays ? [ ] }:
let
  sh = name: more: derivation ({ inherit name system; builder = "/bin/sh"; args = [ "-c" "echo ${name} > $out" ]; } // more);
  fixed = name: algorithm: hash: sh name { outputHash = hash; outputHashAlgo = algorithm; urls = "https://example.org/${name}"; };
in rec {
  hello = sh "hello" { };
  source = fixed "source.tar" "sha256" "1111111111111111111111111111111111111111111111111111111111111111";
  built = sh "built" { inherit source; };
  unlisted = sh "unlisted" { inherit hello; src = ./data.txt; text = builtins.toFile "t" "of ${./data.txt}"; word = "WORD"; };
  again = sh "again" { src = source // (sh "source.tar" { outputHash = source.outputHash; outputHashAlgo = "sha256"; other = 1; }); };
  fresh = sh "fresh" { src = fixed "fresh.tar" "sha256" "2222222222222222222222222222222222222222222222222222222222222222"; };
  old = sh "old" { src = fixed "old.tar" "sha1" "1111111111111111111111111111111111111111"; };
  shell = sh "shell" { };
}
"#;

pub(crate) const LISTED: [&str; 2] = [
    r#"derivation { name = "hello"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo hello > $out" ]; }"#,
    r#"derivation { name = "source.tar"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo source.tar > $out" ];
       outputHash = "1111111111111111111111111111111111111111111111111111111111111111"; outputHashAlgo = "sha256";
       urls = "https://example.org/source.tar"; }"#,
];

/// A system, of a configuration that says a word.
const NIXOS: &str = r#"{ configuration, system }:
let
  pkgs = import ../. { inherit system; };
  given = import configuration;
  said = if builtins.isFunction given then given { inherit pkgs; } else given;
in {
  system = derivation {
    name = "nixos-system"; inherit system; builder = "/bin/sh"; inherit (said) word; inherit (pkgs) hello;
    args = [ "-c" "mkdir -p $out/bin; echo $word > $out/word; echo '#!/bin/sh' > $out/bin/switch-to-configuration; chmod +x $out/bin/*" ];
  };
}
"#;

pub(crate) fn files(word: &str) -> Vec<(&'static str, String)> {
    vec![
        ("default.nix", SET.replace("WORD", word)),
        ("data.txt", "data".to_owned()),
        ("nixos/default.nix", NIXOS.to_owned()),
    ]
}

pub(crate) fn owner<'a>(machine: &'a Machine) -> Owner<'a> {
    let files = files("one");
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let owner = Owner::of(machine, &files, &LISTED);
    owner.on().ok();
    owner
}

/// What the derivation of an attribute of the installed release is.
pub(crate) fn drv(owner: &Owner<'_>, attribute: &str) -> String {
    let tree = owner.machine.path("state/current/nixexprs").canonicalize().unwrap();
    let line = format!(
        "nix-instantiate {} --argstr system x86_64-linux -A {attribute}",
        tree.display()
    );
    owner.shell(&line).ok()
}

pub(crate) fn passes(owner: &Owner<'_>, derivation: &str) -> bool {
    owner.gate(&["why", derivation]).code == Some(0)
}

pub(crate) fn build(owner: &Owner<'_>, arguments: &[&str]) -> Ran {
    owner.touchstone(&[&["build", "--no-out-link"], arguments].concat())
}

fn error(ran: &Ran) -> Value {
    let last = ran.out.lines().last().unwrap_or_else(|| panic!("{ran:?}"));
    let value: Value = serde_json::from_str(last).unwrap_or_else(|_| panic!("{ran:?}"));
    value["error"].clone()
}

/// Fails the test unless it is refused with these words.
pub(crate) fn refused(ran: &Ran, words: &str) -> String {
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let error = error(ran);
    assert!(error["message"].as_str().unwrap().contains(words), "{words}: {error}");
    error["next"].as_str().unwrap().to_owned()
}

/// A file that is the owner's, in a directory of its own.
pub(crate) fn owners(owner: &Owner<'_>, name: &str, text: &str) -> String {
    let path = owner.machine.write(name, text);
    let directory = owner.machine.path(name).parent().unwrap().to_owned();
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// The service, started by hand.
pub(crate) struct Approver<'a> {
    owner: &'a Owner<'a>,
    process: std::process::Child,
}

impl<'a> Approver<'a> {
    pub(crate) fn start(owner: &'a Owner<'a>) -> Self {
        Self::start_with(owner, "")
    }

    /// After a line of shell.
    pub(crate) fn start_with(owner: &'a Owner<'a>, before: &str) -> Self {
        let socket = owner.machine.path("state/gate/approver.socket");
        let _ = fs::remove_file(&socket);
        let conf = owner.machine.path("nix-conf");
        let script = format!(
            "{} {before} unset NIX_CONFIG; export NIX_CONF_DIR={}; exec {} --state {} gate approver",
            owner.machine.users(),
            conf.display(),
            binary("touchstone").display(),
            owner.machine.path("state").display()
        );
        let mut command: Command = owner.machine.command("sh");
        let process = command.args(["-c", &script]).stdout(Stdio::null()).spawn().unwrap();
        let start = Instant::now();
        while !socket.exists() {
            assert!(start.elapsed() < Duration::from_secs(20), "the approver does not start");
            thread::sleep(Duration::from_millis(10));
        }
        Self { owner, process }
    }

    /// Asks as root, as a client does, by hand.
    pub(crate) fn ask(&self, wanted: &Value) -> Value {
        let question = json!({ "format": 1, "wanted": wanted });
        let file = self.owner.machine.write("question.json", &format!("{question}\n"));
        let answer = self.ask_as_root(&file);
        serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{answer}"))
    }

    pub(crate) fn ask_as_root(&self, file: &str) -> String {
        use std::io::{Read as _, Write as _};
        let socket = self.owner.machine.path("state/gate/approver.socket");
        let mut stream = std::os::unix::net::UnixStream::connect(socket).unwrap();
        stream.write_all(&fs::read(file).unwrap()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Approver<'_> {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
