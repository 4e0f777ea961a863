//! What follows from a version that went up.

/// A piece of a version.
pub(super) fn is_piece(text: &str) -> bool {
    text.len() <= 100
        && !text.contains("..")
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'+' | b'-'))
}

/// A full commit id.
pub(super) fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64)
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'))
}

/// Whether `new` is `old` with nothing but versions stepped, in one of the forms that URLs and tags have them in. Commit
/// ids count as stepped too.
pub(super) fn follows(old: &str, new: &str, steps: &[(String, String)]) -> bool {
    let mut forms: Vec<(String, String)> = Vec::new();
    for (from, to) in steps {
        for (from, to) in forms_of(from, to) {
            if from.bytes().any(|byte| byte.is_ascii_digit()) && !forms.contains(&(from.clone(), to.clone())) {
                forms.push((from, to));
            }
        }
    }
    forms.sort_by_key(|(from, _)| std::cmp::Reverse(from.len()));
    let (mut old, mut new) = (old, new);
    let mut before = None;
    while let Some(first) = old.chars().next() {
        // A version begins where no digit stands before it.
        let begins = !before.is_some_and(|before: char| before.is_ascii_digit());
        let step = forms.iter().find_map(|(from, to)| {
            let (rest_old, rest_new) = (old.strip_prefix(from.as_str())?, new.strip_prefix(to.as_str())?);
            let ends = !rest_old.starts_with(|c: char| c.is_ascii_digit())
                && !rest_new.starts_with(|c: char| c.is_ascii_digit());
            // One number alone may be anything (`user1` is not a first release): only a separator before it makes it one.
            let separated = from.contains('.')
                || from.contains('_')
                || from.contains('-')
                || !before.is_some_and(|before: char| before.is_alphabetic() && !matches!(before, 'v' | 'V'));
            (begins && ends && separated && from != to).then_some((rest_old, rest_new))
        });
        if let Some((rest_old, rest_new)) = step {
            (old, new) = (rest_old, rest_new);
            before = Some('0');
            continue;
        }
        if let (Some(was), Some(is)) = (old.get(..40), new.get(..40))
            && was != is
            && is_commit(was)
            && is_commit(is)
            && !old[40..].starts_with(|c: char| c.is_ascii_hexdigit())
            && !new[40..].starts_with(|c: char| c.is_ascii_hexdigit())
        {
            (old, new) = (&old[40..], &new[40..]);
            before = Some('0');
            continue;
        }
        let Some(rest) = new.strip_prefix(first) else {
            return false;
        };
        before = Some(first);
        old = &old[first.len_utf8()..];
        new = rest;
    }
    new.is_empty()
}

/// A version as it stands in paths: whole, its beginnings (`1.2` of `1.2.3`), with other separators or none.
fn forms_of(from: &str, to: &str) -> Vec<(String, String)> {
    let mut pairs = vec![(from.to_owned(), to.to_owned())];
    let beginning = |version: &str, parts: usize| {
        let cut: Vec<&str> = version.split('.').take(parts).collect();
        (version.split('.').count() > parts).then(|| cut.join("."))
    };
    for parts in 1..=3 {
        if let (Some(from), Some(to)) = (beginning(from, parts), beginning(to, parts)) {
            pairs.push((from, to));
        }
    }
    let mut all = pairs.clone();
    for (from, to) in pairs {
        for separator in ["_", "-", ""] {
            all.push((from.replace('.', separator), to.replace('.', separator)));
        }
    }
    all
}
