//! `cargo xtask cycle`: the whole cycle on a real repository, with people that are made up.
//!
//! It goes on where it stopped. What is done is asked of the files and of `assay`, never of a list of steps: a step
//! that was killed in its middle is made again, and every one of `assay`'s commands may be.

mod locks;
mod log;
mod report;

use std::path::{Path, PathBuf};

use clap::Args as Arguments;

use crate::call::{Call, Commands, Ran};
use crate::channel_file::ChannelFile;
use crate::cost::Cost;
use crate::failure::{Failure, Result};
use crate::process::{Line, Terminal, quoted};
use crate::steps::{self, Imported, PEOPLE, Proposed, Published, Queue, Signed, Started, State, Updated, Work};
use crate::workspace;

use self::log::{Claim, Last, Log};
use self::report::{Format, Report};

/// Play the whole cycle on a real repository, from a commit to a published channel, and go on where it stopped.
#[derive(Debug, Arguments)]
#[command(after_help = "Examples:\n  \
                        cargo xtask cycle --channel distro/channels/unstable.toml --from 4f2c… --to 9b1e…\n  \
                        cargo xtask cycle --channel old.toml --upstream /srv/nixpkgs.git --from HEAD~300\n\n\
                        The people and their keys are made up and approve everything: it proves the machinery and \
                        reviews nothing. Run again, it goes on where it stopped, and from there to a later --to.\n\n\
                        Exit codes: 0 published, 1 refused by verification, 2 usage, 3 this machine lacks something, \
                        or another run works in that folder.")]
pub(crate) struct Args {
    /// The channel: a policy without people, as in distro/channels.
    #[arg(long, value_name = "FILE")]
    channel: PathBuf,
    /// The upstream repository, instead of the file's.
    #[arg(long, value_name = "URL-OR-PATH")]
    upstream: Option<String>,
    /// The upstream commit that the channel starts from, trusted unreviewed; needed once.
    #[arg(long, value_name = "REV")]
    from: Option<String>,
    /// The upstream commit to get to; without it the newest of the branch.
    #[arg(long, value_name = "REV")]
    to: Option<String>,
    /// Where everything is kept [default: target/cycle/NAME-OF-THE-FILE].
    #[arg(long, value_name = "DIR")]
    work: Option<PathBuf>,
    /// How the figures are printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

pub(crate) fn command(args: &Args, terminal: &Terminal) -> Result<()> {
    let upstream = args.upstream.as_deref().map(absolute).transpose()?;
    let channel = ChannelFile::read(&args.channel, upstream.as_deref())?;
    let work = args.work.clone().unwrap_or_else(|| {
        let stem = args.channel.file_stem().unwrap_or_default();
        workspace::made().join("cycle").join(stem)
    });
    let commands = Commands::build(terminal)?;
    let work = Work::open(&work, false, commands)?;
    let report = Report::open(&work.path("report.json"))?;
    let mut cycle = Cycle {
        work,
        channel,
        report,
        terminal,
    };
    let outcome = cycle.play(args);
    cycle.report.print(args.format);
    outcome
}

/// A path as an absolute one; a URL as it is.
fn absolute(upstream: &str) -> Result<String> {
    if upstream.contains("://") || !Path::new(upstream).exists() {
        return Ok(upstream.to_owned());
    }
    let path = Path::new(upstream).canonicalize();
    let path = path.map_err(Failure::io(format_args!("find {upstream}")))?;
    Ok(path.to_string_lossy().into_owned())
}

struct Cycle<'a> {
    work: Work,
    channel: ChannelFile,
    report: Report,
    terminal: &'a Terminal,
}

