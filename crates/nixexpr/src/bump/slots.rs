//! The strings that differ, and what they are to packages and sources.

use std::collections::HashMap;

use super::{Role, Slot};
use crate::{
    File, Source,
    compare::View,
    names,
    resolve::Attribute,
    syntax::tree::{Bound, Kind, NodeId, Operator, Part, Span},
};

/// The strings that differ; an error if anything else does.
pub(super) fn slots<'c>(old: View<'c>, new: View<'c>) -> Result<Vec<Slot<'c>>, String> {
    let (old_file, new_file) = (old.file(), new.file());
    let (old_strings, new_strings) = (literals(old), literals(new));
    if old_strings.len() != new_strings.len() {
        return Err("strings were added or removed".to_owned());
    }
    let (old_text, new_text) = (old.text(), new.text());
    let (old_base, new_base) = (old.base(), new.base());
    let mut outside = (0, 0);
    let mut changed = Vec::new();
    for ((old_node, old_span), (new_node, new_span)) in old_strings.into_iter().zip(new_strings) {
        let (was, is) = (old_file.slice(old_span), new_file.slice(new_span));
        if was == is {
            continue;
        }
        let (old_range, new_range) = (old_span.within(old_base), new_span.within(new_base));
        if old_text.get(outside.0..old_range.start) != new_text.get(outside.1..new_range.start) {
            return Err(other_change(old_text, new_text, outside));
        }
        outside = (old_range.end, new_range.end);
        changed.push((old_node, new_node, was, is));
    }
    if old_text.get(outside.0..) != new_text.get(outside.1..) {
        return Err(other_change(old_text, new_text, outside));
    }
    if changed.len() > 512 {
        return Err("more strings changed than a bump has".to_owned());
    }
    let (old_roles, new_roles) = (roles(old), roles(new));
    changed
        .into_iter()
        .map(|(old_node, new_node, was, is)| {
            let (one, other) = (old_roles.get(&old_node), new_roles.get(&new_node));
            match (one, other) {
                (Some(Some(one)), Some(Some(other))) if one == other => Ok(Slot {
                    old_node,
                    new_node,
                    old: was,
                    new: is,
                    role: *one,
                }),
                _ => Err(format!("\"{is}\" is not known to be a version, revision or hash")),
            }
        })
        .collect()
}

fn other_change(old: &str, new: &str, from: (usize, usize)) -> String {
    let (old, new) = (old.get(from.0..).unwrap_or(""), new.get(from.1..).unwrap_or(""));
    let line = old
        .lines()
        .zip(new.lines())
        .find(|(old, new)| old != new)
        .map_or("", |(_, new)| new.trim());
    let cut: String = line.chars().take(80).collect();
    format!("more than versions and hashes changed: {cut}")
}

/// Strings that are written out in one piece, and URIs, in the order of the text: the nodes and where their text is.
fn literals(view: View<'_>) -> Vec<(NodeId, Span)> {
    let file = view.file();
    let mut all: Vec<_> = file
        .tree
        .ids()
        .filter(|id| view.has(file.tree.span(*id).start))
        .filter_map(|id| match file.tree.kind(id) {
            Kind::Uri => Some((id, file.tree.span(id))),
            Kind::String { parts, indented: false } => match file.tree.parts(parts) {
                [Part::Text(span)] => file.literal(id).map(|_| (id, *span)),
                _ => None,
            },
            _ => None,
        })
        .collect();
    all.sort_by_key(|(_, span)| span.start);
    all
}

/// What the strings of a file are to its packages and sources; `None` for what two roles claim.
struct Roles<'c> {
    file: &'c File<'c>,
    of: HashMap<NodeId, Option<Role>>,
}

fn roles(view: View<'_>) -> HashMap<NodeId, Option<Role>> {
    let mut roles = Roles {
        file: view.file(),
        of: HashMap::new(),
    };
    for package in view.packages() {
        roles.package(package.set);
    }
    for source in view.sources() {
        roles.source(source);
    }
    roles.of
}

