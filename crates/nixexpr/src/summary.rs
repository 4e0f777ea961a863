//! A change in one line.

use std::collections::BTreeMap;

use attestation::UnitPath;

use crate::{
    Fact, Package, Source, Unparsed,
    compare::{Comparison, FilePair, View},
    syntax::tree::{BindingId, Bound},
};

/// How many things are named before it says how many more there are.
const NAMED: usize = 4;

/// What changed, as a person would say it to another.
pub(crate) fn line(
    unit: &UnitPath,
    pairs: &[FilePair<'_>],
    comparisons: &[Comparison<'_>],
    unparsed: &[(String, Unparsed)],
) -> String {
    if let Some((path, error)) = unparsed.first() {
        return format!("{path} cannot be read: {error}");
    }
    let mut said: Vec<String> = comparisons.iter().flat_map(packages).collect();
    if said.is_empty() {
        said.extend(comparisons.iter().flat_map(attributes).take(NAMED * 2));
    }
    if said.is_empty() {
        said.extend(pairs.iter().map(|(old, new)| match (old, new) {
            (None, Some(new)) => format!("{} is new", new.path),
            (Some(old), None) => format!("{} is removed", old.path),
            (_, new) => format!("{} changed", new.or(*old).map_or("", |file| file.path)),
        }));
    }
    let more = said.len().saturating_sub(NAMED);
    said.truncate(NAMED);
    let mut line = said.join("; ");
    if more > 0 {
        line.push_str(&format!("; {more} more"));
    }
    if line.is_empty() {
        format!("{unit} changed")
    } else {
        line
    }
}

fn packages(comparison: &Comparison<'_>) -> Vec<String> {
    let mut said = Vec::new();
    for (old, new) in &comparison.packages {
        match (old, new) {
            (None, Some(new)) => said.push(format!(
                "new {}{}",
                new.title(),
                version(new).map(|version| format!(" {version}")).unwrap_or_default()
            )),
            (Some(old), None) => said.push(format!("{} removed", old.title())),
            (Some(old), Some(new)) => said.extend(package(comparison, old, new)),
            (None, None) => {}
        }
    }
    said
}

fn package(comparison: &Comparison<'_>, old: &Package<'_>, new: &Package<'_>) -> Option<String> {
    let sources = sources(comparison, old, new);
    let stepped = old.version != new.version;
    let renamed = old.pname != new.pname;
    if !stepped && !renamed && sources.is_empty() {
        return None;
    }
    let title = if new.title().is_empty() { "version" } else { new.title() };
    let mut line = match (version(old), version(new)) {
        (Some(old), Some(new)) if stepped => format!("{title} {old} -> {new}"),
        (_, Some(version)) => format!("{title} {version}"),
        _ => title.to_owned(),
    };
    if renamed {
        line.push_str(&format!(", was {}", old.title()));
    }
    for part in sources {
        line.push_str(", ");
        line.push_str(&part);
    }
    let others = attributes(comparison);
    let others: Vec<_> = others
        .iter()
        .map(|name| name.strip_prefix(&format!("{}.", new.attribute)).unwrap_or(name))
        .filter(|name| {
            let last = name.rsplit('.').next().unwrap_or(name);
            !matches!(last, "version" | "name" | "pname" | "rev" | "tag" | "url")
                && !crate::names::is_hash(last)
                && !name.starts_with("let ")
        })
        .collect();
    if comparison.packages.len() == 1 && !others.is_empty() {
        let shown: Vec<_> = others.iter().take(NAMED).copied().collect();
        let more = others.len() - shown.len();
        line.push_str(&format!(", also {}", shown.join(", ")));
        if more > 0 {
            line.push_str(&format!(" and {more} more"));
        }
    }
    Some(line)
}

fn version(package: &Package<'_>) -> Option<String> {
    package.version.known().map(ToString::to_string)
}

fn sources(comparison: &Comparison<'_>, old: &Package<'_>, new: &Package<'_>) -> Vec<String> {
    let of = |view: Option<View<'_>>, package: &Package<'_>| -> Option<usize> {
        view?;
        package.sources.known()?.first().copied()
    };
    let (Some(old_view), Some(new_view)) = (comparison.old, comparison.new) else {
        return Vec::new();
    };
    let (Some(was), Some(is)) = (of(comparison.old, old), of(comparison.new, new)) else {
        return Vec::new();
    };
    let (was, is): (&Source<'_>, &Source<'_>) = (
        &old_view.analysed.facts.sources[was],
        &new_view.analysed.facts.sources[is],
    );
    let mut said = Vec::new();
    let moved = was.origin != is.origin;
    let refetched = was.urls != is.urls || was.revision != is.revision || old.version != new.version;
    let rehashed = was.hash != is.hash;
    if !moved && !refetched && !rehashed {
        return said;
    }
    said.push(match (&was.origin, &is.origin) {
        (Fact::Known(was), Fact::Known(is)) if was == is => "same origin".to_owned(),
        (Fact::Known(was), Fact::Known(is)) => format!("from {is} instead of {was}"),
        _ => "origin not known".to_owned(),
    });
    said.push(if rehashed { "hash changed" } else { "hash unchanged" }.to_owned());
    said
}

/// The attributes that differ, by the names under which they are bound.
pub(crate) fn attributes(comparison: &Comparison<'_>) -> Vec<String> {
    let (Some(old), Some(new)) = (comparison.old, comparison.new) else {
        return Vec::new();
    };
    let (old, new) = (leaves(old), leaves(new));
    let mut names = Vec::new();
    for (name, text) in &new {
        match old.get(name) {
            None => names.push(format!("{name} (new)")),
            Some(was) if was != text => names.push(name.clone()),
            Some(_) => {}
        }
    }
    names.extend(
        old.keys()
            .filter(|name| !new.contains_key(*name))
            .map(|name| format!("{name} (removed)")),
    );
    names
}

/// The text of each binding that has no binding in it.
#[expect(
    clippy::cast_possible_truncation,
    reason = "there are fewer bindings than the text has bytes"
)]
fn leaves(view: View<'_>) -> BTreeMap<String, Vec<String>> {
    let file = view.file();
    let mut has_inner = vec![false; file.tree.bindings.len()];
    for binding in &file.tree.bindings {
        let mut at = binding.owner;
        while let Some((above, outer)) = file.tree.above(at) {
            if let Some(BindingId(outer)) = outer {
                has_inner[outer as usize] = true;
                break;
            }
            at = above;
        }
    }
    let mut leaves: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (index, binding) in file.tree.bindings.iter().enumerate() {
        let Bound::Value { value, .. } = binding.bound else {
            continue;
        };
        if has_inner[index] || !view.has(binding.span.start) {
            continue;
        }
        let _ = BindingId(index as u32);
        let text = file
            .slice(binding.span)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        leaves.entry(file.path_of(value)).or_default().push(text);
    }
    leaves
}
