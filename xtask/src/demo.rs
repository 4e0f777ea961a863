//! `cargo xtask demo`: the whole cycle on the embedded upstream, from a commit to an installed package, and attacks.
//!
//! It starts from nothing each time, below `target/demo`, where everything can be looked at afterwards. It has no trust
//! logic: that something is refused is read from the exit code of `touchstone` or `assay`, and one that does not refuse
//! ends the demo with a failure.

mod attack;
mod subscriber;

use std::path::PathBuf;
use std::time::Instant;

use clap::{Args as Arguments, ValueEnum};

use crate::call::{Call, Commands, Ran};
use crate::channel_file::ChannelFile;
use crate::failure::{Failure, Result};
use crate::process::Terminal;
use crate::setup::{self, Purpose};
use crate::steps::{self, Imported, PEOPLE, Proposed, Published, Queue, Signed, Started, State, Work};
use crate::upstream::{self, Plan, Range, Verdict};
use crate::workspace;

use self::subscriber::Subscriber;

/// The policy that the demo's people start from.
const CHANNEL_FILE: &str = "distro/channels/unstable.toml";

/// Play the whole cycle on a small upstream of our own: import, review, sign, publish, install, refuse.
#[derive(Debug, Arguments)]
#[command(
    after_help = "Examples:\n  cargo xtask demo\n  cargo xtask demo --token virtual\n\nEverything is below target/demo, and stays for you to look at until the \
                        next demo. Exit codes: 0 all went as it should, 1 it did not, 3 this machine lacks something."
)]
pub(crate) struct Args {
    /// What the three people sign with: keys in files, or tokens (virtual cards in a real reader service)
    #[arg(long, value_enum, default_value_t = TokenKind::None)]
    token: TokenKind,
}

/// What people sign with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TokenKind {
    /// Keys in files.
    None,
    /// Virtual tokens.
    Virtual,
}

pub(crate) fn command(args: &Args, terminal: &Terminal) -> Result<()> {
    let tokens = args.token == TokenKind::Virtual;
    setup::ensure(if tokens { Purpose::Token } else { Purpose::Demo }, terminal)?;
    let commands = Commands::build(terminal)?;
    let mut work = Work::open(&workspace::made().join("demo"), true, commands)?;
    work.clear()?;
    if tokens {
        work.plug_in_tokens()?;
    }
    let upstream = work.path("upstream.git");
    let plan = Plan::read()?;
    let channel = ChannelFile::read(&workspace::root().join(CHANNEL_FILE), Some(&upstream.to_string_lossy()))?;
    let demo = Demo {
        start: Instant::now(),
        work,
        upstream,
        plan,
        channel,
        terminal,
    };
    demo.play()
}

struct Demo<'a> {
    start: Instant,
    work: Work,
    upstream: PathBuf,
    plan: Plan,
    channel: ChannelFile,
    terminal: &'a Terminal,
}

