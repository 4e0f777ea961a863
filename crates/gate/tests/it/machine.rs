//! A machine with one version of real Nix, a store of its own, and a gate.

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    os::unix::{
        fs::{PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use gate::{
    Fact, Place, Settings,
    approvals::{Draft, Origin},
    refusals,
    store::Store,
};
use nixstore::{Sha256Digest, StoreDir, StorePath};
use tempfile::TempDir;
use testkit::peer;

/// The wrappers that `ci/nix.sh` makes.
pub(crate) const VERSIONS: [&str; 2] = ["nix28", "nix226"];

pub(crate) const ORIGIN: Origin = Origin {
    chain: Sha256Digest::from_bytes([1; 32]),
    release: 1,
    time: 1,
};

/// Runs a test with each version of Nix that is there.
pub(crate) fn on_each(test: impl Fn(&Machine)) {
    for version in VERSIONS {
        if let Some(machine) = Machine::new(version) {
            test(&machine);
        }
    }
}

pub(crate) struct Machine {
    pub(crate) version: &'static str,
    wrapper: PathBuf,
    home: TempDir,
    pub(crate) place: Place,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out.trim().to_owned()
    }

    /// Fails the test unless Nix says that its hook refused.
    pub(crate) fn refused_by_hook(&self) {
        assert_ne!(self.code, Some(0), "{self:?}");
        assert!(
            self.err.contains("pre-build-hook") && self.err.contains("failed"),
            "{self:?}"
        );
    }
}

impl Machine {
    pub(crate) fn new(version: &'static str) -> Option<Self> {
        let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/nix");
        let tools = std::env::var_os("TOUCHSTONE_NIX").map_or(tools, PathBuf::from);
        let wrapper = tools.join(version);
        if !wrapper.is_file() || !rustix::process::geteuid().is_root() {
            peer::missing(&format!(
                "{} is not there, or this is not root (cargo xtask setup makes it)",
                wrapper.display()
            ));
            return None;
        }
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let place = Place::new(home.path().join("gate"));
        place.create().unwrap();
        fs::copy(env!("CARGO_BIN_EXE_touchstone-hook"), place.hook()).unwrap();
        Settings::default().write(&place).unwrap();
        let machine = Self {
            version,
            wrapper,
            home,
            place,
        };
        machine.approve_files(&Draft::default());
        Some(machine)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// Where the objects of the store are, seen from outside.
    pub(crate) fn store_directory(&self) -> PathBuf {
        self.path(&format!("nix/{}/nix/store", self.version))
    }

    pub(crate) fn store(&self) -> Store {
        Store::at(self.store_directory())
    }

    /// The settings of the machine, with the hook.
    fn configuration(&self) -> String {
        format!("pre-build-hook = {}\n", self.place.hook().display())
    }

    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(&self.wrapper);
        command
            .env("TOUCHSTONE_NIX_HOME", self.path("nix"))
            .env("NIX_CONFIG", self.configuration())
            .env_remove("NIX_REMOTE")
            .env_remove("NIX_PATH")
            .current_dir(self.home.path())
            .arg(program)
            .stdin(Stdio::null());
        command
    }

    /// Runs a command of Nix as root without a daemon.
    pub(crate) fn nix(&self, line: &[&str]) -> Ran {
        run(self.command(line[0]).args(&line[1..]))
    }

    /// Runs a line of shell as a user of the daemon.
    pub(crate) fn as_user(&self, user: &str, line: &str) -> Ran {
        let users = self.users();
        let home = self.path(&format!("home-{user}"));
        fs::create_dir_all(&home).unwrap();
        fs::set_permissions(&home, fs::Permissions::from_mode(0o777)).unwrap();
        let uid = if user == "dev" { 3002 } else { 3001 };
        chown(&home, Some(uid), Some(uid)).unwrap();
        let script = format!(
            "{users} cd {0}; HOME={0} exec busybox su -s /bin/sh {user} -c 'unset NIX_CONFIG; export HOME={0} NIX_REMOTE=daemon; {line}'",
            home.display()
        );
        run(self.command("sh").args(["-c", &script]))
    }

    /// A line of shell that gives the machine users: ann, who is nobody, and dev, who is a developer.
    pub(crate) fn users(&self) -> String {
        let passwd = self.write(
            "etc/passwd",
            "root:x:0:0:root:/root:/bin/sh\nann:x:3001:3001::/tmp:/bin/sh\ndev:x:3002:3002::/tmp:/bin/sh\n\
             touchstone-eval:x:3009:3009::/:/bin/false\n",
        );
        let group = self.write("etc/group", "root:x:0:\nann:x:3001:\ndevs:x:3002:\ncoders:x:3003:dev\n");
        format!("busybox mount --bind {passwd} /etc/passwd; busybox mount --bind {group} /etc/group;")
    }

    /// Starts the daemon.
    pub(crate) fn daemon(&self) -> Daemon {
        self.daemon_with("")
    }

    /// Starts the daemon after a line of shell, which may change its environment.
    pub(crate) fn daemon_with(&self, before: &str) -> Daemon {
        let script = format!("{} {before} exec nix-daemon", self.users());
        let log = fs::File::create(self.path("daemon.log")).unwrap();
        let mut command = self.command("sh");
        // A group of its own, so that its children end with it.
        command
            .args(["-c", &script])
            .stderr(log)
            .stdout(Stdio::null())
            .process_group(0);
        let process = command.spawn().unwrap();
        let daemon = Daemon { process };
        let socket = self.path(&format!("nix/{}/nix/var/nix/daemon-socket/socket", self.version));
        let _ = fs::remove_file(&socket);
        let start = Instant::now();
        while !socket.exists() {
            assert!(start.elapsed() < Duration::from_secs(20), "the daemon does not start");
            thread::sleep(Duration::from_millis(20));
        }
        daemon
    }

    /// Evaluates an expression to a derivation.
    pub(crate) fn instantiate(&self, expression: &str) -> String {
        self.nix(&["nix-instantiate", "-E", expression]).ok()
    }

    /// A plain derivation that writes a word.
    pub(crate) fn plain(name: &str, more: &str) -> String {
        format!(
            "derivation {{ name = \"{name}\"; system = \"x86_64-linux\"; builder = \"/bin/sh\"; \
             args = [ \"-c\" \"echo {name} > $out\" ]; {more} }}"
        )
    }

    /// Approves these derivations and all that they need, and nothing else.
    pub(crate) fn approve(&self, derivations: &[&str]) {
        self.approve_files(&self.draft(derivations));
    }

    pub(crate) fn draft(&self, derivations: &[&str]) -> Draft {
        let mut draft = Draft::default();
        let mut queue: Vec<StorePath> = derivations.iter().map(|path| store_path(path)).collect();
        let mut seen = BTreeSet::new();
        while let Some(path) = queue.pop() {
            if seen.insert(path.clone()) {
                let recipe = self.store().recipe(&path).unwrap();
                draft.approve_derivation(recipe.name(), &recipe.derivation);
                queue.extend(recipe.derivation.input_derivations.keys().cloned());
            }
        }
        draft
    }

    pub(crate) fn approve_files(&self, draft: &Draft) {
        draft.write(&self.place, ORIGIN).unwrap();
    }

    /// Approves these derivations and a tarball.
    pub(crate) fn approve_with_tarball(&self, derivations: &[&str], tarball: &[u8]) {
        let mut draft = self.draft(derivations);
        draft.approve(Fact::Tarball(Sha256Digest::of(tarball)));
        self.approve_files(&draft);
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut Settings)) {
        let mut settings = Settings::default();
        change(&mut settings);
        settings.write(&self.place).unwrap();
    }

    /// The code of the newest refusal, and the derivation.
    pub(crate) fn last_refusal(&self) -> (String, String) {
        let entry = refusals::newest(&self.place, 1).unwrap().pop().unwrap();
        (entry.code, entry.derivation)
    }

    pub(crate) fn refusals(&self) -> usize {
        refusals::newest(&self.place, usize::MAX).unwrap().len()
    }

    /// Builds a derivation as root.
    pub(crate) fn build(&self, derivation: &str) -> Ran {
        self.nix(&["nix-store", "--realise", derivation])
    }

    /// Expects that a build is refused by the hook for this reason.
    pub(crate) fn refuses(&self, derivation: &str, code: &str) {
        let before = self.refusals();
        self.build(derivation).refused_by_hook();
        assert_eq!(self.last_refusal().0, code);
        assert_eq!(self.refusals(), before + 1);
    }
}

/// A daemon that ends when it is dropped.
pub(crate) struct Daemon {
    process: Child,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.process);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.process.wait();
    }
}

pub(crate) fn run(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    Ran {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

pub(crate) fn store_path(path: &str) -> StorePath {
    StorePath::parse_in(&StoreDir::default(), path).unwrap()
}

/// A channel's tarball, as bytes: one directory with these files.
pub(crate) fn tarball(directory: &Path, files: &[(&str, &str)]) -> Vec<u8> {
    let top = directory.join("channel-1");
    let _ = fs::remove_dir_all(&top);
    for (name, text) in files {
        let path = top.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
    }
    let out = directory.join("nixexprs.tar.xz");
    let mut tar = Command::new("tar");
    let status = tar
        .arg("-C")
        .arg(directory)
        .arg("-cJf")
        .arg(&out)
        .arg("channel-1")
        .status();
    assert!(status.unwrap().success());
    fs::read(out).unwrap()
}
