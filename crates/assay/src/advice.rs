//! What to do after a refusal of the policy engine: the next command.
//!
//! The engine says which rule was broken, what was found, who signed and who could still; which command a person types
//! next is known here. Every kind of refusal has an answer (the matches have no rest), and docs/refusals.md lists all.

use std::error::Error;

use policy::{
    Shortfall, SignatureRefusal, TrustError,
    admission::AdmissionRefusal,
    document::PolicyRefusal,
    hardware::HardwareRefusal,
    keyring::{CertificateRefusal, KeyringError},
    root::RootRefusal,
    source::SourceError,
    statements::{StatementRefusal, WrongList},
};

/// What to do next, if a refusal of the policy engine is among the reasons.
pub(crate) fn of(error: &(dyn Error + 'static)) -> Option<String> {
    let mut error = Some(error);
    while let Some(reason) = error {
        if let Some(advice) = of_one(reason) {
            return Some(advice);
        }
        error = reason.source();
    }
    None
}

fn of_one(error: &(dyn Error + 'static)) -> Option<String> {
    fn find<T: Error + 'static>(error: &(dyn Error + 'static), advice: fn(&T) -> String) -> Option<String> {
        error.downcast_ref().map(advice)
    }
    find(error, trust)
        .or_else(|| find(error, shortfall))
        .or_else(|| find(error, root))
        .or_else(|| find(error, policy))
        .or_else(|| find(error, source))
        .or_else(|| find(error, certificate))
        .or_else(|| find(error, keyring))
        .or_else(|| find(error, signature))
        .or_else(|| find(error, statement))
        .or_else(|| find(error, admission))
        .or_else(|| find(error, list))
        .or_else(|| find(error, hardware))
}

/// For what is wrong in the ledger, whoever put it there.
pub(crate) const WHO_FILED_IT: &str = "find out who filed it (git log touchstone), and exchange the ledger with somebody who has a good \
                            one: assay sync";

fn trust(error: &TrustError) -> String {
    match error {
        TrustError::Threshold(found) => shortfall(found),
        TrustError::Root { source, .. } => root(source),
        TrustError::NotThePinnedChain { .. } => {
            "compare the chain's id with what its people told you; to join another chain: assay init --join --remote REMOTE \
             --chain ID --as NAME, in another clone"
                .to_owned()
        }
        TrustError::Expired { role, .. } if matches!(role.as_str(), "snapshot" | "timestamp") => {
            "have it renewed: assay publish --to SITE --online-key FILE".to_owned()
        }
        TrustError::Expired { role, .. } if role == "root" => {
            "have the next root made: assay policy propose policy.toml; then the people of role root run assay sign".to_owned()
        }
        TrustError::Expired { .. } => {
            "have the next release made: assay import, then assay release, each with --channel NAME".to_owned()
        }
        TrustError::TwoPayloads { role, version } => format!(
            "compare both files of {role} version {version} with the other signers before anybody signs again: somebody signed \
             two, or one was tampered with (git log touchstone)"
        ),
        TrustError::Violated { channel, .. } => format!(
            "release something that replaces it: assay import --channel {channel}, assay review, assay release"
        ),
        TrustError::Format { .. }
        | TrustError::Header { .. }
        | TrustError::Version { .. }
        | TrustError::Rollback { .. }
        | TrustError::NotAsListed { .. }
        | TrustError::NotTheTarget { .. }
        | TrustError::NotListed { .. }
        | TrustError::Mark { .. }
        | TrustError::Rule { .. } => WHO_FILED_IT.to_owned(),
        TrustError::Order(_) | TrustError::FreshnessNotJudged => {
            "this is a mistake in assay itself: please report it, with the command that you typed".to_owned()
        }
    }
}

fn shortfall(found: &Shortfall) -> String {
    let could = &found.tally.could_still_sign;
    if could.is_empty() {
        return "nobody is left who could sign: have the policy changed (assay policy propose), or the signatures that do \
                not count made again: assay sign"
            .to_owned();
    }
    format!(
        "one of those who could still sign runs: assay sign ({})",
        could.join(", ")
    )
}

