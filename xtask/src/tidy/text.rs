//! Rules over the text of our own files.

use super::Problem;
use super::scrub::code_only;
use super::sources::Source;

/// About where a file has two subjects.
const LONG: usize = 500;

/// Files that are longer for a reason.
const LONG_FOR_A_REASON: &[(&str, &str)] = &[];

/// Where proof is made, and where people are counted.
const HOME_OF_PROOF: &str = "crates/policy/";

/// The one place that counts people, and the one that looks whether a policy's numbers make sense.
const COUNTS: &[&str] = &[
    "crates/policy/src/threshold.rs",
    "crates/policy/src/document.rs",
    // Builders' keys, which are no people and vouch for no recipe.
    "crates/gate/src/substituter/quorum.rs",
];

/// What the number is called that people are held against.
const WORDS_FOR_ENOUGH: &[&str] = &["threshold", "needed", "quorum"];

/// Types that are proof.
const PROOFS: &[&str] = &["Verified", "Current"];

/// Beginnings of absolute paths that exist on one machine only. Split, so that this file does not match itself.
const ONE_MACHINE: &[&str] = &[concat!("/wo", "rk/"), concat!("/Us", "ers/"), concat!("/ro", "ot/.")];

/// What says that something is not finished.
const UNFINISHED: &[&str] = &[concat!("FIX", "ME"), concat!("XX", "X:"), concat!("TO", "DO")];

/// All rules over all files.
pub(super) fn check(sources: &[Source]) -> Vec<Problem> {
    sources
        .iter()
        .flat_map(|source| {
            let mut found = one_machine(source);
            if source.is_rust() {
                let code = code_only(&source.text);
                found.extend(length(source));
                found.extend(unfinished(source, &code));
                found.extend(silenced_lints(source, &code));
                found.extend(forged_proof(source, &code));
                found.extend(second_count(source, &code));
            }
            if is_manifest_of_a_crate(&source.path) {
                found.extend(lints(source));
            }
            found
        })
        .collect()
}

/// Files stay short enough to have one subject.
fn length(source: &Source) -> Option<Problem> {
    let lines = source.text.lines().count();
    let reason = LONG_FOR_A_REASON.iter().any(|(path, _)| *path == source.path);
    let message = match (lines > LONG, reason) {
        (true, false) => format!("has {lines} lines (at most {LONG}): does it have two subjects?"),
        (false, true) => format!("has {lines} lines and is excused for being long; remove the excuse"),
        _ => return None,
    };
    Some(Problem::new("long-file", source.path.as_str(), message))
}

/// No unfinished business.
fn unfinished(source: &Source, code: &str) -> Vec<Problem> {
    let macros = |line: &str| {
        ["todo!", "unimplemented!"]
            .into_iter()
            .find(|word| has_word(line, word))
    };
    let notes = |line: &str| UNFINISHED.iter().copied().find(|word| line.contains(word));
    let mut found = lines_with(source, code, "unfinished", |line| {
        macros(line).map(|word| format!("`{word}`: finish it or leave it out"))
    });
    found.extend(lines_with(source, &source.text, "unfinished", |line| {
        notes(line).map(|word| format!("`{word}`: do it, or say in docs/shortcomings.md that it is not done"))
    }));
    found
}

/// A lint is silenced by `expect` with a reason, which complains when it is no longer needed.
fn silenced_lints(source: &Source, code: &str) -> Vec<Problem> {
    lines_with(source, code, "silenced-lint", |line| {
        let squeezed = line.replace(' ', "");
        let allow = squeezed.contains("#[allow(") || squeezed.contains("#![allow(");
        allow.then(|| "`allow`: use `#[expect(…, reason = \"…\")]`".to_owned())
    })
}

/// Proof is made in one crate. The compiler holds that by privacy; this notices a type of the same name.
fn forged_proof(source: &Source, code: &str) -> Vec<Problem> {
    if source.path.starts_with(HOME_OF_PROOF) {
        return Vec::new();
    }
    lines_with(source, code, "proof", |line| {
        let made = PROOFS.iter().find(|name| is_made(line, name))?;
        Some(format!("makes or defines a `{made}`; only {HOME_OF_PROOF} may"))
    })
}

