//! What `assay authenticate` makes of imports: upstream's commits are not judged one by one, so a statement that calls a
//! commit upstream's is worth forging.

use std::fs;

use attestation::{
    GitOid, Sha256Digest,
    pending::Proposal,
    statement::{Claim, Import, Statement},
};
use serde_json::json;
use testkit::{Repo, TestPerson, World, world};

const BRANCH: &str = "nixos-unstable";

/// A fork whose commits are signed by `reviewers`, which began with upstream's first commit. Its channel has a release;
/// since then upstream made a commit, of which alice has proposed the import. Nobody has signed that.
struct Fork {
    world: World,
    import: Import,
    introduction: String,
}

impl Fork {
    fn new() -> Self {
        let world = World::without_chain();
        let introduction = world.git("upstream", &["rev-parse", "HEAD"]).trim().to_owned();
        let policy = world.path("policy.toml");
        let text = fs::read_to_string(&policy).unwrap();
        let repository = format!(
            "[repository]\nintroduction = \"{introduction}\"\ncommits = {{ role = \"reviewers\", threshold = 1 }}\n"
        );
        fs::write(&policy, text + &repository).unwrap();
        world.start_chain();
        world.first_release("unstable");
        world.publish();
        world.upstream_bump();
        let import = proposed_import(&world);
        Self {
            world,
            import,
            introduction,
        }
    }

    /// A twin whose ledger has alice's own statement of the import, changed by `edit`. Whoever clones it has the merge.
    fn with_statement(&self, edit: impl FnOnce(&mut Import)) -> Self {
        let twin = self.twin();
        let mut import = twin.import.clone();
        edit(&mut import);
        twin.state("alice", import);
        twin
    }

    fn twin(&self) -> Self {
        Self {
            world: self.world.twin(),
            import: self.import.clone(),
            introduction: self.introduction.clone(),
        }
    }

    /// Puts a statement of somebody, signed with their key, into the fork's ledger, past what `assay sign` checks.
    fn state(&self, author: &str, import: Import) {
        let statement = Statement {
            chain: self.world.chain().parse().unwrap(),
            author: author.parse().unwrap(),
            // Alice and bob said that the channel starts from the first commit.
            seq: 2,
            prev: self.before(author),
            claim: Claim::Import(import),
        };
        let signer = self.person(author).signer(0, world::now());
        let envelope = signer::sign_statement(&signer, &statement).unwrap();
        let bytes = envelope.to_bytes();
        let name = Sha256Digest::of(&bytes).to_string();
        self.world.tamper_with_ledger(|ledger| {
            let directory = ledger.join("statements").join(&name[..2]);
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join(format!("{}.dsse.json", &name[2..])), &bytes).unwrap();
        });
    }

    /// The id of somebody's one statement.
    fn before(&self, author: &str) -> Option<attestation::StatementId> {
        let files = self.world.ledger_files();
        let statements = files.iter().filter(|path| path.starts_with("statements/"));
        statements
            .map(|path| attestation::dsse::Envelope::from_exact(&self.world.ledger_file(path)).unwrap())
            .find(|it| Statement::from_exact(&it.payload).unwrap().author.as_str() == author)
            .map(|it| attestation::StatementId::from_digest(Sha256Digest::of(&it.payload)))
    }

    fn person(&self, name: &str) -> TestPerson {
        TestPerson::from_secret(
            name,
            fs::read(self.world.path(format!("keys/{name}.secret.asc"))).unwrap(),
        )
    }

    fn repo(&self, clone: &str) -> Repo {
        Repo::at(&self.world.path(clone), &self.world.path("."))
    }

    /// Alice's signed merge of `upstream` into the fork, in somebody's clone, which gets `upstream` from `origin`.
    fn merge(&self, clone: &str, origin: &World, upstream: &str) -> String {
        let place = origin.path("upstream");
        self.world.git(
            clone,
            &["fetch", "--quiet", "--no-tags", place.to_str().unwrap(), BRANCH],
        );
        let patch = self
            .repo(clone)
            .commit(&[&self.introduction], "our patch", &[&self.person("bob")], world::now());
        self.repo(clone).commit(
            &[&patch, upstream],
            "Import upstream",
            &[&self.person("alice")],
            world::now(),
        )
    }

    /// Asks in somebody's clone.
    fn authenticate(&self, clone: &str, commit: &str) -> world::Output {
        self.world.assay(clone, &["authenticate", commit])
    }
}

