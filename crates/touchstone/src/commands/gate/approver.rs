//! `touchstone gate approver`: answers who asks for what no release lists.

use std::{
    env, fs,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::{
        fd::AsFd as _,
        unix::{
            fs::PermissionsExt as _,
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::Args;
use gate::{
    Place, Settings,
    approver::{
        kept,
        request::{Question, Request, Wanted},
    },
    client::{self, Client},
};
use serde::{Deserialize, Serialize};

use super::{
    environment, nix,
    refresh::{self, Lists},
    requests::Trouble,
    require_root,
};
use crate::{
    failure::Failure,
    output::{Output, chain},
};

/// The longest question.
const QUESTION: u64 = 256 << 10;

/// How long a client may take to ask.
const SILENCE: Duration = Duration::from_secs(10);

/// So many clients are answered at a time; the others are told so.
const AT_ONCE: usize = 8;

/// Approve on request what no release lists: systems, overlays, packages with another configuration
#[derive(Debug, Args)]
#[command(after_help = "\
Runs until it is stopped, as root. Clients are touchstone build, shell and switch. What is asked for is evaluated by the user
touchstone-eval, without a network, from the installed release and files that are root's alone; a source that no signed list
has is refused until root names it.

Example:
  touchstone gate approver &")]
pub(super) struct Arguments {
    /// Answer the one client that is connected to standard input (systemd, Accept=yes)
    #[arg(long)]
    once: bool,
}

/// What a client is told.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Reply {
    /// It is approved.
    Approved {
        /// How many derivations it consists of.
        derivations: usize,
        /// Which of them were asked for.
        roots: Vec<String>,
    },
    /// It is not.
    Refused(Trouble),
}

#[derive(Serialize)]
struct Listening {
    socket: PathBuf,
}

pub(super) fn run(arguments: &Arguments, state: &Path, place: &Place, output: Output) -> Result<ExitCode, Failure> {
    require_root("approver")?;
    if arguments.once {
        let input = io::stdin().as_fd().try_clone_to_owned();
        let stream = input.map(UnixStream::from);
        return stream
            .and_then(|stream| answer_one(&stream, state, place, output))
            .map(|()| ExitCode::SUCCESS)
            .map_err(|error| {
                environment(
                    error,
                    "it is started by touchstone gate approver, or by systemd with Accept=yes",
                )
            });
    }
    place.create().map_err(|error| environment(error, "check the disk"))?;
    let socket = place.socket();
    let listener = listen(&socket).map_err(|error| environment(error, format!("look at {}", socket.display())))?;
    output.result(&Listening { socket }, |listening| {
        format!("listening at {}", listening.socket.display())
    });
    serve(&listener, state).map_err(|error| environment(error, "start it again"))?;
    Ok(ExitCode::SUCCESS)
}

/// Everybody may connect; the kernel says who it was. Where it is found, it listens.
fn listen(socket: &Path) -> io::Result<UnixListener> {
    let fresh = socket.with_extension("new");
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&fresh)?;
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o666))?;
    fs::rename(&fresh, socket)?;
    Ok(listener)
}

/// A process for each client, so that none can hurt the next.
fn serve(listener: &UnixListener, state: &Path) -> io::Result<()> {
    let program = env::current_exe()?;
    let mut running: Vec<Child> = Vec::new();
    loop {
        let (stream, _) = listener.accept()?;
        running.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        if running.len() >= AT_ONCE {
            let busy = Trouble::new("busy", format!("{AT_ONCE} others are being answered"), "ask again");
            drop(reply(&stream, &Reply::Refused(busy)));
            continue;
        }
        let mut command = Command::new(&program);
        command.arg("--state").arg(state).args(["gate", "approver", "--once"]);
        let child = command
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(stream)))
            .stdout(Stdio::null())
            .spawn();
        match child {
            Ok(child) => running.push(child),
            Err(error) => eprintln!("touchstone: a client cannot be answered: {error}"),
        }
    }
}

