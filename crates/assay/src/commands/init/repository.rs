//! The policy of a repository's own chain: who commits, and who may change that.

use std::{fmt::Write as _, fs, io::Read as _, path::PathBuf};

use attestation::{PersonName, names::NameError};
use channel::online::OnlineKey;
use ledger::authenticate::oid;

use crate::{
    commands::policy::entry,
    desk::Desk,
    exit::{Exit, Failure, OrExit as _, Outcome},
    history, output,
};

/// The text of a policy by which everybody of these certificates commits, and a majority of them changes the policy.
pub(super) fn policy(desk: &Desk, certificates: &[PathBuf], introduction: &str, threshold: u32) -> Outcome<String> {
    let history = history::open(desk)?;
    let introduction = history.target(introduction).or_exit_with(Exit::Usage, || {
        "name the commit after which every commit is signed: --introduction REV".to_owned()
    })?;
    let (mut names, mut entries) = (Vec::new(), String::new());
    for path in certificates {
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let name: PersonName = stem.parse().map_err(|error: NameError| {
            Failure::new(Exit::Usage, format!("{}: {error}", path.display()))
                .next("name the file after its person, as alice.asc")
        })?;
        let bytes = fs::read(path).or_exit_with(Exit::Usage, || format!("{} cannot be read", path.display()))?;
        entries += &entry(&name, &path.display().to_string(), &bytes, desk.now)?.text();
        names.push(format!("\"{name}\""));
    }
    if names.len() < 2 {
        return Err(Failure::new(
            Exit::Usage,
            "one person cannot have a chain: whoever loses the key could never change it again",
        )
        .next("add the certificate of a second person, or of a spare key that is kept elsewhere: --certificate FILE"));
    }
    let people = names.join(", ");
    // One more than it takes, or one lost token ends the chain.
    let root = (names.len() / 2 + 1).min(names.len() - 1);
    let mut text = format!("online-key = \"{}\"\n\n{entries}\n", nobodys_key()?);
    let _ = write!(
        text,
        "[roles.root]\npeople = [{people}]\nthreshold = {root}\n\n[roles.committers]\npeople = [{people}]\n\n\
         [repository]\nintroduction = \"{}\"\ncommits = {{ role = \"committers\", threshold = {threshold} }}\n",
        oid(introduction.commit)
    );
    output::note(
        "the policy is printed with --format json, and by assay policy show; keep it as policy.toml to change it",
    );
    Ok(text)
}

/// A chain that publishes nothing has nothing that an online key signs: the secret half is thrown away.
fn nobodys_key() -> Outcome<String> {
    let mut seed = [0; 32];
    fs::File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut seed))
        .or_exit(Exit::Environment)?;
    Ok(OnlineKey::from_seed(&seed).public())
}
