//! Evidence that people's keys live on tokens: demanded when a root is proposed, and by everybody who signs it.

use std::{fs, path::PathBuf};

use attestation::{Time, chain::PolicyDocument};
use ledger::Snapshot;
use policy::{
    Keyring,
    hardware::{self, HardwareRefusal},
};

use crate::{
    exit::{Exit, Failure, OrExit as _, Outcome},
    statements::Statements,
};

/// What tokens attest, as the ledger has it.
pub(crate) fn evidence(snapshot: &Snapshot) -> Outcome<Vec<Vec<u8>>> {
    let listing = snapshot.evidence().or_exit(Exit::Environment)?;
    Ok(listing
        .files
        .into_iter()
        .map(|file| file.bytes.into_claimed())
        .collect())
}

/// What tokens attest, from files.
pub(crate) fn read(paths: &[PathBuf]) -> Outcome<Vec<Vec<u8>>> {
    let read =
        |path: &PathBuf| fs::read(path).or_exit_with(Exit::Usage, || format!("{} cannot be read", path.display()));
    paths.iter().map(read).collect()
}

/// Whether everybody whom the policy adds or changes has the hardware that it says.
pub(crate) fn check(
    next: &PolicyDocument,
    before: Option<&PolicyDocument>,
    keyring: &Keyring,
    evidence: &[Vec<u8>],
    statements: Option<&Statements>,
    now: Time,
) -> Outcome {
    let verified = statements.map_or(&[][..], |statements| &statements.verified);
    hardware::check(next, before, keyring, evidence, verified, now).map_err(|error| {
        let advice = advice(&error);
        Failure::new(Exit::Refused, error).next(advice)
    })
}

fn advice(error: &HardwareRefusal) -> String {
    match error {
        HardwareRefusal::NoRoots { .. } => {
            "add attestation-roots = [\"SHA256\"] to the policy: assay token attest prints the digest of the token's root; \
             compare it with what the maker publishes"
                .to_owned()
        }
        HardwareRefusal::WitnessedInFirstRoot { person } => {
            format!("begin with hardware = \"none\" for {person}; two others witness the key under the new chain, then \
                     raise it: assay policy propose")
        }
        HardwareRefusal::NotAttested { person, .. } => {
            format!("{person} runs assay token attest; then assay policy propose policy.toml --evidence {person}.pem")
        }
        HardwareRefusal::TooFewWitnesses { person, key, .. } => format!(
            "two others who have a role in common with {person} run: assay token witness --person {person} --certificate \
             {person}.asc --key {key} --token IDENT --seen \"WHAT YOU SAW\""
        ),
        HardwareRefusal::Key { .. } => "the certificate is wanted: --certificate NAME.asc".to_owned(),
    }
}
