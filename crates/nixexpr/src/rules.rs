//! The rules, one file each. docs/rules.md is their table.

macro_rules! rules {
    ($($name:ident),* $(,)?) => {
        $(mod $name;)*
        /// All rules, sorted by code.
        pub static RULES: &[&crate::Rule] = &[$(&$name::RULE),*];
    };
}

rules! {
    attribute_repointed,
    attributes_rewrite,
    auth_root,
    binary_in_tree,
    channel_patch,
    checks_off,
    deceptive_text,
    evil_merge,
    exposed,
    fetch_meaning_changed,
    foundation,
    generated_set,
    hand_made_fod,
    hardening_off,
    hash_changed_alone,
    hash_stale,
    hash_transplanted,
    import_from_derivation,
    impure_eval,
    lock_poisoned,
    maintainer_added,
    merge_authority,
    new_phase_shell,
    nix_trust_root,
    no_substitutes,
    obfuscated_shell,
    opaque_fixture,
    origin_changed,
    patch_added,
    plain_http,
    rev_unreachable,
    root_script,
    runtime_hijack,
    sandbox_escape,
    service_softened,
    setuid,
    setup_hook,
    signature_dropped,
    tarball_for_git,
    tarball_not_tag,
    tier_zero,
    too_young,
    unpinned_fetch,
    update_script,
    vendor_hash_alone,
    version_down,
    vulnerability_hidden,
}

/// The rule with this code.
pub fn rule(code: &str) -> Option<&'static crate::Rule> {
    RULES.iter().find(|rule| rule.code == code).copied()
}
