//! Evaluation by a process that can do no harm: of a user without other work, in namespaces without a network, with bounds.
//!
//! Three processes, each with less than the one before:
//!
//! 1. the approver, root, which writes approvals. It starts the second, and checks what comes back ([`Evaluator`]).
//! 2. the stage, root, which makes the namespaces and a file system in memory, starts the third, and ends it in time
//!    ([`stage`]).
//! 3. the one inside, the evaluating user and process 1 of its namespace: with it all that it started ends. It bounds itself,
//!    runs stock `nix-instantiate` with a store of its own that is empty, and tells what came of it ([`inside`]).
//!
//! Nix reads the search path of the request and nothing else (`restrict-eval`), and no configuration, environment or
//! experimental feature of the machine. It is not Nix's *pure* evaluation, which reads nothing outside the store and so
//! refuses `<nixpkgs>` in a configuration. What is left of impurity is the time of day: an expression that looks at it means
//! other derivations when it is built, and they are refused.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::CString,
    fs,
    io::{self, BufReader, Read as _, Write as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

use nixstore::{Derivation, Sha256Digest, StoreDir, StorePath, nar, source_store_path, text_store_path};
use rustix::{
    mount::{MountFlags, MountPropagationFlags, mount, mount_change},
    process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit},
    thread::{UnshareFlags, set_no_new_privs},
};
use serde::{Deserialize, Serialize};

use super::{
    answer::{self, Address, AnswerError, Parts},
    request,
};
use crate::settings::Limits;

/// The user who evaluates and does nothing else.
pub const USER: &str = "touchstone-eval";

/// By which exit code the stage says that time ran out.
const TIMED_OUT: u8 = 75;

/// How often the stage looks whether the one inside has ended.
const LOOK: Duration = Duration::from_millis(10);

/// A user of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Its number.
    pub uid: u32,
    /// The number of its group.
    pub gid: u32,
}

/// What is to be evaluated, and how: what the approver tells the stage, and the stage the one inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Plan {
    /// The expression.
    pub expression: String,
    /// What it may read, by name.
    pub search_path: Vec<(String, PathBuf)>,
    /// A directory that the stage mounts memory on.
    pub work: PathBuf,
    /// Who evaluates.
    pub user: User,
    /// Within what.
    pub limits: Limits,
}

/// Starts evaluations.
#[derive(Debug, Clone)]
pub struct Evaluator {
    /// The program and arguments that run [`stage`].
    pub program: Vec<PathBuf>,
    /// A directory for the work, which exists.
    pub work: PathBuf,
    /// Who evaluates.
    pub user: User,
    /// Within what.
    pub limits: Limits,
}

