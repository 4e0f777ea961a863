//! A whole world in one directory, played by the two commands as processes: an upstream, a fork, three people with
//! clones and keys, a site, and a machine that installs.
//!
//! ```text
//! upstream/          a git repository in nixpkgs' shape, dated 2026
//! fork.git           the bare remote that people exchange through
//! alice/ bob/ …      their clones; what they signed is remembered in records/<name>/
//! keys/              everybody's certificates and private keys
//! online.key         the publishing machine's
//! site/              what is served
//! machine/           a subscriber's state directory
//! ```
//!
//! Every path in it is relative, and git knows upstream and fork by made-up addresses that the world's own git
//! configuration resolves: a world can be copied, and a finished one is kept as a template.

mod interrupt;
mod machine;
mod mirror;
mod program;
mod template;
mod upstream;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use attestation::Time;
use tempfile::TempDir;

use crate::people::TestPerson;

pub use interrupt::{Interrupted, duration, stop_after};
pub use machine::Installed;
pub use mirror::Mirror;
pub use program::{Output, Server, binary};

/// The people of a world. `root` and `reviewers` are all three, two of them enough.
pub const PEOPLE: [&str; 3] = ["alice", "bob", "carol"];

/// The channels of a world's policy. Both follow one upstream branch.
pub const CHANNELS: [&str; 2] = ["stable", "unstable"];

/// A world in a temporary directory.
pub struct World {
    root: TempDir,
}

impl World {
    /// A world whose upstream has a history of one commit, and no chain yet.
    ///
    /// # Panics
    /// As every method here, if something that is not under test goes wrong, and if the two commands are not
    /// built: it says how.
    pub fn without_chain() -> Self {
        let world = Self {
            root: template::new_place(),
        };
        for directory in ["home", "keys", "records", "tmp"] {
            fs::create_dir(world.path(directory)).expect("a directory");
        }
        world.write_git_configuration();
        upstream::create(&world);
        world.git(".", &["clone", "--quiet", "--bare", "upstream", "fork.git"]);
        for person in PEOPLE {
            world.new_person(person);
        }
        world.assay_plain(&["token", "online", "--out", "online.key"]).ok();
        fs::write(world.path("policy.toml"), world.policy(&PEOPLE)).expect("a file");
        world
    }

    /// A world with a chain whose first root is complete, and no release. Made once, then copied.
    pub fn with_chain() -> Self {
        template::copy("chain", || {
            let world = Self::without_chain();
            world.start_chain();
            world
        })
    }

    /// A world whose channel `unstable` has release 1, published in `site/`. Made once, then copied.
    pub fn published() -> Self {
        template::copy("published", || {
            let world = Self::with_chain();
            world.first_release("unstable");
            world.publish();
            world
        })
    }

    /// A copy of the world as it is now.
    pub fn twin(&self) -> Self {
        template::duplicate(self.root.path())
    }