/// Alice proposes the import of upstream's newest commit; what she would sign.
fn proposed_import(world: &World) -> Import {
    let json = world.assay("alice", &["import", "--channel", "unstable"]).ok();
    match world.proposal(json["proposal"].as_str().unwrap()) {
        Proposal::Import(import) => import,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_import_whose_nar_hash_or_tree_is_not_what_git_has_is_refused() {
    let fork = Fork::new();
    let honest = fork.with_statement(|_| {});
    let to = honest.import.to.to_string();
    let merge = honest.merge("alice", &honest.world, &to);
    let json = honest.authenticate("alice", &merge).ok();
    assert_eq!(json["authentic"], true);
    assert_eq!(json["imports"], json!([to]));
    assert_eq!(json["upstream-checked"], true);

    let other_tree: GitOid = fork
        .world
        .git("upstream", &["rev-parse", "HEAD~1^{tree}"])
        .trim()
        .parse()
        .unwrap();
    let (mut other_nar, mut other) = (fork.import.clone(), fork.import.clone());
    other_nar.tree_nar = Sha256Digest::of("something else");
    other.to_tree = other_tree;
    for (what, lie) in [("NAR", other_nar), ("tree", other)] {
        let lying = fork.with_statement(|import| *import = lie);
        let merge = lying.merge("alice", &lying.world, &to);
        let output = lying
            .authenticate("alice", &merge)
            .refused("is not what its statement says");
        assert_eq!(output.json["code"], "import-not-as-stated", "{what}");
        assert_eq!(output.json["exit"], 1);
        assert!(output.stderr.contains("next: "), "{}", output.stderr);
        // What does not rest on it is as authentic as before.
        let beside =
            lying
                .repo("alice")
                .commit(&[&lying.introduction], "beside", &[&lying.person("bob")], world::now());
        lying.authenticate("alice", &beside).ok();
        // Somebody's true statement beside the lie: the commit is what one of them says.
        lying.state("bob", lying.import.clone());
        lying.authenticate("alice", &merge).ok();
    }
}

/// One person of the channel's role, and somebody who merges: what they call upstream's is not, if it never was there.
#[test]
fn an_import_of_a_commit_never_on_upstream_is_refused() {
    let fork = Fork::new();
    let twin = fork.with_statement(|_| {});
    // What an upstream of mallory's has, with everything about it true.
    let mallory = fork.world.twin();
    fs::write(mallory.path("upstream/lib/strings.nix"), "{ empty = \"evil\"; }\n").unwrap();
    mallory.commit_upstream("lib: evil");
    let evil = proposed_import(&mallory);
    let to = evil.to.to_string();
    fork.state("bob", evil.clone());

    let merge = fork.merge("alice", &mallory, &to);
    let output = fork
        .authenticate("alice", &merge)
        .refused("the chain of trust breaks at");
    assert_eq!(output.json["code"], "import-not-on-upstream");
    let details = &output.json["details"];
    assert_eq!(details["breaks"][0]["kind"], "unsigned");
    assert_eq!(details["imports"], json!([]));
    assert_eq!(details["imports-not-on-upstream"][0]["commit"], to);
    assert_eq!(details["imports-not-on-upstream"][0]["said-by"], "bob");
    assert!(
        output.stderr.contains("is set aside") && output.stderr.contains("refs/touchstone/upstream/unstable"),
        "{}",
        output.stderr
    );
    // Nor by merging what it descends from, nor by naming a commit on top of it.
    let parent = fork
        .world
        .git("alice", &["commit-tree", "-m", "parent", &format!("{to}^{{tree}}")]);
    let child = fork.repo("alice").commit(&[parent.trim()], "child", &[], world::now());
    fork.state(
        "alice",
        Import {
            to: child.parse().unwrap(),
            ..evil
        },
    );
    let merge = fork.merge("alice", &mallory, parent.trim());
    fork.authenticate("alice", &merge)
        .refused("the chain of trust breaks at");

    // The honest twin: the same people, what upstream has.
    let honest = fork.import.to.to_string();
    let merge = twin.merge("alice", &twin.world, &honest);
    let json = twin.authenticate("alice", &merge).ok();
    assert_eq!(
        (&json["upstream-checked"], &json["imports"]),
        (&json!(true), &json!([honest]))
    );
}

/// Carol never imported anything. Nor does a tag that looks like the ref of upstream tell her what upstream has.
#[test]
fn a_clone_that_never_fetched_upstream_says_so() {
    let fork = Fork::new().with_statement(|_| {});
    let to = fork.import.to.to_string();
    let merge = fork.merge("carol", &fork.world, &to);
    let upstream = "refs/touchstone/upstream/unstable";
    fork.world
        .git("carol", &["update-ref", &format!("refs/tags/{upstream}"), &to]);
    fork.world
        .git("carol", &["update-ref", &format!("refs/heads/{upstream}"), &to]);
    let output = fork.authenticate("carol", &merge);
    assert!(
        output.stderr.contains("this clone never fetched upstream of unstable")
            && output.stderr.contains("git fetch --no-tags "),
        "{}",
        output.stderr
    );
    let json = output.ok();
    assert_eq!(json["authentic"], true);
    assert_eq!(json["upstream-checked"], false);
    assert_eq!(json["imports-unchecked"], json!([to]));
    fork.world
        .assay("carol", &["--offline", "import", "--channel", "unstable"])
        .failed(3, "upstream of unstable was never fetched here");

    // Carol is asked to vouch for it with a signature: for that a statement's word is too little.
    let policy = fork.world.path("policy.toml");
    let text = fs::read_to_string(&policy).unwrap();
    fs::write(&policy, text.replace(&fork.introduction, &merge)).unwrap();
    let json = fork.world.assay("carol", &["policy", "propose", "policy.toml"]).ok();
    let sign = ["sign", "--yes", "--only", json["proposal"].as_str().unwrap()];
    let output = fork
        .world
        .assay("carol", &sign)
        .refused("this clone never fetched upstream of unstable");
    assert_eq!(output.json["code"], "upstream-never-fetched");

    // What it says is done.
    let url = &fork.import.upstream;
    fork.world.git(
        "carol",
        &["fetch", "--quiet", "--no-tags", url, &format!("{BRANCH}:{upstream}")],
    );
    let output = fork.authenticate("carol", &merge);
    assert!(!output.stderr.contains("never fetched"), "{}", output.stderr);
    assert_eq!(output.ok()["upstream-checked"], true);
    fork.world.assay("carol", &sign).ok();
    // And where nothing rests on an import there is nothing to check.
    let json = fork.authenticate("carol", &fork.introduction).ok();
    assert_eq!(json["upstream-checked"], true);
}
