//! The lines that point Nix at what is installed. They are printed, and never written into anybody's configuration.

use std::path::{Path, absolute};

use attestation::chain::Release;
use install::State;
use serde_json::{Value, json};

/// The value of `NIX_PATH`: `<nixpkgs>` and `<nixos>` are whatever is current.
pub(crate) fn nix_path(state: &State) -> String {
    let state = absolute(state.path()).unwrap_or_else(|_| state.path().to_owned());
    format!("{}/current/channels", state.display())
}

/// An entry of a flake registry that points `nixpkgs` at a store path.
pub(crate) fn registry(store_path: &Path, release: &Release) -> Value {
    json!({
        "from": {"type": "indirect", "id": "nixpkgs"},
        "to": {
            "type": "path",
            "path": store_path,
            "narHash": release.tree_nar.to_sri(),
            "lastModified": release.time.unix(),
        },
        "exact": true,
    })
}

/// The lines, for people.
pub(crate) fn in_words(nix_path: &str, registry: Option<&Value>) -> String {
    let mut text = format!(
        "for nix-build, nix-shell and <nixpkgs>:\n  export NIX_PATH={nix_path}\nin nix.conf, for all users:\n  nix-path = {nix_path}\n"
    );
    match registry {
        Some(entry) => {
            let file = json!({"version": 2, "flakes": [entry]});
            text.push_str(&format!("for flakes, in /etc/nix/registry.json:\n  {file}"));
        }
        None => text.push_str("for flakes: touchstone pin"),
    }
    text
}
