//! Links in our documents lead somewhere.

use super::Problem;
use super::sources::Source;
use crate::workspace;

/// Relative links of Markdown files name files or folders of ours.
pub(super) fn resolve(sources: &[Source]) -> Vec<Problem> {
    let root = workspace::root();
    broken(sources, &|path| root.join(path).exists())
}

fn broken(sources: &[Source], exists: &dyn Fn(&str) -> bool) -> Vec<Problem> {
    let mut problems = Vec::new();
    for source in sources.iter().filter(|source| source.has_extension("md")) {
        let folder = source.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (number, target) in targets(&source.text) {
            if !joined(folder, target).is_some_and(|path| exists(&path)) {
                let message = format!("links to `{target}`, which is not there");
                problems.push(Problem::new("dead-link", format!("{}:{number}", source.path), message));
            }
        }
    }
    problems
}

/// The relative targets of inline links, with their line numbers; code is no link.
fn targets(text: &str) -> Vec<(usize, &str)> {
    let mut in_fence = false;
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_fence = !in_fence;
        }
        if in_fence || line.starts_with("    ") {
            continue;
        }
        // Between backquotes is code: every second piece.
        for prose in line.split('`').step_by(2).chain(std::iter::once(line)) {
            for link in prose.split("](").skip(1) {
                let target = link.split([')', ' ', '#']).next().unwrap_or_default();
                if !target.is_empty() && !target.contains(':') && !found.contains(&(index + 1, target)) {
                    found.push((index + 1, target));
                }
            }
        }
    }
    found
}

/// `target` as seen from `folder`, without `.` and `..`; `None` if it leaves the repository.
fn joined(folder: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = if target.starts_with('/') {
        Vec::new()
    } else {
        folder.split('/').collect()
    };
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.retain(|part| !part.is_empty());
                parts.pop()?;
            }
            _ => parts.push(part),
        }
    }
    parts.retain(|part| !part.is_empty());
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken_in(path: &str, text: &str) -> Vec<String> {
        let source = Source {
            path: path.into(),
            text: text.into(),
        };
        let there = ["docs/formats.md", "README.md", "crates/policy"];
        broken(&[source], &|path| there.contains(&path))
            .into_iter()
            .map(|problem| problem.place)
            .collect()
    }

    #[test]
    fn a_link_is_seen_from_its_file() {
        let text =
            "[a](formats.md#root) [b](../README.md)\n[c](../crates/policy/) [d](https://example.org/x) [e](#here)";
        assert!(broken_in("docs/architecture.md", text).is_empty());
        assert_eq!(broken_in("README.md", "\n[a](formats.md)"), ["README.md:2"]);
        assert!(broken_in("README.md", "[a](docs/formats.md)").is_empty());
    }

    #[test]
    fn refuses_a_link_out_of_the_repository() {
        assert_eq!(broken_in("docs/a.md", "[a](../../README.md)"), ["docs/a.md:1"]);
    }

    #[test]
    fn a_link_with_a_code_text_is_a_link_and_code_is_none() {
        assert_eq!(broken_in("README.md", "see [`gone`](gone.md)"), ["README.md:1"]);
        assert!(broken_in("README.md", "`[a]` and\n```\n[a](gone.md)\n```\n").is_empty());
    }
}