    /// A path in the world.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.path().join(relative)
    }

    /// The id of the chain, as alice's clone pins it.
    pub fn chain(&self) -> String {
        let settings = fs::read_to_string(self.path("alice/.git/touchstone/settings.toml")).expect("settings");
        let pinned = settings.lines().find_map(|line| line.strip_prefix("chain = "));
        pinned.expect("a chain is pinned").trim_matches('"').to_owned()
    }

    /// Makes a person: keys, certificate, and a clone of the fork.
    pub fn new_person(&self, name: &str) {
        let created = Time::from_unix(now().unix() - 86_400);
        let person = TestPerson::new(name, created);
        fs::write(self.path(format!("keys/{name}.asc")), &person.certificate).expect("a file");
        fs::write(self.path(format!("keys/{name}.secret.asc")), &person.secret).expect("a file");
        self.set_key(name, &format!("software:keys/{name}.secret.asc"));
        self.new_clone(name);
    }

    /// Says which key a person signs with, as `assay init --key` takes it.
    pub fn set_key(&self, name: &str, key: &str) {
        fs::write(self.path(format!("keys/{name}.key")), key).expect("a file");
    }

    fn key(&self, name: &str) -> String {
        fs::read_to_string(self.path(format!("keys/{name}.key"))).expect("a key")
    }

    /// Makes a clone of the fork.
    pub fn new_clone(&self, name: &str) {
        self.git(".", &["clone", "--quiet", upstream::FORK_URL, name]);
    }

    /// A policy of these people, who are all `root` and `reviewers`, two of them enough: two reviews for what has a
    /// finding, else one.
    pub fn policy(&self, people: &[&str]) -> String {
        let online = self.online_public();
        let entries: String = people.iter().map(|name| self.policy_entry(name)).collect();
        self.policy_of(people, &format!("online-key = \"{online}\"\n"), &entries)
    }

    /// The lines of a person, as `assay policy person` writes them.
    pub fn policy_entry(&self, name: &str) -> String {
        let certificate = format!("keys/{name}.asc");
        let output = self
            .command("assay", "nobody")
            .args(["policy", "person", name, &certificate])
            .output();
        let output = output.expect("assay starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    fn policy_of(&self, people: &[&str], head: &str, entries: &str) -> String {
        let quoted: Vec<_> = people.iter().map(|name| format!("\"{name}\"")).collect();
        let people = format!("people = [{}]\n", quoted.join(", "));
        let mut text = format!("{head}{entries}[roles.root]\n{people}threshold = 2\n[roles.reviewers]\n{people}");
        for channel in CHANNELS {
            text += &format!(
                "[channels.{channel}]\nupstream = \"{}\"\nbranch = \"{}\"\nrelease = {{ role = \"reviewers\", \
                 threshold = 2 }}\nmax-lag = \"3 days\"\nexpires = \"7 days\"\nlacking = \"block\"\n",
                upstream::URL,
                upstream::BRANCH
            );
        }
        text + "[[rules]]\nfinding-level = \"B\"\nrequire = { reviewers = 2 }\n\
                [[rules]]\nrequire = { reviewers = 1 }\n"
    }

    fn online_public(&self) -> String {
        let text = fs::read_to_string(self.path("online.key")).expect("a key");
        let seed = data_encoding::HEXLOWER.decode(text.trim().as_bytes()).expect("a seed");
        let key = ed25519_dalek::SigningKey::from_bytes(&seed.try_into().expect("32 bytes"));
        data_encoding::HEXLOWER.encode(key.verifying_key().as_bytes())
    }

    /// Alice proposes the first root of `policy.toml`, the others join, alice and bob sign, alice finishes it.
    pub fn start_chain(&self) {
        let key = self.key("alice");
        let mut arguments = vec!["init", "--policy", "policy.toml", "--as", "alice", "--remote", "origin"];
        arguments.extend(["--key", &key]);
        let certificates: Vec<_> = PEOPLE.iter().map(|name| format!("keys/{name}.asc")).collect();
        for certificate in &certificates {
            arguments.extend(["--certificate", certificate]);
        }
        let first_root = self.assay("alice", &arguments).ok()["first-root"]
            .as_str()
            .expect("a digest")
            .to_owned();
        for person in &PEOPLE[1..] {
            self.join(person, &["--first-root", &first_root]);
        }
        self.sign(&["alice", "bob"]);
        self.assay("alice", &["publish"]).ok();
    }

    /// A person joins the chain that the fork has, `pinned` being how they name it.
    pub fn join(&self, name: &str, pinned: &[&str]) {
        let key = self.key(name);
        let mut arguments = vec!["init", "--join", "--remote", "origin", "--as", name, "--key", &key];
        arguments.extend(pinned);
        self.assay(name, &arguments).ok();
    }

    /// These people sign what waits for them.
    pub fn sign(&self, people: &[&str]) {
        for person in people {
            self.assay(person, &["sign", "--yes"]).ok();
        }
    }

    /// Starts a channel from upstream's newest commit, with release 1 signed by alice and bob.
    pub fn first_release(&self, channel: &str) {
        let tip = self.git("upstream", &["rev-parse", "HEAD"]);
        self.assay("alice", &["import", "--channel", channel, "--baseline", tip.trim()])
            .ok();
        self.sign(&["alice", "bob"]);
        self.assay("alice", &["release", "--channel", channel]).ok();
        self.sign(&["alice", "bob"]);
    }

    /// Everything up to the proposal of the next release of `unstable`: upstream commits, alice imports, bob and
    /// carol review, alice proposes. Gives the proposal's payload.
    pub fn propose_release(&self) -> String {
        self.upstream_bump();
        self.import_and_review();
        self.release()
    }

    /// Alice imports upstream's newest commits into `unstable`, bob and carol approve all, alice signs the import.
    pub fn import_and_review(&self) {
        self.assay("alice", &["import", "--channel", "unstable"]).ok();
        for person in ["bob", "carol"] {
            self.assay(person, &["review", "--channel", "unstable", "--approve-all", "--yes"])
                .ok();
        }
        self.sign(&["alice"]);
    }

    /// Alice proposes the next release of `unstable`. Gives the proposal's payload.
    pub fn release(&self) -> String {
        let json = self.assay("alice", &["release", "--channel", "unstable"]).ok();
        json["proposal"].as_str().expect("a digest").to_owned()
    }

    /// The next release of `unstable`, from upstream's commit to the site.
    pub fn next_release(&self) {
        self.propose_release();
        self.sign(&["alice", "bob"]);
        self.publish();
    }

    /// Alice publishes into `site/`.
    pub fn publish(&self) {
        self.publish_to("alice", "site").ok();
    }

    /// Somebody publishes into a directory of the world.
    pub fn publish_to(&self, person: &str, site: &str) -> Output {
        self.assay(person, &["publish", "--to", site, "--online-key", "online.key"])
    }

    /// Runs `assay` as a person, in their clone.
    ///
    /// Who has a token (`keys/<name>.pin` says its PIN) gives the PIN without being asked.
    pub fn assay(&self, person: &str, arguments: &[&str]) -> Output {
        let mut command = self.assay_command(person, arguments);
        match fs::File::open(self.path(format!("keys/{person}.pin"))) {
            Ok(pin) => Output::with_input(command.args(["--pin-fd", "0"]), pin.into()),
            Err(_) => Output::of(&mut command),
        }
    }

    /// What `assay` prints for people, on both of its outputs, however it ends.
    pub fn plain_text(&self, person: &str, arguments: &[&str]) -> String {
        let mut command = self.command("assay", person);
        let output = command
            .args(["--repo", person])
            .args(arguments)
            .output()
            .expect("assay starts");
        [output.stdout, output.stderr]
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .concat()
    }

    /// The command that [`Self::assay`] runs.
    pub fn assay_command(&self, person: &str, arguments: &[&str]) -> Command {
        let mut command = self.command("assay", person);
        command.args(["--format", "json", "--repo", person]).args(arguments);
        command
    }

    /// Runs `assay` outside of a clone.
    pub fn assay_plain(&self, arguments: &[&str]) -> Output {
        Output::of(self.plain_command().args(arguments))
    }

    /// `assay`, outside of a clone.
    pub fn plain_command(&self) -> Command {
        let mut command = self.command("assay", "nobody");
        command.args(["--format", "json"]);
        command
    }

    /// Where this world's reader service listens, if it has one.
    pub fn pcscd_socket(&self) -> PathBuf {
        self.path("pcscd.comm")
    }

    /// A program of ours, in the world's directory and environment: nothing of the user's gets in.
    fn command(&self, name: &str, person: &str) -> Command {
        let mut command = Command::new(binary(name));
        self.environment(&mut command);
        command.env("XDG_STATE_HOME", self.path("records").join(person));
        command.env("GNUPGHOME", self.path("gnupg").join(person));
        command
    }

    fn environment(&self, command: &mut Command) {
        command
            .current_dir(self.root.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.path("tmp"))
            .env("GIT_CONFIG_GLOBAL", self.path("gitconfig"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("NO_COLOR", "1")
            .env("PCSCLITE_CSOCK_NAME", self.pcscd_socket());
    }

    /// Runs git in a directory of the world; what it printed.
    pub fn git(&self, directory: &str, arguments: &[&str]) -> String {
        self.git_at(directory, arguments, None)
    }

    fn git_at(&self, directory: &str, arguments: &[&str], date: Option<i64>) -> String {
        let mut git = Command::new("git");
        self.environment(&mut git);
        git.current_dir(self.path(directory)).args(arguments);
        if let Some(date) = date {
            let date = format!("{date} +0000");
            git.env("GIT_AUTHOR_DATE", &date).env("GIT_COMMITTER_DATE", &date);
        }
        let output = git.output().expect("git starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {arguments:?} in {directory}: {said}");
        text
    }

    fn write_git_configuration(&self) {
        let place = |name: &str| self.path(name).display().to_string();
        let text = format!(
            "[user]\n\tname = world\n\temail = world@example.org\n[init]\n\tdefaultBranch = {}\n\
             [url \"{}\"]\n\tinsteadOf = {}\n[url \"{}\"]\n\tinsteadOf = {}\n[gc]\n\tauto = 0\n",
            upstream::BRANCH,
            place("upstream"),
            upstream::URL,
            place("fork.git"),
            upstream::FORK_URL,
        );
        fs::write(self.path("gitconfig"), text).expect("a file");
    }
}

/// The system's clock, as the commands read it.
pub fn now() -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seconds = since.map_or(0, |since| since.as_secs());
    Time::from_unix(i64::try_from(seconds).unwrap_or(i64::MAX))
}
