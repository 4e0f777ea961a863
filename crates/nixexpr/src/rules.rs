//! The rules, one file each. docs/rules.md is their table.

macro_rules! rules {
    ($($name:ident),* $(,)?) => {
        $(mod $name;)*
        /// All rules, sorted by code.
        pub static RULES: &[&crate::Rule] = &[$(&$name::RULE),*];
    };
}

rules! {
    attributes_rewrite,
    binary_in_tree,
    deceptive_text,
    evil_merge,
    foundation,
    generated_set,
    merge_authority,
    tier_zero,
}

/// The rule with this code.
pub fn rule(code: &str) -> Option<&'static crate::Rule> {
    RULES.iter().find(|rule| rule.code == code).copied()
}