/// Whether `name {` or `name(`, or one of them behind a turbofish, stands in the line.
fn is_made(line: &str, name: &str) -> bool {
    words(line).any(|(at, word)| {
        let mut rest = &line[at + word.len()..];
        if let Some(turbofish) = rest.strip_prefix("::<") {
            rest = turbofish.split_once('>').map_or("", |(_, rest)| rest);
        }
        word == name && (rest.starts_with('(') || rest.trim_start().starts_with('{'))
    })
}

/// People are counted against a threshold in one crate. A heuristic: something called threshold beside a comparison.
fn second_count(source: &Source, code: &str) -> Vec<Problem> {
    if COUNTS.contains(&source.path.as_str()) || source.path.starts_with(concat!("crates/policy/", "tests/")) {
        return Vec::new();
    }
    lines_with(source, code, "second-count", |line| {
        let compares = compared(line).any(|(left, right)| {
            [left, right].iter().any(|operand| {
                WORDS_FOR_ENOUGH
                    .iter()
                    .any(|word| operand.to_lowercase().contains(word))
            })
        });
        compares.then(|| format!("compares a threshold; only {} counts people", COUNTS[0]))
    })
}

/// The operands right beside each comparison of a line. rustfmt puts spaces around operators and none in generics.
fn compared(line: &str) -> impl Iterator<Item = (&str, &str)> {
    let operand = |c: char| c.is_alphanumeric() || "_.:()?".contains(c);
    [" >= ", " <= ", " < ", " > "].into_iter().flat_map(move |operator| {
        line.match_indices(operator).map(move |(at, _)| {
            let (left, right) = (line[..at].trim_end(), line[at + operator.len()..].trim_start());
            let start = left
                .rfind(|c| !operand(c))
                .map_or(0, |at| at + left[at..].chars().next().map_or(1, char::len_utf8));
            let end = right.find(|c| !operand(c)).unwrap_or(right.len());
            (&left[start..], &right[..end])
        })
    })
}

/// Nothing that is true on one machine only.
fn one_machine(source: &Source) -> Vec<Problem> {
    lines_with(source, &source.text, "one-machine", |line| {
        let path = ONE_MACHINE.iter().find(|path| line.contains(**path))?;
        Some(format!("names `{path}…`, which is a path of one machine"))
    })
}

/// Every crate has the lints of the workspace. (Fuzz targets are a workspace of their own, which inherits none.)
fn lints(source: &Source) -> Option<Problem> {
    if source.path.ends_with("/fuzz/Cargo.toml") {
        return None;
    }
    let mut after = source
        .text
        .lines()
        .map(str::trim)
        .skip_while(|line| *line != "[lints]")
        .skip(1);
    let inherits = after.next() == Some("workspace = true");
    let message = "lacks `[lints]` with `workspace = true`";
    (!inherits).then(|| Problem::new("lints", source.path.as_str(), message))
}

fn is_manifest_of_a_crate(path: &str) -> bool {
    path.ends_with("/Cargo.toml")
}

fn lines_with(source: &Source, text: &str, rule: &'static str, judge: impl Fn(&str) -> Option<String>) -> Vec<Problem> {
    let place = |index: usize| format!("{}:{}", source.path, index + 1);
    text.lines()
        .enumerate()
        .filter_map(|(index, line)| Some(Problem::new(rule, place(index), judge(line)?)))
        .collect()
}

/// Whether `word` (which may end in `!`) stands in the line with no identifier character before it.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| !line[..at].ends_with(is_word))
}