fn root(error: &RootRefusal) -> String {
    match error {
        RootRefusal::Policy(source) => policy(source),
        RootRefusal::Key { person, source } => format!("{} (it is {person}'s)", certificate(source)),
        RootRefusal::NoPolicy => {
            "this root is of a plain TUF repository and not of a chain; a chain's is made by assay init \
                                  or assay policy propose"
                .to_owned()
        }
        RootRefusal::SameMaterial { .. } => {
            "give each of them a key of their own (assay token enroll), then assay policy propose policy.toml"
                .to_owned()
        }
        RootRefusal::NotDerived { .. } => {
            "have it proposed by assay policy propose, which derives it; if it was, the certificates differ: assay sync"
                .to_owned()
        }
        RootRefusal::Chain { .. } => {
            "have it proposed in a clone of this chain: assay policy propose policy.toml".to_owned()
        }
    }
}

fn policy(error: &PolicyRefusal) -> String {
    let how = match error {
        PolicyRefusal::Format { .. } => {
            return "use the assay that this policy was written for, or write it anew and read it: assay policy check policy.toml"
                .to_owned();
        }
        PolicyRefusal::MissingRole(role) => format!("add [roles.{role}]"),
        PolicyRefusal::UnknownPerson { person, .. } => {
            format!(
                "add the person (assay policy person {person} {person}.asc prints the lines), or take the name out of the role"
            )
        }
        PolicyRefusal::NoKey(person) => {
            format!("add a key (assay policy person {person} {person}.asc prints the lines)")
        }
        PolicyRefusal::KeyTwice { .. } | PolicyRefusal::CertificateTwice { .. } => {
            "leave it with the one whose it is".to_owned()
        }
        PolicyRefusal::Threshold { .. } => "lower the threshold, or add people".to_owned(),
        PolicyRefusal::Unreachable(rule) => {
            format!("move rule {rule} before the one that takes all from it, or remove it")
        }
        PolicyRefusal::RedundantPattern { pattern, .. } => {
            format!("remove the pattern {pattern:?}, or give it its own rule")
        }
        PolicyRefusal::Contradictory(rule) => format!("split rule {rule} into two"),
        PolicyRefusal::IdleThreshold(role) => format!("remove the threshold of role {role}"),
        PolicyRefusal::NoCatchAll => "add a last rule with nothing but require".to_owned(),
        PolicyRefusal::RequiresNobody(rule) => format!("say in rule {rule} who must approve: require = {{ ROLE = 1 }}"),
        PolicyRefusal::Pattern { .. } => "write it as a path with * and **, as pkgs/stdenv/**".to_owned(),
        PolicyRefusal::OnlineKey => "assay token online --out FILE makes one and prints its line".to_owned(),
        PolicyRefusal::ZeroDuration(_) => "give it a length, as \"3 days\"".to_owned(),
    };
    format!("{how}; then read it again: assay policy check policy.toml")
}

fn source(error: &SourceError) -> String {
    match error {
        SourceError::Toml(_) | SourceError::Value { .. } => {
            "mend it there, then read it again: assay policy check policy.toml".to_owned()
        }
    }
}

fn certificate(error: &CertificateRefusal) -> String {
    match error {
        CertificateRefusal::NoCertificate { .. } | CertificateRefusal::NoSuchKey { .. } => {
            "add the owner's newest certificate: assay policy propose policy.toml --certificate NAME.asc".to_owned()
        }
        CertificateRefusal::NotValid { .. } => {
            "its owner renews it (assay token rotate), then assay policy propose policy.toml --certificate NAME.asc".to_owned()
        }
        CertificateRefusal::Revoked { .. } | CertificateRefusal::WeakPrimary { .. } => {
            "its owner makes another key (assay token enroll), then assay policy propose policy.toml --certificate NAME.asc"
                .to_owned()
        }
        CertificateRefusal::NotCertified(_) => {
            "some of those who could certify it (gpg --local-user PRIMARY --sign-key FINGERPRINT), then assay policy propose \
             policy.toml --certificate NAME.asc"
                .to_owned()
        }
        CertificateRefusal::Algorithm { .. } | CertificateRefusal::StatementsOnly { .. } => {
            "its owner makes an Ed25519 key (assay token enroll), which stands first in the policy: assay policy propose \
             policy.toml --certificate NAME.asc"
                .to_owned()
        }
    }
}

