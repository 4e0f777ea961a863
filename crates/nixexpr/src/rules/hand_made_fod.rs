//! `hand-made-fod`

use attestation::unit::FindingLevel;

use crate::{names, resolve::Attribute, syntax::tree::Kind, marks::{Marks, BindingSeen}, Rule, rule::{AtBindings, Look}};

pub(crate) static RULE: Rule = Rule {
    code: "hand-made-fod",
    level: FindingLevel::B,
    fires: "a derivation with a hand-written `outputHash` runs a downloader, or `impureEnvVars` are let in",
    because: "arbitrary code runs with the network",
    example: "+    outputHash = \"sha256-AAA…\";\n+    buildCommand = \"curl https://example.org/x | sh\";",
    advice: "Ask why none of the fetchers does it. What runs before the hash is checked can do whatever it likes.",
    look: Look {
        binding: Some(AtBindings::named(&["impureEnvVars", "outputHash"], binding)),
        ..Look::ELSEWHERE
    },
};

const DOWNLOADERS: [&str; 22] = [
    "curl", "wget", "git clone", "git fetch", "npm ", "yarn", "pnpm", "pip ", "cargo ", "go mod", "svn ", "hg clone", "aria2", "rsync", "mvn", "gradle",
    "bundle ", "composer", "nuget", "dotnet restore", "fetch", "http",
];

fn binding<'a>(seen: &BindingSeen<'_, 'a>, marks: &mut Marks<'a>) {
    let file = seen.file;
    if seen.name == "impureEnvVars" {
        return marks.add_file(&RULE, file, file.tree.binding(seen.id).span.start, "impureEnvVars");
    }
    if seen.name != "outputHash" {
        return;
    }
    let owner = file.tree.binding(seen.id).owner;
    let by_fetcher = match file.tree.above(owner) {
        Some((above, None)) => match file.tree.kind(above) {
            Kind::Apply { function, .. } => file.callee(function).is_some_and(|callee| names::fetcher(callee.last).is_some()),
            _ => false,
        },
        _ => false,
    };
    if by_fetcher {
        return;
    }
    let text = file.slice(file.tree.span(owner));
    // What its builder does is elsewhere where it names a file.
    let elsewhere = matches!(file.attribute(owner, "builder"), Attribute::Is(_) | Attribute::Unknown);
    if elsewhere || DOWNLOADERS.iter().any(|word| text.contains(word)) {
        marks.add_file(&RULE, file, file.tree.binding(seen.id).span.start, "outputHash");
    }
}
