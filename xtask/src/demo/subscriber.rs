//! The demo's subscriber: a machine of its own with `touchstone` and two versions of real Nix.

use std::path::PathBuf;

use super::{Demo, expect};
use crate::call::{Call, Ran};
use crate::failure::{Failure, Result};
use crate::serve::Server;
use crate::steps::{self, Updated};
use crate::workspace;

/// The wrappers that `ci/nix.sh` makes.
const NIX: [&str; 2] = ["nix28", "nix226"];

/// The subscriber, and the web server that carries the channel.
pub(super) struct Subscriber<'a> {
    demo: &'a Demo<'a>,
    server: Server,
    chain: &'a str,
}

impl<'a> Subscriber<'a> {
    pub(super) fn new(demo: &'a Demo<'a>, chain: &'a str) -> Result<Self> {
        steps::make(&demo.work.path("subscriber"))?;
        let site = demo.work.path("site");
        let server = Server::start(&site, 0).map_err(Failure::io(format_args!("serve {}", site.display())))?;
        demo.tell(&format!(
            "{} is served at {}, as any web server could.",
            site.display(),
            server.url()
        ));
        Ok(Self { demo, server, chain })
    }

    fn touchstone(&self) -> Call {
        self.demo.work.touchstone().args(["--state", "state"])
    }

    pub(super) fn subscribe(&self) -> Result<()> {
        let call = self.touchstone().args(["subscribe", "--url", &self.server.url()]);
        let call = call.args(["--chain", self.chain, "--channel", &self.demo.channel.name]);
        let call = call.args(["--floor-root", "1", "--floor-release", "1"]);
        self.demo.ask(&call)?.text()?;
        self.demo
            .tell("From now on this machine takes nothing but that channel of that chain.");
        Ok(())
    }

    pub(super) fn ask_for_update(&self) -> Result<Ran> {
        self.demo.ask(&self.touchstone().arg("update"))
    }

    /// Installs the release with this number.
    pub(super) fn update(&self, sequence: u64) -> Result<()> {
        let updated: Updated = self.ask_for_update()?.json()?;
        expect("what update did", &*updated.outcome, "installed")?;
        expect("the installed release", &updated.release.sequence, &sequence)?;
        self.demo.tell(&format!(
            "Installed as generation {}: release {sequence}, commit {:.12}, signed by {}.",
            updated.generation,
            updated.release.commit,
            updated.signed_by.join(" and ")
        ));
        Ok(())
    }

    /// There is no newer release than the installed one with this number.
    pub(super) fn nothing_new(&self, sequence: u64) -> Result<()> {
        let updated: Updated = self.ask_for_update()?.json()?;
        expect("what update did", &*updated.outcome, "unchanged")?;
        expect("the installed release", &updated.release.sequence, &sequence)?;
        self.demo.tell(&format!("Nothing new: release {sequence} stays."));
        Ok(())
    }

    /// The installed generation is still whole, and still the release with this number.
    pub(super) fn untouched(&self, sequence: u64) -> Result<()> {
        #[derive(serde::Deserialize)]
        struct Checked {
            release: steps::Release,
        }
        let Checked { release } = self.demo.ask(&self.touchstone().arg("verify"))?.json()?;
        expect("the installed release", &release.sequence, &sequence)?;
        self.demo.tell(&format!(
            "Release {sequence} is still installed, and every file of it is as it was signed."
        ));
        Ok(())
    }

    /// Both versions of Nix build the package from the installed generation.
    pub(super) fn builds(&self, version: &str) -> Result<()> {
        let installed = self.demo.work.path("subscriber/state/current/nixexprs");
        let path = format!("nixpkgs={}", installed.display());
        for wrapper in NIX {
            self.build(wrapper, &["-I", &path], version)?;
        }
        Ok(())
    }

    /// Stock `nix-channel` takes the same site.
    pub(super) fn nix_channel(&self, version: &str) -> Result<()> {
        let url = format!("{}/channels/{}", self.server.url(), self.demo.channel.name);
        for wrapper in NIX {
            let channel = |args: &[&str]| self.show(&self.nix(wrapper, "nix-channel").args(args));
            channel(&["--add", &url, "nixpkgs"])?;
            channel(&["--update"])?;
            self.build(wrapper, &[], version)?;
        }
        Ok(())
    }

    fn build(&self, wrapper: &str, from: &[&str], version: &str) -> Result<()> {
        let package = &self.demo.plan.package;
        let build = self
            .nix(wrapper, "nix-build")
            .args(["<nixpkgs>", "-A", package, "--no-out-link"]);
        let path = self.show(&build.args(from))?;
        let program = format!("{}/bin/{package}", path.trim());
        let said = self.nix(wrapper, &program).arg("-v").run(self.demo.terminal)?;
        expect("what it prints", said.text()?.trim(), &*format!("{package} {version}"))?;
        self.demo
            .tell(&format!("{} runs and says: {}", path.trim(), said.text()?.trim()));
        Ok(())
    }

    fn show(&self, call: &Call) -> Result<String> {
        self.demo.terminal.typed(call);
        Ok(call.run(self.demo.terminal)?.text()?.to_owned())
    }

    fn nix(&self, wrapper: &str, program: &str) -> Call {
        let wrapper: PathBuf = workspace::made().join("nix").join(wrapper);
        let home = self.demo.work.path("subscriber/nix");
        Call::nix(&wrapper, program, &self.demo.work.path("subscriber"))
            .hermetic()
            .env("TOUCHSTONE_NIX_HOME", home)
    }

    /// The command that shows the installed release.
    pub(super) fn status(&self) -> String {
        let folder = self.demo.work.path("subscriber");
        let program = self.demo.work.commands.path_of_touchstone();
        format!("cd {} && {} --state state status", folder.display(), program.display())
    }
}