fn keyring(error: &KeyringError) -> String {
    match error {
        KeyringError::TooLarge { .. } => "export it small: gpg --export-options export-minimal --export FINGERPRINT".to_owned(),
        KeyringError::Malformed(_) | KeyringError::Empty => {
            "export the certificate again: gpg --armor --export FINGERPRINT > NAME.asc".to_owned()
        }
        KeyringError::PrivateKey => {
            "export the public part alone (gpg --armor --export FINGERPRINT > NAME.asc), and make another key: assay token enroll"
                .to_owned()
        }
    }
}

fn signature(error: &SignatureRefusal) -> String {
    match error {
        SignatureRefusal::Certificate(source) => certificate(source),
        SignatureRefusal::NotInRole => {
            "somebody of the role signs it: assay policy show says who that is; then assay sign".to_owned()
        }
        SignatureRefusal::Bad | SignatureRefusal::Form(_) => {
            "have it signed again by assay sign, and find out who filed this one: git log touchstone".to_owned()
        }
        SignatureRefusal::Key(_) => {
            "its owner makes an Ed25519 key (assay token enroll), then assay policy propose policy.toml".to_owned()
        }
        SignatureRefusal::FromTheFuture { .. } => {
            "set the clock of this machine, or of the signer's, then sign again: assay sign".to_owned()
        }
        SignatureRefusal::BeforeProposal { .. } => "sign what is proposed now: assay sign".to_owned(),
        SignatureRefusal::AfterPolicy { .. } => {
            "have the person's not-after moved by the people of role root: assay policy propose policy.toml".to_owned()
        }
    }
}

fn statement(error: &StatementRefusal) -> String {
    match error {
        StatementRefusal::Signature { source, .. } => signature(source),
        StatementRefusal::UnknownAuthor(_) | StatementRefusal::NoRole(_) | StatementRefusal::NotTheAuthors { .. } => {
            "somebody who is in the policy now says it again (assay policy show), or it stays without effect".to_owned()
        }
        StatementRefusal::Payload(_)
        | StatementRefusal::Chain { .. }
        | StatementRefusal::OtherId { .. }
        | StatementRefusal::NoViolation => WHO_FILED_IT.to_owned(),
        StatementRefusal::NoChain => "name the clone of a chain: assay --repo DIR".to_owned(),
    }
}

fn admission(error: &AdmissionRefusal) -> String {
    match error {
        AdmissionRefusal::Open { .. } => {
            "assay queue --channel NAME --open says what each unit needs, and from whom; assay review gives it"
                .to_owned()
        }
        AdmissionRefusal::OtherDeltas
        | AdmissionRefusal::OtherStart { .. }
        | AdmissionRefusal::NotThePolicys { .. } => {
            "import it anew: assay import --channel NAME, then assay sign".to_owned()
        }
        AdmissionRefusal::NotPatchable { unit, .. } => format!(
            "leave the patch out (assay import --channel NAME --patches DIR, or --no-patches), or have role root allow it: \
             patches = [\"{unit}\"] in the channel's entry, then assay policy propose policy.toml"
        ),
        AdmissionRefusal::PatchesUnstated { .. } => {
            "import it anew, with the patches that it shall have: assay import --channel NAME --patches DIR".to_owned()
        }
        AdmissionRefusal::NoStatement { role } => format!("somebody of role {role} makes it: assay sign"),
    }
}

fn list(error: &WrongList) -> String {
    match error {
        WrongList::List { .. } | WrongList::Root { .. } => WHO_FILED_IT.to_owned(),
    }
}

fn hardware(error: &HardwareRefusal) -> String {
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
        HardwareRefusal::Key { source, .. } => certificate(source),
    }
}

#[cfg(test)]
mod tests;