/// Why there is no evaluation.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// The stage cannot be started, or ended badly.
    #[error("the evaluator cannot be started")]
    Start(#[from] io::Error),
    /// Namespaces are not to be had.
    #[error("the evaluator has no place of its own: {said}")]
    Stage {
        /// What it said.
        said: String,
    },
    /// It took too long.
    #[error("expected the evaluation to take at most {seconds} seconds and {memory} MiB of memory; it was ended")]
    TooLong {
        /// How long it may take.
        seconds: u64,
        /// How much memory it may use.
        memory: u64,
    },
    /// What it answered is not believed.
    #[error(transparent)]
    Answer(#[from] AnswerError),
}

impl User {
    /// The user of that name, by `etc/passwd`. Root evaluates nothing.
    pub fn find(name: &str, etc: &Path) -> Option<Self> {
        let users = fs::read_to_string(etc.join("passwd")).ok()?;
        let fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let found = fields
            .into_iter()
            .find(|fields| fields[0] == name && fields.len() >= 4)?;
        let (uid, gid) = (found[2].parse().ok()?, found[3].parse().ok()?);
        (uid != 0 && gid != 0).then_some(Self { uid, gid })
    }
}

impl Evaluator {
    /// Evaluates an expression that may read these and nothing else. Nothing of the answer is believed yet.
    pub fn evaluate(&self, expression: String, search_path: Vec<(String, PathBuf)>) -> Result<Parts, EvaluateError> {
        let plan = Plan {
            expression,
            search_path,
            work: self.work.clone(),
            user: self.user,
            limits: self.limits,
        };
        let (program, arguments) = self
            .program
            .split_first()
            .ok_or_else(|| io::Error::other("no program"))?;
        let mut stage = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let answer = tell(&mut stage, &plan).and_then(|()| {
            let out = stage.stdout.take().ok_or_else(|| io::Error::other("no answer"))?;
            Ok(Parts::read(BufReader::new(out)))
        });
        // Whatever it still has to say after its answer is nobody's.
        let ended = stage.wait_with_output()?;
        if ended.status.code() == Some(i32::from(TIMED_OUT)) {
            let Limits { seconds, memory, .. } = self.limits;
            return Err(EvaluateError::TooLong { seconds, memory });
        }
        if !ended.stderr.is_empty() {
            let said = String::from_utf8_lossy(&ended.stderr)
                .trim()
                .chars()
                .take(500)
                .collect();
            return Err(EvaluateError::Stage { said });
        }
        Ok(answer??)
    }
}

fn tell(process: &mut Child, plan: &Plan) -> io::Result<()> {
    let mut to = process.stdin.take().ok_or_else(|| io::Error::other("no input"))?;
    to.write_all(&serde_json::to_vec(plan)?)
}

fn told() -> io::Result<Plan> {
    let mut text = Vec::new();
    io::stdin().take(1 << 20).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

/// The second process, with the plan on standard input; `inside` are the arguments of this program that run [`inside`].
pub fn stage(inside: &[&str]) -> ExitCode {
    match try_stage(inside) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn try_stage(arguments: &[&str]) -> io::Result<ExitCode> {
    let plan = told()?;
    // An approver that is stopped takes its evaluation along.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    separate()?;
    let size = format!(
        "size={}m,mode=0700,uid={},gid={}",
        plan.limits.files, plan.user.uid, plan.user.gid
    );
    let size = CString::new(size)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("touchstone", &plan.work, "tmpfs", flags, size.as_c_str())?;
    // As this very program, wherever it lies.
    let mut child = Command::new("/proc/self/exe")
        .args(arguments)
        .uid(plan.user.uid)
        .gid(plan.user.gid)
        .current_dir(&plan.work)
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    tell(&mut child, &plan)?;
    let end = Instant::now() + Duration::from_secs(plan.limits.seconds);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(if status.success() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            });
        }
        if Instant::now() >= end {
            child.kill()?;
            child.wait()?;
            return Ok(ExitCode::from(TIMED_OUT));
        }
        thread::sleep(LOOK);
    }
}

/// Leaves the network, the mounts, the messages and the processes of the machine.
#[expect(
    deprecated,
    reason = "what replaces it is unsafe because of a flag that is not used here (shared file tables)"
)]
fn separate() -> io::Result<()> {
    let flags =
        UnshareFlags::NEWNS | UnshareFlags::NEWNET | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS | UnshareFlags::NEWPID;
    rustix::thread::unshare(flags)?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    Ok(())
}

/// The third process, with the plan on standard input and its answer on standard output.
pub fn inside() -> ExitCode {
    let done = told().and_then(|plan| {
        bound(&plan.limits)?;
        let mut out = io::BufWriter::new(io::stdout().lock());
        match Inside::new(&plan).and_then(|inside| inside.evaluate(&plan)) {
            Ok(parts) => parts.write(&mut out),
            Err(said) => answer::write_failure(&said, &mut out),
        }
    });
    if done.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn bound(limits: &Limits) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    set_no_new_privs(true)?;
    let bounds = [
        (Resource::As, limits.memory << 20),
        // Of all threads together; the stage ends it earlier by the clock.
        (Resource::Cpu, limits.seconds * 2),
        (Resource::Fsize, limits.files << 20),
        (Resource::Nofile, 4096),
        (Resource::Nproc, 512),
        (Resource::Core, 0),
    ];
    for (resource, most) in bounds {
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        setrlimit(resource, limit)?;
    }
    Ok(())
}

/// Where the evaluating user works.
struct Inside {
    home: PathBuf,
    store: PathBuf,
}

impl Inside {
    fn new(plan: &Plan) -> Result<Self, String> {
        let inside = Self {
            home: plan.work.join("home"),
            store: plan.work.join("store"),
        };
        fs::create_dir_all(&inside.home).map_err(|error| error.to_string())?;
        Ok(inside)
    }

    fn evaluate(&self, plan: &Plan) -> Result<Parts, String> {
        let mut arguments = request::options(&plan.search_path);
        arguments.extend(["-E".to_owned(), plan.expression.clone()]);
        let printed = self.nix("nix-instantiate", &arguments)?;
        // An output that is not the first is named behind an exclamation mark.
        let names = printed.lines().filter_map(|line| line.split('!').next());
        let roots = names.map(|path| StorePath::parse_in(&StoreDir::default(), path));
        let roots: BTreeSet<StorePath> = roots.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
        if roots.is_empty() {
            return Err("the expression has nothing that can be built".to_owned());
        }
        self.collect(roots)
    }