impl Cycle<'_> {
    fn play(&mut self, args: &Args) -> Result<()> {
        self.terminal.say(
            "warning: the three people are made up, their keys are files, and they approve everything unread: this proves \
             the machinery and reviews nothing. Nobody should install what it publishes.",
        );
        self.work.is_for(&self.channel)?;
        let clones = PEOPLE.iter().map(|person| self.work.clone_of(person).join(".git"));
        let clones: Vec<_> = clones.chain([self.work.path("fork.git")]).collect();
        locks::remove_left(&clones, self.terminal)?;
        let tip = self.fork()?;
        let to = match &args.to {
            Some(revision) => self.resolve(revision)?,
            None => tip,
        };
        let from = args
            .from
            .as_deref()
            .map(|revision| self.resolve(revision))
            .transpose()?;
        self.people()?;
        let chain = self.chain()?;
        self.baseline(from.as_deref())?;
        self.range(&to)?;
        self.publish()?;
        self.install(&chain)?;
        self.end(&chain);
        Ok(())
    }

    /// The fork, as a bare repository with upstream's branch. Returns the branch's newest commit.
    fn fork(&mut self) -> Result<String> {
        let fork = self.work.path("fork.git");
        let (upstream, branch) = (self.channel.upstream.clone(), self.channel.branch.clone());
        if fork.exists() {
            let spec = format!("+refs/heads/{branch}:refs/heads/{branch}");
            let fetch = ["fetch", "--quiet", "--no-tags", &upstream, &spec];
            self.line("follow upstream", &self.work.git(&fork).args(fetch))?;
        } else {
            let clone = ["clone", "--quiet", "--bare", "--single-branch", "--branch", &branch];
            let clone = self.work.git(&self.work.folder).args(clone).arg(&upstream);
            steps::appear(&fork, |new| self.line("fork upstream", &clone.arg(new)))?;
        }
        self.resolve(&format!("refs/heads/{branch}"))
    }

    fn resolve(&self, revision: &str) -> Result<String> {
        let verify = ["rev-parse", "--verify", "--quiet", "--end-of-options"];
        let git = self.work.git(&self.work.path("fork.git")).args(verify);
        let text = git.arg(format!("{revision}^{{commit}}")).text(self.terminal);
        let text = text.map_err(|_| {
            Failure::usage(format!(
                "{revision} is no commit of branch {} of {}",
                self.channel.branch, self.channel.upstream
            ))
        })?;
        Ok(text.trim().to_owned())
    }

    fn people(&mut self) -> Result<()> {
        for person in PEOPLE {
            self.work.key(person, self.terminal)?;
        }
        self.work.online_key(self.terminal)?;
        self.work.policy(&self.channel, self.terminal)?;
        for person in PEOPLE {
            self.work.clone_fork(person, false, self.terminal)?;
        }
        Ok(())
    }

    /// Starts the chain, as far as it is not started. Returns its id.
    fn chain(&mut self) -> Result<String> {
        let me = PEOPLE[0];
        // A start ends with a push. One that did not come that far is known to nobody: it begins anew.
        let fork = self.work.git(&self.work.path("fork.git"));
        let ledger = ["rev-parse", "--verify", "--quiet", "refs/heads/touchstone"];
        if !fork.args(ledger).outcome(self.terminal)?.status.success() {
            if self.settings(me).exists() || self.has_ledger(me)? {
                steps::remove(&self.work.clone_of(me))?;
                self.work.clone_fork(me, false, self.terminal)?;
            }
            self.step("start the chain", &self.work.start())?.json::<Started>()?;
        }
        let first_root = self.first_root()?;
        for person in PEOPLE.into_iter().skip(1) {
            if !self.settings(person).exists() {
                self.step("join the chain", &self.work.join(person, &first_root))?
                    .text()?;
            }
        }
        if self.log()?.root_version.is_none() {
            self.sign("sign the root", self.channel.root_threshold)?;
        }
        let publish = self.work.assay(me).arg("publish");
        Ok(publish.ask(self.terminal)?.json::<Published>()?.chain)
    }

    fn settings(&self, person: &str) -> PathBuf {
        self.work.clone_of(person).join(".git/touchstone/settings.toml")
    }

    fn has_ledger(&self, person: &str) -> Result<bool> {
        let git = self.work.git(&self.work.clone_of(person));
        let ledger = git.args(["rev-parse", "--verify", "--quiet", "refs/heads/touchstone"]);
        Ok(ledger.outcome(self.terminal)?.status.success())
    }

    /// The payload of the first root, as the one who started the chain accepts it.
    fn first_root(&self) -> Result<String> {
        let path = self.settings(PEOPLE[0]);
        let settings: toml::Table = steps::read(&path)?
            .parse()
            .map_err(|error| Failure::environment(format!("{} cannot be read: {error}", path.display())))?;
        let first = settings.get("first-root").and_then(toml::Value::as_str);
        first
            .map(str::to_owned)
            .ok_or_else(|| Failure::environment(format!("{} names no first root", path.display())))
    }

    fn log(&self) -> Result<Log> {
        self.work.assay(PEOPLE[0]).arg("log").ask(self.terminal)?.json()
    }

    fn last(&self) -> Result<Option<Last>> {
        Ok(self.log()?.channels.remove(&self.channel.name))
    }

    /// The claims of a kind about the channel.
    fn claims(&self, kind: &str) -> Result<Vec<Claim>> {
        let mut claims = self.log()?.claims;
        claims.retain(|claim| claim.kind == kind && claim.channel == self.channel.name);
        Ok(claims)
    }

    /// A call about the channel.
    fn on_channel(&self, person: &str, subcommand: &str, args: &[&str]) -> Call {
        let call = self
            .work
            .assay(person)
            .args([subcommand, "--channel", &self.channel.name]);
        call.args(args)
    }

    /// The first release, of the tree that the channel starts from.
    fn baseline(&mut self, from: Option<&str>) -> Result<()> {
        let started = self.claims("exemption")?;
        let known = started.first().map(|claim| claim.commit.clone());
        if let (Some(known), Some(from)) = (&known, from)
            && known != from
        {
            return Err(Failure::usage(format!(
                "the channel in {} starts from {known}, not {from}; leave --from out, or name another folder with --work",
                self.work.folder.display()
            )));
        }
        if self.last()?.is_some() {
            return Ok(());
        }
        let from = known.as_deref().or(from).ok_or_else(|| {
            Failure::usage("which commit does the channel start from, trusted unreviewed? Name it with --from")
        })?;
        if started.is_empty() {
            let import = self.on_channel(PEOPLE[0], "import", &["--baseline", from]);
            self.step("propose the first tree", &import)?.text()?;
        }
        for person in PEOPLE.into_iter().take(self.channel.root_threshold) {
            let stated = |claim: &Claim| claim.by.iter().any(|name| name == person);
            if !self.claims("exemption")?.iter().any(stated) {
                self.sign_by("trust the first tree", person)?;
            }
        }
        self.release(from)
    }

    /// The release of an upstream commit, after its import and reviews.
    fn range(&mut self, to: &str) -> Result<()> {
        if self.last()?.is_some_and(|last| last.commit == to) {
            return Ok(());
        }
        let import = |claim: &Claim| claim.commit == to;
        if !self.claims("import")?.iter().any(import) {
            let call = self.on_channel(PEOPLE[0], "import", &["--to", to]);
            let imported: Imported = self.step("import", &call)?.json()?;
            let text = format!("{} commits change {} units", imported.commits, imported.units);
            self.terminal.say(&format!("    {text}"));
        }
        if self
            .claims("import")?
            .iter()
            .any(|claim| import(claim) && claim.by.is_empty())
        {
            self.sign_by("state the import", PEOPLE[0])?;
        }
        self.reviews(to)?;
        self.release(to)
    }

    /// Everybody in turn approves everything, until nothing is open.
    fn reviews(&mut self, to: &str) -> Result<()> {
        let [alice, bob, carol] = PEOPLE;
        let mut reviewers = [bob, carol, alice].into_iter();
        loop {
            let queue: Queue = self.step("queue", &self.on_channel(alice, "queue", &[]))?.json()?;
            if queue.to != to {
                return Err(Failure::usage(format!(
                    "the import of {}, which reaches further, is pending; name it with --to",
                    queue.to
                )));
            }
            self.terminal
                .say(&format!("    {} of {} units are open", queue.open, queue.total));
            if queue.open == 0 {
                return Ok(());
            }
            let could = |person: &str| {
                queue.units.iter().any(|unit| match &unit.verdict {
                    State::Lacking { missing } => missing
                        .iter()
                        .any(|missing| missing.could.iter().any(|name| name == person)),
                    _ => false,
                })
            };
            let Some(person) = reviewers.find(|person| could(person)) else {
                let open = queue
                    .units
                    .iter()
                    .filter(|unit| !matches!(unit.verdict, State::Covered {}));
                let open: Vec<_> = open
                    .map(|unit| format!("{}: {}", unit.unit, unit.verdict.in_words()))
                    .collect();
                return Err(Failure::refused(format!(
                    "nobody could still approve\n  {}",
                    open.join("\n  ")
                )));
            };
            let call = self.on_channel(person, "review", &["--approve-all", "--yes"]);
            self.step("review", &call)?.text()?;
        }
    }

    /// Proposes a release of a commit, has it signed, and finishes it.
    fn release(&mut self, commit: &str) -> Result<()> {
        let call = self.on_channel(PEOPLE[0], "release", &[]);
        let proposed: Proposed = self.step("propose the release", &call)?.json()?;
        if proposed.commit != commit {
            return Err(Failure::refused(format!(
                "release {} would be of {}, not of {commit}",
                proposed.sequence, proposed.commit
            )));
        }
        self.sign(
            "sign the release",
            self.channel.root_threshold.max(self.channel.release_threshold),
        )?;
        let ran = self.step("publish", &self.work.publish())?;
        ran.text()?;
        match self.last()? {
            Some(last) if last.commit == commit && last.sequence == proposed.sequence => Ok(()),
            _ => Err(Failure::refused(format!(
                "release {} is not finished: {}",
                proposed.sequence,
                ran.said()
            ))),
        }
    }

    /// As many people as it takes sign what is pending.
    fn sign(&mut self, name: &str, people: usize) -> Result<()> {
        for person in PEOPLE.into_iter().take(people) {
            if !self.log()?.is_signed_by(person) {
                self.sign_by(name, person)?;
            }
        }
        Ok(())
    }

    fn sign_by(&mut self, name: &str, person: &str) -> Result<()> {
        let ran = self.step(name, &self.work.assay(person).args(["sign", "--yes"]))?;
        for item in ran.json::<Signed>()?.signed {
            self.terminal.say(&format!("    {}", item.what));
        }
        Ok(())
    }

    /// Writes the site where it is missing, and renews its timestamp.
    fn publish(&mut self) -> Result<()> {
        let published: Published = self.step("announce", &self.work.publish())?.json()?;
        if published.timestamp.is_none() {
            return Err(Failure::refused("nothing was announced"));
        }
        Ok(())
    }

    /// Installs the channel from the site's folder, as a subscriber would from its server.
    fn install(&mut self, chain: &str) -> Result<()> {
        steps::make(&self.work.path("subscriber"))?;
        let touchstone = |args: &[&str]| self.work.touchstone().args(["--state", "state"]).args(args);
        let (status, update) = (touchstone(&["status"]), touchstone(&["update"]));
        let url = format!("file://{}", self.work.path("site").display());
        let subscribe = touchstone(&[
            "subscribe",
            "--url",
            &url,
            "--chain",
            chain,
            "--channel",
            &self.channel.name,
        ]);
        let subscribe = subscribe.args(["--floor-root", "1", "--floor-release", "1"]);
        if status.ask(self.terminal)?.text().is_err() {
            self.step("subscribe", &subscribe)?.text()?;
        }
        let updated: Updated = self.step("update", &update)?.json()?;
        self.terminal.say(&format!(
            "    release {} of commit {}, signed by {}",
            updated.release.sequence,
            updated.release.commit,
            updated.signed_by.join(" and ")
        ));
        Ok(())
    }

    /// What to type to subscribe elsewhere.
    fn end(&self, chain: &str) {
        let site = self.work.path("site");
        self.terminal.say(&format!(
            "\nThe channel is in {site}, its chain is {chain}. Served by any web server at URL, it is followed with\n\
             \n    touchstone subscribe --url URL --chain {chain} --channel {channel} --floor-root 1 --floor-release 1\n    \
             touchstone update\n\n\
             On this machine it is installed in {installed}. To serve it for a try: cargo xtask serve {quoted}\n",
            site = site.display(),
            channel = self.channel.name,
            installed = self.work.path("subscriber/state/current/nixexprs").display(),
            quoted = quoted(&site.to_string_lossy()),
        ));
    }

    /// Makes a call and notes what it took. That it was refused or failed is the caller's to see.
    fn step(&mut self, name: &str, call: &Call) -> Result<Ran> {
        self.terminal.typed(call);
        let ran = call.ask(self.terminal)?;
        if ran.text().is_ok() {
            self.note(name, &call.to_string(), ran.cost)?;
        }
        Ok(ran)
    }

    /// Runs something else, likewise; it must not fail.
    fn line(&mut self, name: &str, line: &Line) -> Result<()> {
        self.terminal.typed(line);
        let cost = line.timed(self.terminal);
        // git's failures are of the machine or the network; nothing was judged yet.
        let cost = cost.map_err(|failure| Failure::environment(failure.to_string()))?;
        self.note(name, &line.to_string(), cost)
    }

    fn note(&mut self, name: &str, command: &str, cost: Cost) -> Result<()> {
        self.terminal.say(&format!("    {}", report::in_words(cost)));
        self.report.add(name, command, cost)
    }
}
