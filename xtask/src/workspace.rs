//! Where things are in this checkout.

use std::path::{Path, PathBuf};

/// The root of the workspace. cargo tells it at run time; the compiled-in path serves when the binary is run by hand.
pub(crate) fn root() -> PathBuf {
    let manifest =
        std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest.parent().map_or(manifest.clone(), Path::to_owned)
}

/// What is made and may be deleted at any moment: tools of the tests, stamps, logs. Never committed.
pub(crate) fn made() -> PathBuf {
    root().join("target")
}

/// Whether nobody sits in front (any value of `CI` but empty, `0` and `false`).
pub(crate) fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| !["", "0", "false"].contains(&value.as_str()))
}