impl Roles<'_> {
    fn package(&mut self, set: NodeId) {
        self.claim_attribute(set, "version", Role::Version);
        // Where there is a `pname`, the name is made of it, and it never changes in a bump.
        if matches!(self.file.attribute(set, "pname"), Attribute::Absent) {
            self.claim_attribute(set, "name", Role::Name);
        }
        for id in self.file.tree.bindings_of(set) {
            if let Bound::Value { path, value } = self.file.tree.binding(*id).bound
                && let [name] = self.file.tree.names(path)
                && let Some(name) = self.file.name(*name).filter(|name| names::is_vendor_hash(name))
                && self.file.literal(value).is_some()
            {
                self.claim_attribute(set, name, Role::VendorHash);
            }
        }
    }

    fn source(&mut self, source: &Source<'_>) {
        let Some(set) = source.set else {
            return;
        };
        if source.fetcher == "hackage" {
            return self.claim_attribute(set, "sha256", Role::Hash);
        }
        for attribute in ["rev", "tag"] {
            self.claim_attribute(set, attribute, Role::Revision);
        }
        self.claim_attribute(set, "version", Role::Version);
        let vendor = names::fetcher(source.fetcher) == Some(names::Fetcher::Vendor);
        for attribute in ["hash", "sha256", "sha512", "sha1", "md5", "outputHash"] {
            self.claim_attribute(set, attribute, if vendor { Role::VendorHash } else { Role::Hash });
        }
        self.claim_attribute(set, "url", Role::Url);
        if let Attribute::Is(list) = self.file.attribute(set, "urls")
            && let Some(list) = self.file.force(list)
            && let Kind::List(items) = self.file.tree.kind(list)
        {
            for item in self.file.tree.items(items) {
                self.claim_all(*item, Role::Url);
            }
        }
    }

    fn claim_attribute(&mut self, set: NodeId, attribute: &str, role: Role) {
        if let Attribute::Is(node) = self.file.attribute(set, attribute) {
            self.claim_all(node, role);
        }
    }

    fn claim_all(&mut self, node: NodeId, role: Role) {
        let mut found = Vec::new();
        contributions(self.file, node, 32, &mut found);
        let whole = self.file.force(node);
        for string in found {
            // In `name = "a-${version}"` what is interpolated is a part, not the name.
            let is_part = whole != Some(string) && matches!(role, Role::Name | Role::Url);
            self.claim(string, if is_part { Role::Version } else { role });
        }
    }

    fn claim(&mut self, node: NodeId, role: Role) {
        self.of
            .entry(node)
            .and_modify(|known| match (*known, role) {
                (Some(known), role) if known == role => {}
                // A version is also part of names, revisions and URLs; a revision of names and URLs.
                (Some(Role::Version), Role::Name | Role::Revision | Role::Url)
                | (Some(Role::Revision), Role::Url | Role::Name) => {}
                (Some(Role::Name | Role::Revision | Role::Url), Role::Version)
                | (Some(Role::Url | Role::Name), Role::Revision) => {
                    *known = Some(role);
                }
                _ => *known = None,
            })
            .or_insert(Some(role));
    }
}

/// The strings written out that a string is put together of.
fn contributions(file: &File<'_>, node: NodeId, far: u32, found: &mut Vec<NodeId>) {
    if far == 0 || found.len() > 64 {
        return;
    }
    if file.literal(node).is_some() {
        found.push(node);
        return;
    }
    match file.tree.kind(node) {
        Kind::String { parts, .. } => {
            for part in file.tree.parts(parts) {
                if let Part::Code(code) = part {
                    contributions(file, *code, far - 1, found);
                }
            }
        }
        Kind::Binary {
            operator: Operator::Add,
            left,
            right,
        } => {
            contributions(file, left, far - 1, found);
            contributions(file, right, far - 1, found);
        }
        // The last argument is what functions of versions take; the others say how.
        Kind::Apply { argument, .. } if file.text_of(node).is_some() => contributions(file, argument, far - 1, found),
        _ => {
            if let Some(forced) = file.force(node)
                && forced != node
            {
                contributions(file, forced, far - 1, found);
            }
        }
    }
}
