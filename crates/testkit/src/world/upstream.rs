//! The upstream of a world, and what git can do to it and to the ledger: for honest commits and for mallory's.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
};

use attestation::{Sha256Digest, pending::Proposal};

use super::World;

/// What the policy calls the upstream; the world's git configuration says where it is.
pub(super) const URL: &str = "https://upstream.example/nixpkgs";

/// What clones call the fork.
pub(super) const FORK_URL: &str = "https://fork.example/nixpkgs.git";

/// The branch that both channels follow.
pub(super) const BRANCH: &str = "nixos-unstable";

/// When upstream's first commit was made; each later one an hour later.
const FIRST_COMMIT: i64 = 1_790_000_000;

const FILES: [(&str, &str); 9] = [
    ("default.nix", "import ./pkgs/top-level/impure.nix\n"),
    ("lib/default.nix", "{ id = x: x; }\n"),
    ("lib/strings.nix", "{ empty = \"\"; }\n"),
    ("pkgs/top-level/impure.nix", "{ ... }: import ./all-packages.nix { }\n"),
    (
        "pkgs/top-level/all-packages.nix",
        "{ }:\n{\n  hello = import ../by-name/he/hello/package.nix { };\n}\n",
    ),
    (
        "pkgs/by-name/he/hello/package.nix",
        "{ }:\n{\n  pname = \"hello\";\n  version = \"2.12.0\";\n}\n",
    ),
    (
        "pkgs/by-name/xz/xz/package.nix",
        "{ }:\n{\n  pname = \"xz\";\n  version = \"5.4.5\";\n}\n",
    ),
    ("pkgs/stdenv/generic/setup.sh", "#!/bin/sh\nset -eu\n"),
    ("nixos/modules/services/hello.nix", "{ ... }: { }\n"),
];

pub(super) fn create(world: &World) {
    let root = world.path("upstream");
    for (path, text) in FILES {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, text).expect("a file");
    }
    let script = root.join("pkgs/stdenv/generic/setup.sh");
    fs::set_permissions(script, fs::Permissions::from_mode(0o755)).expect("a mode");
    symlink("strings.nix", root.join("lib/text.nix")).expect("a link");
    world.git("upstream", &["init", "--quiet"]);
    world.commit_upstream("begin");
}

impl World {
    /// Upstream's next commit: a new version of `hello`.
    pub fn upstream_bump(&self) {
        let path = self.path("upstream/pkgs/by-name/he/hello/package.nix");
        let text = fs::read_to_string(&path).expect("a file");
        let count = self.upstream_commits();
        let line = text
            .lines()
            .find(|line| line.contains("version ="))
            .expect("a version")
            .to_owned();
        let text = text.replace(&line, &format!("  version = \"2.12.{count}\";"));
        fs::write(path, text).expect("a file");
        self.commit_upstream("hello: a new version");
    }

    /// Commits whatever was changed in `upstream/`.
    pub fn commit_upstream(&self, message: &str) {
        let date = FIRST_COMMIT + 3600 * self.upstream_commits();
        self.git("upstream", &["add", "--all", "--force"]);
        self.git_at("upstream", &["commit", "--quiet", "--message", message], Some(date));
    }

    fn upstream_commits(&self) -> i64 {
        if self.path("upstream/.git/refs/heads").join(BRANCH).exists() {
            let count = self.git("upstream", &["rev-list", "--count", "HEAD"]);
            count.trim().parse().expect("a number")
        } else {
            0
        }
    }

    /// What somebody with push rights does to the ledger: commits whatever `edit` leaves in its files.
    pub fn tamper_with_ledger(&self, edit: impl FnOnce(&Path)) {
        let directory = tempfile::tempdir_in(self.path("tmp")).expect("a directory");
        let place = directory.path().join("ledger");
        let place_text = place.to_str().expect("a path in UTF-8");
        self.git(
            ".",
            &["clone", "--quiet", "--branch", "touchstone", FORK_URL, place_text],
        );
        edit(&place);
        self.git(place_text, &["add", "--all", "--force"]);
        self.git(place_text, &["commit", "--quiet", "--message", "mallory was here"]);
        self.git(place_text, &["push", "--quiet", "origin", "touchstone"]);
    }

    /// A file of the ledger as the fork has it.
    pub fn ledger_file(&self, path: &str) -> Vec<u8> {
        self.git("fork.git", &["show", &format!("touchstone:{path}")])
            .into_bytes()
    }

    /// The files of the ledger as the fork has it.
    pub fn ledger_files(&self) -> Vec<String> {
        let listing = self.git("fork.git", &["ls-tree", "-r", "--name-only", "touchstone"]);
        listing.lines().map(str::to_owned).collect()
    }

    /// A proposal of the ledger.
    pub fn proposal(&self, payload: &str) -> Proposal {
        let bytes = self.ledger_file(&format!("proposals/{payload}.json"));
        Proposal::from_exact(&bytes).expect("a proposal")
    }

    /// Adds a proposal to the ledger past `assay`; gives its payload.
    pub fn forge_proposal(&self, proposal: &Proposal) -> Sha256Digest {
        let payload = proposal.payload_digest();
        self.tamper_with_ledger(|ledger| {
            fs::write(ledger.join(format!("proposals/{payload}.json")), proposal.to_bytes()).expect("a file");
        });
        payload
    }
}
