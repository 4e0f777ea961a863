//! The certificate that a change is a mere bump. A wrong one is a hole: everything here errs towards "no".
//!
//! It is given only where
//! 1. both texts are the same byte for byte, comments included, but for the contents of strings that are written out;
//! 2. each string that differs is, in both, what a package or a source takes as version, revision, hash, name or URL,
//!    by following the same definitions;
//! 3. versions are plain words and go up, revisions and names follow them or are commit ids, URLs differ in nothing else;
//! 4. each source that is fetched by a changed version or revision has another hash, of no weaker algorithm, and no other
//!    hash changed;
//! 5. the origin of each such source is known and the same;
//! 6. what changed flows nowhere but into names, sources and descriptions: no phase, no condition, whether it is read as a
//!    variable, as an attribute of the package or its source, or out of what is made of them (`src.name`, `outPath`);
//! 7. another reader of Nix sees no other difference either.

mod decisions;
mod slots;
mod steps;
mod uses;

use std::{borrow::Cow, cmp::Ordering};

pub use self::decisions::decided_by;

use self::{
    slots::slots,
    steps::{follows, is_commit, is_piece},
    uses::{Uses, check_uses},
};
use crate::{
    Fact, Source,
    compare::{Comparison, View},
    facts::split_name,
    hash::{Algorithm, Digest},
    names, second_reader,
    syntax::tree::NodeId,
    version,
};

/// What a string that differs is to the package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Version,
    Revision,
    Name,
    Url,
    Hash,
    VendorHash,
}

/// A string that differs, in both files.
struct Slot<'c> {
    old_node: NodeId,
    new_node: NodeId,
    old: &'c str,
    new: &'c str,
    role: Role,
}

/// Certifies that one state of a file, or a part of it, is a bump of the other, or says what speaks against it.
pub(crate) fn certify(comparison: &Comparison<'_>, old: View<'_>, new: View<'_>) -> Result<(), String> {
    let slots = slots(old, new)?;
    if slots.is_empty() {
        return Err("nothing but the place of it changed".to_owned());
    }
    let steps = version_steps(&slots, comparison)?;
    for slot in &slots {
        check_slot(slot, &steps)?;
    }
    check_sources(comparison, &steps, &slots)?;
    let texts = slots.iter().map(|slot| (slot.old, slot.new)).collect::<Vec<_>>();
    second_reader::agrees(old, new, &texts)?;
    let (old_uses, new_uses) = (Uses::of(old.file()), Uses::of(new.file()));
    if [old, new]
        .into_iter()
        .any(|view| uses::shell_reads_version(view.file()))
    {
        return Err("a shell reads $version".to_owned());
    }
    for slot in &slots {
        check_uses(old.file(), &old_uses, slot.old_node)?;
        check_uses(new.file(), &new_uses, slot.new_node)?;
    }
    decisions::check(old.file(), &old_uses)?;
    decisions::check(new.file(), &new_uses)
}

