//! `plain-http`

use attestation::unit::FindingLevel;

use crate::{File, names, syntax::tree::{Kind, NodeId, Part}, marks::{Marks, BindingSeen, CallSeen, ShellSeen}, Rule, rule::{AtBindings, AtShell, Look}};

pub(crate) static RULE: Rule = Rule {
    code: "plain-http",
    level: FindingLevel::H,
    fires: "something is fetched over `http://` or `ftp://` from a host that was not before, or a download does not check certificates",
    because: "whoever is on the way decides what is fetched when the hash is next updated",
    example: "+    url = \"http://example.org/a-1.0.tar.gz\";",
    advice: "Ask for https. A hash protects this fetch, not the person who computes the next one.",
    look: Look {
        call: Some(call),
        binding: Some(AtBindings::named(&["url", "urls", "mirror", "mirrors", "baseUrl", "baseurl", "src_url", "srcUrl", "downloadUrl"], binding)),
        shell: Some(AtShell::with(&WORDS, shell)),
        ..Look::ELSEWHERE
    },
};

fn call<'a>(seen: &CallSeen<'_, 'a>, marks: &mut Marks<'a>) {
    if names::fetcher(seen.function).is_some() {
        look_at(seen.file, seen.argument, marks);
    }
}

fn binding<'a>(seen: &BindingSeen<'_, 'a>, marks: &mut Marks<'a>) {
    if !seen.file.describes(seen.value) {
        look_at(seen.file, seen.value, marks);
    }
}

/// Whatever is written out in a value and begins with a scheme that is plain.
fn look_at<'a>(file: &File<'a>, node: NodeId, marks: &mut Marks<'a>) {
    for id in file.subtree(node) {
        let text = match file.tree.kind(id) {
            Kind::Uri => file.slice(file.tree.span(id)),
            Kind::String { parts, .. } => match file.tree.parts(parts).first() {
                Some(Part::Text(span)) => file.slice(*span),
                _ => continue,
            },
            // An address that is put together elsewhere.
            Kind::Ident | Kind::Select { .. } | Kind::Binary { .. } | Kind::Apply { .. } => {
                if let Some(text) = file.text_of(id)
                    && let Some(host) = plain_host(&text)
                    && !file.describes(id)
                {
                    marks.add_once(&RULE, file, file.tree.span(id).start, &host);
                }
                continue;
            }
            _ => continue,
        };
        if let Some(host) = plain_host(text)
            && !file.describes(id)
        {
            marks.add_once(&RULE, file, file.tree.span(id).start, &host);
        }
    }
}

/// The scheme and host of a URL that is plain.
fn plain_host(text: &str) -> Option<String> {
    let begins = |scheme: &str| text.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme));
    if text.len() < 7 || !begins("http://") && !begins("ftp://") {
        return None;
    }
    let (scheme, rest) = text.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next().unwrap_or("");
    Some(format!("{scheme}://{host}").to_ascii_lowercase())
}

const WORDS: [&str; 5] = ["--insecure", "--no-check-certificate", "curl", "http://", "ftp://"];

fn shell<'a>(seen: &ShellSeen<'_, 'a>, marks: &mut Marks<'a>) {
    for (at, line) in seen.lines() {
        let fetches = line.contains("curl") || line.contains("wget") || line.contains("git clone");
        let unchecked = line.contains("--insecure") || line.contains("--no-check-certificate") || ignores_certificates(line);
        let plain = line.contains("http://") || line.contains("ftp://");
        if fetches && (unchecked || plain) && !seen.file.describes(seen.node) {
            marks.add_file(&RULE, seen.file, at, line);
        }
    }
}

/// `curl -k`, also among other letters (`-sSLk`).
fn ignores_certificates(line: &str) -> bool {
    let mut words = line.split_whitespace().skip_while(|word| word.rsplit('/').next() != Some("curl"));
    words.next().is_some() && words.any(|word| word.starts_with('-') && !word.starts_with("--") && word.contains('k') && word[1..].bytes().all(|byte| byte.is_ascii_alphabetic()))
}
