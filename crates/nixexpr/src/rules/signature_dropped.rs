//! `signature-dropped`

use attestation::unit::FindingLevel;

use crate::{marks::{BindingSeen, Marks, ShellSeen, line_at}, Rule, rule::{AtBindings, AtShell, Look}};

pub(crate) static RULE: Rule = Rule {
    code: "signature-dropped",
    level: FindingLevel::H,
    fires: "a check of upstream's signature was removed, or its key changed",
    because: "the proof of where a source comes from is lost",
    example: "-    gpgv --keyring ${./key.gpg} $src.asc $src",
    advice: "Ask why, and compare the old key's fingerprint with the one upstream publishes in a second place.",
    look: Look {
        binding: Some(AtBindings::named(&["validPgpKeys", "pgpKeys", "signingKey", "signingKeys", "minisignKey", "gpgKey", "publicKey", "pgpKeyUrl", "signature", "signatureUrl"], binding)),
        shell: Some(AtShell::with(&WORDS, shell)),
        ..Look::ELSEWHERE
    },
};

fn binding<'a>(seen: &BindingSeen<'_, 'a>, marks: &mut Marks<'a>) {
    let text = seen.file.words(seen.value);
    marks.protect(&RULE, seen.file, seen.value, &text);
}

const WORDS: [&str; 7] = ["gpgv", "gpg --verify", "minisign -V", "signify -V", "cosign verify", "openssl dgst -verify", "sq verify"];

fn shell<'a>(seen: &ShellSeen<'_, 'a>, marks: &mut Marks<'a>) {
    for (at, line) in seen.lines() {
        if WORDS.iter().any(|word| line.contains(word)) {
            marks.protect_at(&RULE, seen.file, seen.node, at, line_at(seen.file, at));
        }
    }
}