/// The steps from an old version to a new one that the packages take.
fn version_steps(slots: &[Slot<'_>], comparison: &Comparison<'_>) -> Result<Vec<(String, String)>, String> {
    let mut steps: Vec<(String, String)> = Vec::new();
    let mut step = |old: &str, new: &str| -> Result<(), String> {
        if old == new {
            return Ok(());
        }
        for text in [old, new] {
            if !version::is_plain(text) {
                return Err(format!("\"{text}\" is no plain version"));
            }
        }
        // Commit ids in it have no order: what is beside them must not go down.
        let order = match (version::without_commits(old), version::without_commits(new)) {
            (Some(old), Some(new)) if version::compare(&old, &new).is_le() => Ordering::Less,
            _ => version::compare(old, new),
        };
        if order != Ordering::Less {
            return Err(format!("the version goes from {old} to {new}"));
        }
        steps.push((old.to_owned(), new.to_owned()));
        Ok(())
    };
    for (old, new) in &comparison.packages {
        let (Some(old), Some(new)) = (old, new) else {
            return Err("a package was added, removed or renamed".to_owned());
        };
        if old.attribute != new.attribute || old.pname != new.pname {
            return Err("a package was renamed".to_owned());
        }
        match (&old.version, &new.version) {
            (Fact::Known(old), Fact::Known(new)) => step(old, new)?,
            (old, new) if old == new => {}
            _ => return Err("a version is not known".to_owned()),
        }
    }
    // Pieces of versions, and versions of sources that are nobody's.
    for slot in slots.iter().filter(|slot| slot.role == Role::Version) {
        if version::is_plain(slot.old)
            && version::is_plain(slot.new)
            && version::compare(slot.old, slot.new) == Ordering::Less
        {
            step(slot.old, slot.new)?;
        }
    }
    // Without a version, another commit of the same repository is a step.
    let moved = |slot: &Slot<'_>| slot.role == Role::Revision && is_commit(slot.old) && is_commit(slot.new);
    if steps.is_empty() && !slots.iter().any(moved) {
        return Err("no version went up".to_owned());
    }
    // Longer ones are looked for first.
    steps.sort_by_key(|(old, _)| std::cmp::Reverse(old.len()));
    steps.dedup();
    Ok(steps)
}

fn check_slot(slot: &Slot<'_>, steps: &[(String, String)]) -> Result<(), String> {
    let Slot { old, new, role, .. } = slot;
    let fine = match role {
        // As a whole they are checked where packages are; a piece may go down while another goes up.
        Role::Version => is_piece(old) && is_piece(new),
        Role::Revision => {
            is_commit(old) && is_commit(new)
                || version::is_plain(old) && version::is_plain(new) && follows(old, new, steps)
        }
        Role::Name => {
            let ((old_base, old_version), (new_base, new_version)) =
                (split_name(&Cow::Borrowed(*old)), split_name(&Cow::Borrowed(*new)));
            let plain =
                |version: &Option<Cow<'_, str>>| version.as_ref().is_some_and(|version| version::is_plain(version));
            old_base == new_base && plain(&old_version) && plain(&new_version)
        }
        Role::Url => follows(old, new, steps),
        // Digests are compared with their sources.
        Role::Hash | Role::VendorHash => true,
    };
    if fine {
        Ok(())
    } else {
        Err(format!(
            "\"{old}\" became \"{new}\", which does not follow from the version"
        ))
    }
}

/// Every source whose identity changed has another hash, and no other has; origins are known and stay.
fn check_sources(comparison: &Comparison<'_>, steps: &[(String, String)], slots: &[Slot<'_>]) -> Result<(), String> {
    let mut changed = 0;
    for (old, new) in &comparison.sources {
        let (Some(old), Some(new)) = (old, new) else {
            return Err("a source was added or removed".to_owned());
        };
        if names::fetcher(new.fetcher) == Some(names::Fetcher::Vendor) {
            continue;
        }
        let same_hash = old.hash == new.hash;
        if !same_hash && !new.urls.is_known() && !new.revision.is_known() {
            return Err(format!("the address of {} is not known", title(new)));
        }
        if same_place(old, new) {
            if !same_hash {
                return Err(format!("the hash of {} changed, what it fetches did not", title(new)));
            }
            continue;
        }
        changed += 1;
        check_source(old, new, steps)?;
    }
    if changed == 0 {
        return Err("no known source changed with the version".to_owned());
    }
    for slot in slots.iter().filter(|slot| slot.role == Role::VendorHash) {
        let decoded = (
            Digest::parse(Some(Algorithm::Sha256), slot.old),
            Digest::parse(Some(Algorithm::Sha256), slot.new),
        );
        if !matches!(decoded, (Some(old), Some(new)) if old != new) {
            return Err(format!("\"{}\" is no hash", slot.new));
        }
    }
    Ok(())
}

fn check_source(old: &Source<'_>, new: &Source<'_>, steps: &[(String, String)]) -> Result<(), String> {
    let name = title(new);
    let (Fact::Known(old_hash), Fact::Known(new_hash)) = (&old.hash, &new.hash) else {
        return Err(format!("the hash of {name} is not known"));
    };
    if old_hash.bytes == new_hash.bytes {
        return Err(format!("{name} changed, its hash did not"));
    }
    if new_hash.algorithm < old_hash.algorithm || new_hash.algorithm == Algorithm::Md5 {
        return Err(format!("{name} has a hash of {}", new_hash.algorithm.as_str()));
    }
    match (&old.origin, &new.origin) {
        (Fact::Known(old), Fact::Known(new)) if old == new => {}
        (Fact::Known(_), Fact::Known(_)) => return Err(format!("{name} comes from elsewhere")),
        _ => return Err(format!("the origin of {name} is not known")),
    }
    if old.nature != new.nature || old.fetcher != new.fetcher {
        return Err(format!("{name} is fetched in another way"));
    }
    match (&old.urls, &new.urls) {
        (Fact::Absent, Fact::Absent) => {}
        (Fact::Known(old), Fact::Known(new)) => {
            let fine = old.len() == new.len() && old.iter().zip(new).all(|(old, new)| follows(old, new, steps));
            if !fine {
                return Err(format!("the URL of {name} changed in more than the version"));
            }
        }
        _ => return Err(format!("the URL of {name} is not known")),
    }
    match (&old.revision, &new.revision) {
        (Fact::Absent, Fact::Absent) => Ok(()),
        (Fact::Known(old), Fact::Known(new))
            if is_commit(old) && is_commit(new)
                || old == new
                || follows(old, new, steps) && !is_commit(old) && !is_commit(new) =>
        {
            Ok(())
        }
        _ => Err(format!("the revision of {name} does not follow from the version")),
    }
}

fn title(source: &Source<'_>) -> String {
    if source.path.is_empty() {
        source.fetcher.to_owned()
    } else {
        source.path.clone()
    }
}

/// Whether what two sources fetch has the same name.
fn same_place(old: &Source<'_>, new: &Source<'_>) -> bool {
    old.urls == new.urls && old.revision == new.revision && old.origin == new.origin && old.fetcher == new.fetcher
}