    /// These derivations and all that they need, and how the paths of the sources are made.
    fn collect(&self, roots: BTreeSet<StorePath>) -> Result<Parts, String> {
        let mut parts = Parts {
            roots: roots.iter().cloned().collect(),
            ..Parts::default()
        };
        let mut queue: Vec<StorePath> = roots.into_iter().collect();
        while let Some(path) = queue.pop() {
            if parts.derivations.contains_key(&path) || parts.sources.contains_key(&path) {
                continue;
            }
            if !path.name().ends_with(".drv") {
                let address = self.address(&path)?;
                if let Address::Text(_, references) = &address {
                    queue.extend(references.iter().cloned());
                }
                parts.sources.insert(path, address);
                continue;
            }
            let bytes = fs::read(self.file(&path)).map_err(|error| format!("{path}: {error}"))?;
            let derivation =
                Derivation::parse(&bytes).map_err(|error| format!("{path} cannot be approved: {error}"))?;
            queue.extend(derivation.input_sources);
            queue.extend(derivation.input_derivations.into_keys());
            parts.derivations.insert(path, bytes);
        }
        Ok(parts)
    }

    /// How the path of a source is made of what it holds.
    fn address(&self, path: &StorePath) -> Result<Address, String> {
        let (store, file, name) = (StoreDir::default(), self.file(path), path.name());
        let said = |error: &dyn std::error::Error| format!("{path}: {error}");
        let recursive = nar::hash_path(&file).map_err(|error| said(&error))?.sha256;
        if source_store_path(&store, name, &recursive).is_ok_and(|found| found == *path) {
            return Ok(Address::Recursive(recursive));
        }
        if file.is_symlink() || !file.is_file() {
            return Err(format!("{path} has a path that is not made of what it holds"));
        }
        let flat = Sha256Digest::of(fs::read(&file).map_err(|error| said(&error))?);
        if text_store_path(&store, name, &flat, []).is_ok_and(|found| found == *path) {
            return Ok(Address::Text(flat, BTreeSet::new()));
        }
        let named = format!("{store}/{path}");
        let arguments = ["--query", "--references", &named].map(str::to_owned);
        let references = self.nix("nix-store", &arguments)?;
        let references = references.lines().map(|line| StorePath::parse_in(&store, line));
        let references: BTreeSet<StorePath> = references.collect::<Result<_, _>>().map_err(|error| said(&error))?;
        if references.is_empty() {
            return Ok(Address::Flat(flat));
        }
        Ok(Address::Text(flat, references))
    }

    fn file(&self, path: &StorePath) -> PathBuf {
        self.store.join("nix/store").join(path.base_name())
    }

    fn nix(&self, program: &str, arguments: &[String]) -> Result<String, String> {
        const CONFIGURATION: &str = "build-users-group =\nsubstituters =\nbuilders =\nsandbox = true\n";
        let variables: BTreeMap<&str, &Path> = [
            ("HOME", self.home.as_path()),
            ("NIX_CONF_DIR", &self.home),
            ("NIX_REMOTE", &self.store),
            ("TMPDIR", &self.home),
            ("XDG_CACHE_HOME", &self.home),
        ]
        .into();
        let output = Command::new(program)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .envs(variables)
            .env("NIX_CONFIG", CONFIGURATION)
            .env("NIX_PATH", "")
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("cannot run {program}: {error}"))?;
        if output.status.success() {
            return String::from_utf8(output.stdout).map_err(|_| format!("{program} printed no text"));
        }
        let said = String::from_utf8_lossy(&output.stderr);
        // The last thing that went wrong is the reason; what comes before is where.
        let at = said.rfind("error:").unwrap_or(0);
        let reason = said[at..].trim();
        if reason.is_empty() {
            return Err(format!(
                "{program} ended with {}; it may have used up its memory",
                output.status
            ));
        }
        Err(reason.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_does_not_evaluate_and_a_user_is_found_by_the_whole_name() {
        let etc = tempfile::tempdir().unwrap();
        let users =
            "root:x:0:0::/:/bin/sh\ntouchstone-evaluator:x:990:990::/:/bin/sh\ntouchstone-eval:x:991:992::/:/bin/sh\n";
        fs::write(etc.path().join("passwd"), users).unwrap();
        assert_eq!(User::find(USER, etc.path()), Some(User { uid: 991, gid: 992 }));
        assert_eq!(User::find("root", etc.path()), None);
        assert_eq!(User::find("touchstone", etc.path()), None);
        assert_eq!(User::find(USER, Path::new("/nowhere")), None);
    }
}
