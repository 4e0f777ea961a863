//! What a rule is. Each stands in a file of its own in `rules/`.

use std::{cmp::Ordering, fmt};

use attestation::{FindingCode, unit::FindingLevel};

use crate::{
    File,
    compare::{Changed, Comparison},
    marks::{BindingHook, CallHook, NameHook, ShellHook},
};

/// A rule of docs/rules.md: what it is for people, and where it looks.
pub struct Rule {
    /// The stable code.
    pub code: &'static str,
    /// How much a finding weighs by default.
    pub level: FindingLevel,
    /// When it fires, in one sentence.
    pub fires: &'static str,
    /// Why that matters.
    pub because: &'static str,
    /// A change that makes it fire, as a diff.
    pub example: &'static str,
    /// What a reviewer should do about it.
    pub advice: &'static str,
    pub(crate) look: Look,
}

/// Where a rule looks. What is `None` it does not look at.
///
/// The first four are asked while a tree is walked once; what they mark counts where the old tree has no such mark. The
/// other two are asked about a change as a whole.
pub(crate) struct Look {
    /// At bindings of attributes.
    pub(crate) binding: Option<AtBindings>,
    /// At every application of a function with a name.
    pub(crate) call: Option<CallHook>,
    /// At variables, selections and search paths.
    pub(crate) name: Option<AtNames>,
    /// At strings, any of which may become a shell script.
    pub(crate) shell: Option<AtShell>,
    /// At every file that differs, whatever it is.
    pub(crate) file: Option<fn(&Changed<'_>, &mut Vec<Found>)>,
    /// At old and new facts.
    pub(crate) facts: Option<fn(&Comparison<'_>, &mut Vec<Found>)>,
}

impl Look {
    /// It looks at nothing: what it is about is judged elsewhere, and reported under its code.
    pub(crate) const ELSEWHERE: Self = Self {
        binding: None,
        call: None,
        name: None,
        shell: None,
        file: None,
        facts: None,
    };
}

/// At which bindings a rule looks. It is asked about no others: there are hundreds of thousands in a tree, and nearly all
/// have names that no rule knows.
#[derive(Clone, Copy)]
pub(crate) struct AtBindings {
    /// Those with one of these last names.
    pub(crate) names: &'static [&'static str],
    /// And all of a file of which this holds.
    pub(crate) all_of: Option<fn(&File<'_>) -> bool>,
    pub(crate) hook: BindingHook,
}

impl AtBindings {
    pub(crate) const fn named(names: &'static [&'static str], hook: BindingHook) -> Self {
        Self {
            names,
            all_of: None,
            hook,
        }
    }
}

/// At which variables and selections a rule looks.
#[derive(Clone, Copy)]
pub(crate) struct AtNames {
    /// Those with one of these last names.
    pub(crate) names: &'static [&'static str],
    /// And whatever is in the search path.
    pub(crate) search_paths: bool,
    pub(crate) hook: NameHook,
}

/// At which strings a rule looks.
#[derive(Clone, Copy)]
pub(crate) struct AtShell {
    /// Pieces of text that have one of these.
    pub(crate) words: &'static [&'static str],
    /// And pieces that have so many bytes.
    pub(crate) long: usize,
    pub(crate) hook: ShellHook,
}

impl AtShell {
    pub(crate) const fn with(words: &'static [&'static str], hook: ShellHook) -> Self {
        Self {
            words,
            long: usize::MAX,
            hook,
        }
    }
}

/// What a rule found, before it is known as a [`crate::Finding`].
pub(crate) struct Found {
    pub(crate) path: String,
    pub(crate) line: Option<u64>,
    pub(crate) what: String,
}

impl Rule {
    /// The code as the policy and statements write it.
    pub fn code(&self) -> FindingCode {
        self.code
            .parse()
            .expect("the codes in rules/ are names: a test reads them all")
    }
}

impl Rule {
    /// Whether it is about where a file stands and how it is called, and not about what is in it: what is said of a unit
    /// that only moved.
    pub fn is_about_place(&self) -> bool {
        matches!(
            self.code,
            "foundation" | "tier-zero" | "merge-authority" | "auth-root" | "deceptive-text"
        )
    }

    /// Whether a change with such a finding is no bump. Where a package stands spoils nothing, and what takes the source
    /// to judge is asked of every bump.
    pub(crate) fn spoils_bump(&self) -> bool {
        self.level != FindingLevel::S && !matches!(self.code, "foundation" | "tier-zero")
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code)
    }
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.code == other.code
    }
}

impl Eq for Rule {}

impl PartialOrd for Rule {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Rule {
    fn cmp(&self, other: &Self) -> Ordering {
        self.code.cmp(other.code)
    }
}
