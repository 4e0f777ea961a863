//! Which delegated roles may speak of a target (the specification's sections 4.5 and 5.6.7, and TAP 15). Our own
//! chains have one role a channel and need no search.

use attestation::{
    Sha256Digest,
    tuf::{DelegatedRole, Delegations, SuccinctRoles},
};

/// A role that may speak of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegate {
    /// Its name.
    pub name: String,
    /// Whether nobody after it and its own delegates is asked.
    pub terminating: bool,
}

/// The roles that may speak of `target`, in the order in which they are asked.
pub fn delegates(delegations: &Delegations, target: &str) -> Vec<Delegate> {
    let digest = Sha256Digest::of(target).to_string();
    let listed = delegations.roles.iter().flatten();
    let listed = listed
        .filter(|role| speaks_of(role, target, &digest))
        .map(|role| Delegate {
            name: role.name.clone(),
            terminating: role.terminating,
        });
    let bin = delegations.succinct_roles.as_ref().and_then(|bins| bin(bins, &digest));
    let bin = bin.map(|name| Delegate {
        name,
        terminating: true,
    });
    listed.chain(bin).collect()
}

fn speaks_of(role: &DelegatedRole, target: &str, digest: &str) -> bool {
    let by_path = role.paths.iter().flatten().any(|pattern| path_matches(pattern, target));
    let by_digest = role.path_hash_prefixes.iter().flatten();
    by_path || by_digest.into_iter().any(|prefix| digest.starts_with(prefix.as_str()))
}

/// The name of the bin that a digest falls into: its first bits, as a hexadecimal number as long as the last bin's.
fn bin(bins: &SuccinctRoles, digest: &str) -> Option<String> {
    if !(1..=32).contains(&bins.bit_length) {
        return None;
    }
    let first = u32::from_str_radix(digest.get(..8)?, 16).ok()?;
    let number = first >> (32 - bins.bit_length);
    let digits = bins.bit_length.div_ceil(4) as usize;
    Some(format!("{}-{number:0digits$x}", bins.name_prefix))
}

/// A shell pattern over a path: component by component, so that no wildcard matches a `/`.
fn path_matches(pattern: &str, path: &str) -> bool {
    let (mut patterns, mut components) = (pattern.split('/'), path.split('/'));
    loop {
        match (patterns.next(), components.next()) {
            (None, None) => return true,
            (Some(pattern), Some(component)) if component_matches(pattern, component) => {}
            _ => return false,
        }
    }
}

/// `*`, `?` and `[…]`. The pattern is a stranger's: it only ever goes back to its last `*`, so that no pattern takes
/// more than pattern times text steps.
fn component_matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut read) = (0, 0);
    let mut last_star = None;
    while read < text.len() {
        if pattern.get(at) == Some(&'*') {
            last_star = Some((at, read));
            at += 1;
            continue;
        }
        if let Some(length) = one_character(&pattern[at..], text[read]) {
            at += length;
            read += 1;
            continue;
        }
        let Some((star, taken)) = last_star else {
            return false;
        };
        last_star = Some((star, taken + 1));
        (at, read) = (star + 1, taken + 1);
    }
    pattern[at..].iter().all(|rest| *rest == '*')
}

/// How long the beginning of `pattern` is that matches `character`; `None` if it does not match.
fn one_character(pattern: &[char], character: char) -> Option<usize> {
    match pattern.first()? {
        '?' => Some(1),
        '[' => match set_end(pattern) {
            Some(end) => in_set(&pattern[1..end], character).then_some(end + 1),
            // A bracket that nothing closes is a bracket.
            None => (character == '[').then_some(1),
        },
        literal => (*literal == character).then_some(1),
    }
}

/// Where the set that `pattern` begins with ends. A `]` right at its beginning is one of its characters.
fn set_end(pattern: &[char]) -> Option<usize> {
    let first = if pattern.get(1) == Some(&'!') { 2 } else { 1 };
    let close = pattern.iter().skip(first + 1).position(|character| *character == ']')?;
    Some(first + 1 + close)
}

fn in_set(set: &[char], character: char) -> bool {
    let (negated, mut set) = match set {
        ['!', rest @ ..] => (true, rest),
        _ => (false, set),
    };
    let mut found = false;
    while let [first, rest @ ..] = set {
        set = match rest {
            ['-', last, rest @ ..] => {
                found |= (*first..=*last).contains(&character);
                rest
            }
            _ => {
                found |= *first == character;
                rest
            }
        };
    }
    found != negated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_as_the_shell_matches() {
        for (pattern, path, expected) in [
            ("*", "a", true),
            ("*", "a/b", false),
            ("*/*", "a/b", true),
            ("releases/*/*.zip", "releases/y/v1.zip", true),
            ("releases/*/*.zip", "releases/v1.zip", false),
            ("foo-?.tgz", "foo-1.tgz", true),
            ("foo-?.tgz", "foo-12.tgz", false),
            ("a?b", "a/b", false),
            ("*.md", "README.MD", false),
            ("[a-c]x", "bx", true),
            ("[a-c]x", "dx", false),
            ("[!a-c]x", "dx", true),
            ("[!a-c]x", "ax", false),
            ("[]]", "]", true),
            ("[a", "[a", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("**", "ab", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(path_matches(pattern, path), expected, "{pattern} on {path}");
        }
    }

    #[test]
    fn a_strangers_pattern_does_not_take_for_ever() {
        let pattern = "*a".repeat(2_000);
        assert!(!path_matches(&pattern, &"a".repeat(1_999)));
    }

    #[test]
    fn a_bin_is_the_first_bits_of_the_digest_of_the_name() {
        let bins = |bit_length| SuccinctRoles {
            keyids: Vec::new(),
            threshold: 1,
            bit_length,
            name_prefix: "bin".to_owned(),
        };
        let digest = "c0ffee00";
        for (bit_length, expected) in [
            (1, Some("bin-1")),
            (4, Some("bin-c")),
            (5, Some("bin-18")),
            (8, Some("bin-c0")),
            (32, Some("bin-c0ffee00")),
            (0, None),
            (33, None),
        ] {
            assert_eq!(bin(&bins(bit_length), digest).as_deref(), expected, "{bit_length} bits");
        }
    }

    #[test]
    fn roles_are_asked_in_order_and_by_the_digest_of_the_name() {
        let role = |name: &str, paths: &[&str], prefixes: &[&str], terminating| DelegatedRole {
            name: name.to_owned(),
            keyids: Vec::new(),
            threshold: 1,
            terminating,
            paths: Some(paths.iter().map(ToString::to_string).collect()),
            path_hash_prefixes: Some(prefixes.iter().map(ToString::to_string).collect()),
        };
        let digest = Sha256Digest::of("dir/file").to_string();
        let delegations = Delegations {
            keys: [].into(),
            roles: Some(vec![
                role("other", &["*"], &[], false),
                role("paths", &["dir/*"], &[], true),
                role("prefix", &[], &[&digest[..3]], false),
                role("nobody", &[], &[], false),
            ]),
            succinct_roles: None,
        };
        let expected = [("paths", true), ("prefix", false)].map(|(name, terminating)| Delegate {
            name: name.to_owned(),
            terminating,
        });
        assert_eq!(delegates(&delegations, "dir/file"), expected);
    }
}
