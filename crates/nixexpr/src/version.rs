//! Versions, compared as people mean them: a release follows its betas.

use std::cmp::Ordering;

/// Compares two versions component by component. Numbers compare as numbers; a component that says "not yet" (`rc`,
/// `beta`, `alpha`, `pre`, `dev`) comes before its absence, any other word after it.
pub fn compare(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (components(left), components(right));
    loop {
        match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (left, right) => match component(left, right) {
                Ordering::Equal => {}
                other => return other,
            },
        }
    }
}

fn component(left: Option<&str>, right: Option<&str>) -> Ordering {
    let key = |component: Option<&str>| match component {
        Some(text) if text.starts_with(|first: char| first.is_ascii_digit()) => {
            let digits = text.trim_start_matches('0');
            (3, digits.len(), digits.to_owned())
        }
        Some(text) => {
            let text = text.to_ascii_lowercase();
            (before_release(&text).unwrap_or(2), 0, text)
        }
        None => (1, 0, String::new()),
    };
    key(left).cmp(&key(right))
}

fn before_release(word: &str) -> Option<i32> {
    Some(match word {
        "dev" | "git" | "snapshot" | "nightly" => -5,
        "a" | "alpha" => -4,
        "b" | "beta" => -3,
        "pre" | "preview" | "m" | "milestone" => -2,
        "rc" | "c" | "cr" => -1,
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
        assert_eq!(compare("1.0", "1_0"), Ordering::Equal);
        assert_eq!(compare("1.0", "v1.0").reverse(), compare("v1.0", "1.0"));
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