/// The identifiers of a line and where they begin.
fn words(line: &str) -> impl Iterator<Item = (usize, &str)> {
    line.split(|c| !is_word(c))
        .filter(|word| !word.is_empty())
        .map(|word| (word.as_ptr() as usize - line.as_ptr() as usize, word))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<&'static str> {
        let source = Source {
            path: path.into(),
            text: text.into(),
        };
        check(&[source]).into_iter().map(|problem| problem.rule).collect()
    }

    #[test]
    fn refuses_proof_made_elsewhere() {
        let code = [
            "let v = Verified { value };",
            "let v = policy::Verified(value);",
            "pub struct Verified<T>(T); impl X { fn x() { Verified::<u8>(1) } }",
            "Current { value, until }",
        ];
        for code in code {
            assert_eq!(rules("crates/install/src/lib.rs", code), ["proof"], "{code}");
            assert!(rules("crates/policy/src/proof.rs", code).is_empty());
        }
        let honest =
            "fn f(v: Verified<Release>) -> Verified<Import> { g::<Verified<u8>>(NotVerified(1)) } // Verified {";
        assert!(rules("crates/install/src/lib.rs", honest).is_empty());
    }

    #[test]
    fn refuses_a_second_place_that_counts() {
        for code in [
            "if people.len() >= role.threshold {",
            "let ok = role.threshold() <= n;",
            "assert!(n < usize::from(role.threshold));",
            "if threshold > signers { }",
            "if vouches.len() < needed as usize {",
        ] {
            assert_eq!(rules("crates/channel/src/lib.rs", code), ["second-count"], "{code}");
            assert_eq!(rules("crates/policy/src/role.rs", code), ["second-count"], "{code}");
            assert!(rules("crates/policy/src/threshold.rs", code).is_empty());
        }
        for code in [
            "let threshold = 2;",
            "f(role.threshold, a >= b)",
            "fn f(threshold: Option<u8>) {",
            "x >= y; // threshold",
        ] {
            assert!(rules("crates/channel/src/lib.rs", code).is_empty(), "{code}");
        }
    }

    #[test]
    fn refuses_a_silenced_lint_but_not_a_word_about_it() {
        let allow = format!("#[{}(dead_code)]", "allow");
        assert_eq!(rules("crates/a/src/lib.rs", &allow), ["silenced-lint"]);
        assert!(rules("crates/a/src/lib.rs", &format!("// {allow}\nlet s = \"{allow}\";")).is_empty());
        assert!(rules("crates/a/src/lib.rs", "#[expect(dead_code, reason = \"b\")]").is_empty());
    }

    #[test]
    fn refuses_unfinished_business() {
        assert_eq!(rules("a.rs", "fn f() { todo!() }"), ["unfinished"]);
        assert_eq!(rules("a.rs", &format!("// {}: later", UNFINISHED[0])), ["unfinished"]);
        assert!(rules("a.rs", "// calls todo! nowhere\nlet mytodo = 1;").is_empty());
    }

    #[test]
    fn refuses_a_path_of_one_machine_in_any_file() {
        let text = format!("see {}x", ONE_MACHINE[0]);
        assert_eq!(rules("README.md", &text), ["one-machine"]);
        assert!(rules("README.md", "see network/ and work/x").is_empty());
    }

    #[test]
    fn refuses_a_crate_without_the_lints() {
        assert_eq!(rules("crates/a/Cargo.toml", "[package]\nname = \"a\"\n"), ["lints"]);
        assert_eq!(
            rules("crates/a/Cargo.toml", "[lints]\n[features]\nworkspace = true"),
            ["lints"]
        );
        assert!(rules("crates/a/Cargo.toml", "[lints]\nworkspace = true\n").is_empty());
        assert!(rules("Cargo.toml", "[workspace]").is_empty());
        assert!(rules("crates/a/fuzz/Cargo.toml", "[workspace]").is_empty());
    }

    #[test]
    fn refuses_a_file_with_two_subjects() {
        assert!(rules("a.rs", &"\n".repeat(LONG)).is_empty());
        assert_eq!(rules("a.rs", &"\n".repeat(LONG + 1)), ["long-file"]);
    }
}