fn answer_one(stream: &UnixStream, state: &Path, place: &Place, output: Output) -> io::Result<()> {
    let peer = rustix::net::sockopt::socket_peercred(stream)?;
    let client = Client {
        uid: peer.uid.as_raw(),
        gid: peer.gid.as_raw(),
    };
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(SILENCE))?;
    let mut text = Vec::new();
    BufReader::new(stream.take(QUESTION)).read_until(b'\n', &mut text)?;
    let answered = match serde_json::from_slice::<Question>(&text) {
        Ok(question) => answer(question, client, state, place, output),
        Err(error) => {
            let next = "ask with touchstone build, shell or switch of the same version";
            Reply::Refused(Trouble::new("question", error.to_string(), next))
        }
    };
    reply(stream, &answered)
}

fn reply(mut stream: &UnixStream, reply: &Reply) -> io::Result<()> {
    let mut text = serde_json::to_vec(reply)?;
    text.push(b'\n');
    stream.write_all(&text)
}

/// Answers a question of `client`.
pub(crate) fn answer(question: Question, client: Client, state: &Path, place: &Place, output: Output) -> Reply {
    match try_answer(question, client, state, place, output) {
        Ok(reply) => reply,
        Err(trouble) => Reply::Refused(trouble),
    }
}

fn try_answer(
    question: Question,
    client: Client,
    state: &Path,
    place: &Place,
    output: Output,
) -> Result<Reply, Trouble> {
    may_ask(&question, client, place)?;
    let system = nix::configuration().map_err(|failure| of(&failure))?;
    let request = Request {
        question,
        client,
        time: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs()),
    };
    let wanted = request.question.wanted.clone();
    let system = system.get("system").cloned().unwrap_or_default();
    let approved = refresh::approve_with(&Lists::Kept, state, place, &system, output, Some(request));
    let approved = approved.map_err(|failure| of(&failure))?;
    let outcome = approved.requests.into_iter().find(|outcome| outcome.id == wanted.id());
    let outcome = outcome.ok_or_else(|| Trouble::new("answer", "nothing came of it", "ask again"))?;
    match outcome.trouble {
        Some(trouble) => Err(trouble),
        None => Ok(Reply::Approved {
            derivations: outcome.derivations,
            roots: outcome.roots,
        }),
    }
}

/// Root may ask for everything, for it may write everything. Others may ask for what people signed, where the owner lets them,
/// and name no sources.
fn may_ask(question: &Question, client: Client, place: &Place) -> Result<(), Trouble> {
    question
        .check()
        .map_err(|error| Trouble::new("question", chain(&error).join(": "), "ask for less, by absolute paths"))?;
    if client.uid == 0 {
        return Ok(());
    }
    let owner = |reason: &str| {
        let next = "ask the owner of the machine to do it once, as root; members of a developers' group need not ask";
        Err(Trouble::new("not-the-owner", reason, next))
    };
    if !matches!(question.wanted, Wanted::Packages { .. }) {
        return owner("only root may have an expression of its own approved for this machine");
    }
    if !question.sources.is_empty() {
        return owner("only root may take a source that no signed list has");
    }
    let settings = Settings::read(place).map_err(|error| {
        Trouble::new(
            "settings",
            chain(&error).join(": "),
            "as root: touchstone gate on writes them anew",
        )
    })?;
    match &settings.request_group {
        Some(group) if client::is_in_group(client, group, Path::new("/etc")) => Ok(()),
        Some(group) => owner(&format!(
            "only members of {group} may have what no release lists approved"
        )),
        None => owner(
            "only root may have what no release lists approved (touchstone gate on --request-group GROUP lets others)",
        ),
    }
}

fn of(failure: &Failure) -> Trouble {
    Trouble::new(failure.code(), failure.in_one_line(), failure.next())
}

/// Whether what is kept says something that cannot be read; it then approves nothing.
pub(super) fn kept_requests(place: &Place, output: Output) -> Vec<Request> {
    kept::all(place).unwrap_or_else(|error| {
        output.note(&format!(
            "note: no request is looked at: {}; remove it, and ask again",
            chain(&error).join(": ")
        ));
        Vec::new()
    })
}
