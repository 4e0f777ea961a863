//! A change in one line.

use std::collections::{BTreeMap, HashSet};

use attestation::UnitPath;

use crate::{
    Fact, File, Package, Source, Unparsed,
    compare::{Comparison, FilePair, View},
    syntax::tree::{BindingId, Bound, Name, Slice},
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
    if comparison.packages.len() != 1 {
        return Some(line);
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
    if !others.is_empty() {
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
    let touched = touched(old, new);
    let (old, new) = (leaves(old, &touched), leaves(new, &touched));
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

/// The last names of the bindings that differ, or stand in one whose name does: what is bound under other names is the same
/// on both sides.
fn touched<'c>(old: View<'c>, new: View<'c>) -> HashSet<&'c str> {
    let (was, is) = (old.text().as_bytes(), new.text().as_bytes());
    let prefix = was.iter().zip(is).take_while(|(old, new)| old == new).count();
    let rest = was.len().min(is.len()) - prefix;
    let ends = was.iter().rev().zip(is.iter().rev());
    let suffix = ends.take(rest).take_while(|(old, new)| old == new).count();
    let mut names = HashSet::new();
    for (view, length) in [(old, was.len()), (new, is.len())] {
        // What only touches the difference counts: something may have been put between.
        let differs = view.base() + prefix..view.base() + length - suffix;
        let touches = |begin: u32, end: u32| begin as usize <= differs.end && differs.start <= end as usize;
        let file = view.file();
        for binding in &file.tree.bindings {
            let Bound::Value { path, .. } = binding.bound else {
                continue;
            };
            let mut is_touched = touches(binding.span.start, binding.span.end);
            let mut at = binding.owner;
            while let Some((above, outer)) = file.tree.above(at).filter(|_| !is_touched) {
                is_touched = outer.is_some_and(|outer| {
                    let outer = file.tree.binding(outer);
                    let begins = match outer.bound {
                        Bound::Value { value, .. } => file.tree.span(value).start,
                        Bound::Inherit { .. } => outer.span.end,
                    };
                    touches(outer.span.start, begins)
                });
                at = above;
            }
            if is_touched {
                names.extend(last_name(file, path));
            }
        }
    }
    names
}

/// The last name of a path, as it is or as it is written.
fn last_name<'c>(file: &'c File<'c>, path: Slice<Name>) -> Option<&'c str> {
    let name = *file.tree.names(path).last()?;
    match name {
        Name::Ident(span) => Some(file.slice(span)),
        Name::String(node) | Name::Dynamic(node) => {
            Some(file.literal(node).unwrap_or_else(|| file.slice(file.tree.span(node))))
        }
    }
}

/// The text of each binding that has no binding in it, and one of these names.
fn leaves(view: View<'_>, touched: &HashSet<&str>) -> BTreeMap<String, Vec<String>> {
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
        let Bound::Value { path, value } = binding.bound else {
            continue;
        };
        let wanted = last_name(file, path).is_some_and(|name| touched.contains(name));
        if has_inner[index] || !wanted || !view.has(binding.span.start) {
            continue;
        }
        let text = file
            .slice(binding.span)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        leaves.entry(file.path_of(value)).or_default().push(text);
    }
    leaves
}