impl Demo<'_> {
    fn play(&self) -> Result<()> {
        let plan = &self.plan;
        self.chapter("three people start a chain");
        self.upstream_and_people()?;
        let chain = self.chain()?;
        self.chapter("the channel starts from a tree that they trust unreviewed");
        self.first_release()?;
        self.chapter("somebody subscribes, and installs with real Nix");
        let subscriber = Subscriber::new(self, &chain)?;
        subscriber.subscribe()?;
        subscriber.update(1)?;
        subscriber.builds(&plan.baseline.version)?;
        subscriber.nix_channel(&plan.baseline.version)?;
        self.ranges(&subscriber)?;
        self.end(&subscriber);
        Ok(())
    }

    fn ranges(&self, subscriber: &Subscriber<'_>) -> Result<()> {
        let mut installed = 1;
        let mut before = attack::announced(self)?;
        for (index, range) in self.plan.ranges.iter().enumerate() {
            let reviews = self.import(range)?;
            let Some(version) = &range.version else {
                for review in &reviews {
                    self.review(review)?;
                }
                self.refused_release()?;
                self.say_what_is_open()?;
                continue;
            };
            before = attack::announced(self)?;
            self.release(reviews, installed + 1, subscriber)?;
            if index + 1 == self.plan.ranges.len() {
                self.chapter("an attacker has the web server");
                attack::flip_bytes(self, subscriber, installed)?;
            }
            installed += 1;
            subscriber.update(installed)?;
            subscriber.builds(version)?;
        }
        self.chapter("the attacker serves an older channel again");
        attack::serve_again(self, subscriber, &before, installed)
    }

    fn chapter(&self, title: &str) {
        let seconds = self.start.elapsed().as_secs_f32();
        self.terminal.say("");
        self.terminal.step(&format!("{title}   [{seconds:.1} s]"));
    }

    /// What happened, in a line.
    fn tell(&self, text: &str) {
        for line in text.lines() {
            self.terminal.say(&format!("    {line}"));
        }
    }

    /// Shows a call and makes it.
    fn ask(&self, call: &Call) -> Result<Ran> {
        self.terminal.typed(call);
        call.ask(self.terminal)
    }

    fn assay(&self, person: &str, args: &[&str]) -> Result<Ran> {
        self.ask(&self.work.assay(person).args(args))
    }

    /// One of `assay`'s subcommands that is about the channel.
    fn on_channel(&self, person: &str, subcommand: &str, args: &[&str]) -> Result<Ran> {
        let call = self
            .work
            .assay(person)
            .args([subcommand, "--channel", &self.channel.name]);
        self.ask(&call.args(args))
    }

    fn upstream_and_people(&self) -> Result<()> {
        let (work, terminal) = (&self.work, self.terminal);
        let commits = upstream::build(&self.upstream, Some(&self.plan.baseline.commit), terminal)?;
        self.tell(&format!(
            "{} has an upstream with {} commits; alice, bob and carol have a fork of it and a clone each.\n\
             A prompt says who types: alice$ in alice/fork, subscriber$ in subscriber, nix28$ with Nix 2.8.",
            work.folder.display(),
            commits.len(),
        ));
        let fork = work.git(&work.folder).args(["clone", "--quiet", "--bare"]);
        fork.arg(&self.upstream).arg(work.path("fork.git")).text(terminal)?;
        for person in PEOPLE {
            steps::make(&work.path(person))?;
            work.clone_fork(person, true, terminal)?;
            work.key(person, terminal)?.iter().for_each(|call| terminal.typed(call));
        }
        self.tell(if work.has_tokens() {
            "Each makes keys on their token, after they gave it a PIN of their own. Then the publishing machine's key."
        } else {
            "Each makes a key: in a file here, on a token with --token virtual. Then the publishing machine's key."
        });
        work.online_key(terminal)?.iter().for_each(|call| terminal.typed(call));
        work.policy(&self.channel, terminal)?;
        self.tell(&format!(
            "{}: {CHANNEL_FILE} with these three people; {} of them change the policy, {} sign a release.",
            work.path("policy.toml").display(),
            self.channel.root_threshold,
            self.channel.release_threshold
        ));
        Ok(())
    }

    /// Starts the chain and returns its id.
    fn chain(&self) -> Result<String> {
        let [alice, bob, carol] = PEOPLE;
        let Started { first_root } = self.ask(&self.work.start())?.json()?;
        self.tell(&format!(
            "alice tells the others the digest of the first root, {first_root:.12}…, over the phone."
        ));
        for person in [bob, carol] {
            self.ask(&self.work.join(person, &first_root))?.text()?;
        }
        self.sign(alice)?;
        let reason = self.assay(alice, &["publish"])?.refusal()?;
        self.tell(&format!("Refused: {reason}"));
        self.sign(bob)?;
        let published: Published = self.assay(alice, &["publish"])?.json()?;
        self.tell(&format!("The chain is {}. Subscribers pin it.", published.chain));
        Ok(published.chain)
    }

    fn sign(&self, person: &str) -> Result<()> {
        let Signed { signed } = self.assay(person, &["sign", "--yes"])?.json()?;
        if signed.is_empty() {
            return Err(Failure::refused(format!("{person} should have had something to sign")));
        }
        for item in signed {
            self.tell(&format!("{person} derived it again and signed: {}", item.what));
        }
        Ok(())
    }

    fn first_release(&self) -> Result<()> {
        let [alice, bob, _] = PEOPLE;
        let baseline = self.work.git(&self.upstream).args(["rev-parse", &self.plan.branch]);
        let baseline = baseline.text(self.terminal)?;
        self.on_channel(alice, "import", &["--baseline", baseline.trim()])?
            .text()?;
        self.tell(&format!(
            "The tree of {} is to be trusted unreviewed.",
            self.plan.baseline.commit
        ));
        self.sign(alice)?;
        self.sign(bob)?;
        self.propose(1)?;
        self.sign(alice)?;
        self.sign(bob)?;
        self.publish()
    }

    fn propose(&self, sequence: u64) -> Result<()> {
        let proposed: Proposed = self.on_channel(PEOPLE[0], "release", &[])?.json()?;
        expect("the release", &proposed.sequence, &sequence)?;
        self.tell(&format!(
            "Release {sequence} is proposed: commit {:.12}. Nobody signs it without deriving it again.",
            proposed.commit
        ));
        Ok(())
    }

    /// Publishes; something must have been finished.
    fn publish(&self) -> Result<()> {
        let published: Published = self.ask(&self.work.publish())?.json()?;
        if published.finished.is_empty() {
            return Err(Failure::refused("publish should have finished something"));
        }
        self.tell(&format!("Finished and announced: {}.", published.finished.join(", ")));
        Ok(())
    }

    /// Upstream moves on to the end of a range, which is imported. Returns the reviews that it is to get.
    fn import<'r>(&self, range: &'r Range) -> Result<Vec<Review<'r>>> {
        let [alice, bob, carol] = PEOPLE;
        self.chapter(&format!("upstream moves on to {}", range.to));
        upstream::build(&self.upstream, Some(&range.to), self.terminal)?;
        let imported: Imported = self.on_channel(alice, "import", &[])?.json()?;
        self.tell(&format!(
            "{} commits change {} units.",
            imported.commits, imported.units
        ));
        self.sign(alice)?;
        let queue: Queue = self.on_channel(carol, "queue", &[])?.json()?;
        for unit in &queue.units {
            self.tell(&format!(
                "{:<9} {:<42} {}",
                unit.class,
                unit.unit,
                unit.verdict.in_words()
            ));
        }
        let open = |name: &str| {
            let unit = queue.units.iter().find(|unit| unit.unit == name);
            unit.is_some_and(|unit| !matches!(unit.verdict, State::Covered {}))
        };
        let mut reviews = Vec::new();
        for note in range.notes.iter().filter(|note| open(&note.unit)) {
            self.show(&note.unit)?;
            let verdict = match note.verdict {
                Verdict::Approve => "--approve",
                Verdict::Reject => "--reject",
            };
            let args = vec![verdict, &note.unit, "--note", &note.note];
            reviews.push(Review { by: carol, args });
        }
        for by in [bob, carol] {
            let args = vec!["--approve-all"];
            reviews.push(Review { by, args });
        }
        Ok(reviews)
    }

    /// The lines that a change adds.
    fn show(&self, unit: &str) -> Result<()> {
        let call = self
            .work
            .assay(PEOPLE[2])
            .args(["show", "--channel", &self.channel.name, unit]);
        self.terminal.typed(&call);
        let ran = call.run(self.terminal)?;
        for line in ran.text()?.lines() {
            if (line.starts_with('+') || line.starts_with('-')) && !line.starts_with("+++") && !line.starts_with("---")
            {
                self.tell(line);
            }
        }
        Ok(())
    }

    fn review(&self, review: &Review<'_>) -> Result<()> {
        #[derive(serde::Deserialize)]
        struct Reviewed {
            claim: String,
        }
        let ran = self.on_channel(review.by, "review", &[&review.args[..], &["--yes"]].concat())?;
        let Reviewed { claim } = ran.json()?;
        self.tell(&format!("{} signed: {claim}", review.by));
        Ok(())
    }

    /// From reviews to an announced release; on the way, what is missing is refused.
    fn release(&self, reviews: Vec<Review<'_>>, sequence: u64, subscriber: &Subscriber<'_>) -> Result<()> {
        let [alice, bob, _] = PEOPLE;
        let mut reviews = reviews.into_iter();
        let last = reviews.next_back();
        for review in reviews {
            self.review(&review)?;
        }
        self.refused_release()?;
        if let Some(review) = last {
            self.review(&review)?;
        }
        self.propose(sequence)?;
        self.sign(bob)?;
        let ran = self.ask(&self.work.publish())?;
        let published: Published = ran.json()?;
        expect("the number of finished files", &published.finished.len(), &0)?;
        self.tell(&format!("One signature too few: {}", ran.said()));
        subscriber.nothing_new(sequence - 1)?;
        self.sign(alice)?;
        self.publish()
    }

    fn refused_release(&self) -> Result<()> {
        let reason = self.on_channel(PEOPLE[0], "release", &[])?.refusal()?;
        self.tell(&format!("Refused: {reason}"));
        Ok(())
    }

    fn say_what_is_open(&self) -> Result<()> {
        let queue: Queue = self.on_channel(PEOPLE[0], "queue", &["--open"])?.json()?;
        for unit in &queue.units {
            self.tell(&format!("{}: {}", unit.unit, unit.verdict.in_words()));
        }
        Ok(())
    }

    fn end(&self, subscriber: &Subscriber<'_>) {
        self.chapter("all went as it should");
        self.tell(&format!(
            "{} has it all: the clones, the site, the subscriber's state. To look around:",
            self.work.folder.display()
        ));
        let people = self.work.clone_of(PEOPLE[0]);
        self.tell(&format!("cd {} && git log touchstone", people.display()));
        self.tell(&subscriber.status());
    }
}

/// What somebody says of units.
struct Review<'a> {
    by: &'static str,
    args: Vec<&'a str>,
}

/// Fails if something is not as the plan says.
fn expect<T: PartialEq + std::fmt::Display + ?Sized>(what: &str, found: &T, expected: &T) -> Result<()> {
    if found == expected {
        Ok(())
    } else {
        Err(Failure::refused(format!("{what} is {found}, expected {expected}")))
    }
}
