//! Versions, compared as people mean them: a release follows its betas.

use std::cmp::Ordering;

/// Compares two versions component by component. Numbers compare as numbers; a component that says "not yet" (`rc`,
/// `beta`, `alpha`, `pre`, `dev`) comes before its absence, any other word after it.
pub fn compare(left: &str, right: &str) -> Ordering {
    let (left, right): (Vec<_>, Vec<_>) = (components(left).collect(), components(right).collect());
    let keys = (0..left.len().max(right.len())).map(|at| key(&left, at).cmp(&key(&right, at)));
    keys.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// A version without the commit ids in it, which have no order; `None` where there are none.
pub fn without_commits(version: &str) -> Option<String> {
    let is_commit = |part: &&str| {
        part.len() >= 7
            && part.bytes().all(|byte| byte.is_ascii_hexdigit())
            && part.bytes().any(|byte| byte.is_ascii_alphabetic())
            && part.bytes().any(|byte| byte.is_ascii_digit())
    };
    let parts: Vec<&str> = version.split(['-', '_', '.', '+']).collect();
    parts.iter().any(is_commit).then(|| {
        parts
            .iter()
            .filter(|part| !is_commit(part))
            .copied()
            .collect::<Vec<_>>()
            .join("-")
    })
}

/// What a component counts as: not yet released, nothing, a word, a number.
fn key<'v>(components: &[&'v str], at: usize) -> (i32, usize, std::borrow::Cow<'v, str>) {
    let Some(text) = components.get(at) else {
        return (1, 0, "".into());
    };
    if text.starts_with(|first: char| first.is_ascii_digit()) {
        let digits = text.trim_start_matches('0');
        // A missing zero is a zero.
        return if digits.is_empty() {
            (1, 0, "".into())
        } else {
            (3, digits.len(), digits.into())
        };
    }
    let word = text.to_ascii_lowercase();
    let numbered = components
        .get(at + 1)
        .is_some_and(|next| next.starts_with(|first: char| first.is_ascii_digit()));
    (before_release(&word, numbered).unwrap_or(2), 0, word.into())
}

/// Words that say "not yet". A single letter does where a number follows it (`1.0b2`); alone it is a later release (`1.0.1g`).
fn before_release(word: &str, numbered: bool) -> Option<i32> {
    Some(match word {
        "dev" | "git" | "snapshot" | "nightly" => -5,
        "alpha" => -4,
        "beta" => -3,
        "pre" | "preview" | "milestone" => -2,
        "rc" | "cr" => -1,
        "a" if numbered => -4,
        "b" if numbered => -3,
        "m" if numbered => -2,
        "c" if numbered => -1,
        _ => return None,
    })
}

/// Runs of digits and runs of letters; whatever else is between them only separates.
fn components(version: &str) -> impl Iterator<Item = &str> {
    let mut rest = version;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|c: char| !c.is_alphanumeric());
        let first = rest.chars().next()?;
        let same = |c: char| c.is_alphanumeric() && c.is_ascii_digit() == first.is_ascii_digit();
        let end = rest.find(|c| !same(c)).unwrap_or(rest.len());
        let (component, after) = rest.split_at(end);
        rest = after;
        Some(component)
    })
}

/// Whether a text may be a version or a revision: letters, digits and `.`, `_`, `+`, `-`, `~`, with a digit, not long.
/// Nothing in it means anything to a shell, and in no path does it lead elsewhere.
pub fn is_plain(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'+' | b'-');
    !text.is_empty()
        && text.len() <= 100
        && text.bytes().all(plain)
        && text.bytes().any(|byte| byte.is_ascii_digit())
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && !text.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_people_mean_them() {
        for (lower, higher) in [
            ("1.0", "1.1"),
            ("1.9", "1.10"),
            ("1.0rc1", "1.0"),
            ("1.0-beta2", "1.0-rc1"),
            ("1.0", "1.0.1"),
            ("1.0", "1.0a"),
            ("1.0.0-alpha.1", "1.0.0"),
            ("2013-12-31", "2014-01-02"),
            ("1.0", "1.0-unstable-2024-01-01"),
            ("9.52", "9.52p1"),
            ("0-unstable-2024-01-01", "0-unstable-2024-01-02"),
            ("20", "100"),
            ("1.007", "1.8"),
        ] {
            assert_eq!(compare(lower, higher), Ordering::Less, "{lower} {higher}");
            assert_eq!(compare(higher, lower), Ordering::Greater, "{lower} {higher}");
        }
        for (one, same) in [("1.0", "1_0"), ("1.0", "1.0.0"), ("1.05", "1.5"), ("2-4c", "2.4C")] {
            assert_eq!(compare(one, same), Ordering::Equal, "{one} {same}");
        }
    }

    #[test]
    fn a_plain_version_means_nothing_to_a_shell() {
        for good in ["1.0", "2.4.1-rc2", "0-unstable-2024-01-01", "v1.2+git3", "1_2"] {
            assert!(is_plain(good), "{good}");
        }
        for bad in [
            "", "1.0;x", "1 0", "$(x)1", "${x}1", "1/../2", "`1`", "../1", "-1", ".1", "latest", "1..2", "1\n2",
        ] {
            assert!(!is_plain(bad), "{bad}");
        }
    }
}
