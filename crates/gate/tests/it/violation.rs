//! What people found to be bad after it was released takes back what was approved.

use std::{fs, path::PathBuf};

use attestation::{
    Sha256Digest,
    chain::Release,
    statement::{Claim, Statement, TreeNar, Violation},
};
use gate::{Approvals, Fact, Place};
use nixstore::{StoreDir, source_store_path};
use serde_json::{Value, json};
use testkit::{ChannelTarball, world::binary};

use crate::{
    command::{Owner, json},
    machine::{Machine, Ran},
};

/// A machine with a gate that approves release 1, which lists `hello`, and release 2, which lists `other`.
struct Two<'a> {
    owner: Owner<'a>,
    hello: String,
    other: String,
    /// Release 2.
    second: Release,
    /// What dave said so far.
    said: Option<Statement>,
}

const HELLO: &str = "derivation { name = \"hello\"; system = \"x86_64-linux\"; builder = \"/bin/sh\"; args = [ \"-c\" \
                     \"echo hi > $out\" ]; }";

impl<'a> Two<'a> {
    fn new(machine: &'a Machine) -> Self {
        let mut owner = Owner::new(machine);
        owner.on().ok();
        let other = machine.instantiate(&Machine::plain("other", ""));
        owner.release("2", &[&other]);
        owner.touchstone(&["update"]).ok();
        let refreshed = owner.gate(&["refresh"]);
        assert_eq!(json(&refreshed)["releases"], json!([1, 2]), "{refreshed:?}");
        let second = newest(&owner);
        let two = Self {
            owner,
            hello: machine.instantiate(HELLO),
            other,
            second,
            said: None,
        };
        assert!(two.passes(&two.hello) && two.passes(&two.other));
        two
    }

    fn passes(&self, derivation: &str) -> bool {
        self.owner.gate(&["why", derivation]).code == Some(0)
    }

    /// dave says that this tree is bad, and it is published.
    fn violate(&mut self, tree: Sha256Digest) {
        let chain = &mut self.owner.chain;
        let dave = chain.person("dave");
        let statement = Statement {
            chain: chain.id(),
            author: dave.name.clone(),
            seq: self.said.as_ref().map_or(1, |before| before.seq + 1),
            prev: self.said.as_ref().map(Statement::id),
            claim: Claim::Violation(Violation {
                contents: [].into(),
                reason: "a backdoor".to_owned(),
                trees: [TreeNar(tree)].into(),
            }),
        };
        let said = signer::sign_statement(&dave.signer(0, chain.now), &statement).unwrap();
        chain.place_violations([said]);
        chain.publish();
        self.said = Some(statement);
        self.owner.serve();
    }

    /// As [`Self::violate`] of release 2, and the machine has heard of it.
    fn second_is_violated(&mut self) {
        self.violate(self.second.tree_nar);
        let refused = self.owner.touchstone(&["update"]);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert_eq!(json(&refused)["error"]["code"], "violated", "{refused:?}");
        let next = json(&refused)["error"]["next"].as_str().unwrap().to_owned();
        assert!(next.contains("touchstone gate refresh"), "{next}");
    }

    fn refresh(&self) -> Ran {
        self.owner.gate(&["refresh"])
    }

    fn approvals(&self) -> Approvals {
        Approvals::open(&Place::new(self.owner.machine.path("state/gate"))).unwrap()
    }

    /// The list of violations that the machine keeps.
    fn kept(&self) -> PathBuf {
        let chain = self.owner.chain.id().to_string();
        let path = format!("state/trusted/{chain}/violations.json");
        self.owner.machine.path(&path)
    }

    /// Fails the test unless nothing is approved, and the refusal says what to do.
    fn assert_closed(&self, what: &str) {
        let refused = self.refresh();
        assert!(matches!(refused.code, Some(1 | 3)), "{what}: {refused:?}");
        let error = &json(&refused)["error"];
        assert_eq!(error["code"], "violations", "{what}: {refused:?}");
        let next = error["next"].as_str().unwrap();
        assert!(
            next.contains("touchstone update") && next.contains(&self.kept().display().to_string()),
            "{what}: {next}"
        );
        assert_eq!(self.approvals().count(), 0, "{what}");
        assert!(!self.passes(&self.hello), "{what}");
    }
}

fn newest(owner: &Owner<'_>) -> Release {
    let set = owner.chain.visit("unstable").unwrap();
    set.release(&"unstable".parse().unwrap()).unwrap().get().clone()
}

#[test]
fn a_violated_release_loses_its_approvals() {
    let Some(machine) = Machine::new("nix226") else { return };
    let mut two = Two::new(&machine);
    let tarball = |text: &str| Sha256Digest::of(&ChannelTarball::new(&[("default.nix", text)]).bytes);
    let tree = source_store_path(&StoreDir::default(), "source", &two.second.tree_nar).unwrap();
    let approved = |two: &Two<'_>| {
        let approvals = two.approvals();
        [Fact::Tarball(tarball("2")), Fact::Object(&tree)].map(|fact| approvals.has(fact).unwrap())
    };
    assert_eq!(approved(&two), [true, true]);
    // What somebody says of a tree that is not installed takes nothing.
    two.violate(Sha256Digest::of("another tree"));
    two.owner.touchstone(&["update"]).ok();
    let refreshed = two.refresh();
    assert_eq!(json(&refreshed)["releases"], json!([1, 2]), "{refreshed:?}");
    assert_eq!(json(&refreshed)["left-out"], json!([]), "{refreshed:?}");
    assert_eq!(approved(&two), [true, true]);

    two.violate(two.second.tree_nar);
    assert_eq!(two.owner.touchstone(&["update"]).code, Some(1));
    let refreshed = two.refresh();
    assert_eq!(refreshed.code, Some(0), "{refreshed:?}");
    assert_eq!(json(&refreshed)["releases"], json!([1]), "{refreshed:?}");
    let left_out = &json(&refreshed)["left-out"];
    assert_eq!(left_out[0]["release"], 2, "{left_out}");
    assert_eq!(left_out[0]["violated"][0]["by"], "dave", "{left_out}");
    assert_eq!(left_out[0]["violated"][0]["reason"], "a backdoor", "{left_out}");
    assert!(left_out[0]["next"].as_str().unwrap().contains("touchstone update"));
    assert_eq!(approved(&two), [false, false]);
    assert!(two.approvals().has(Fact::Tarball(tarball("1"))).unwrap());
    assert!(two.passes(&two.hello), "release 1 lost its own");
    let why = two.owner.gate(&["why", &two.other]);
    assert_eq!(why.code, Some(1), "{why:?}");
    let reason = &json(&why)["reasons"][0];
    assert_eq!(reason["code"], "violated", "{why:?}");
    assert!(reason["reason"].as_str().unwrap().contains("dave says \"a backdoor\""));
    assert!(reason["next"].as_str().unwrap().contains("touchstone update"));
    // As a person reads it.
    let state = machine.path("state").display().to_string();
    let text = two.owner.shell(&format!(
        "{} --state {state} gate refresh",
        binary("touchstone").display()
    ));
    assert!(
        text.out
            .contains("release 2 of unstable is left out: dave says \"a backdoor\"")
            && text.out.contains("next: touchstone update"),
        "{text:?}"
    );

    // What replaces it is approved, and what both list with it.
    let other = two.other.clone();
    two.owner.release("3", &[&other]);
    two.owner.touchstone(&["update"]).ok();
    let refreshed = two.refresh();
    assert_eq!(json(&refreshed)["releases"], json!([1, 3]), "{refreshed:?}");
    assert_eq!(json(&refreshed)["left-out"][0]["release"], 2, "{refreshed:?}");
    assert!(two.passes(&two.other));
    assert_eq!(approved(&two), [false, false]);
}

#[test]
fn an_update_alone_takes_back_what_a_violated_release_approved_and_status_names_who_said_so() {
    let Some(machine) = Machine::new("nix226") else { return };
    let mut two = Two::new(&machine);
    two.violate(two.second.tree_nar);
    let refused = two.owner.touchstone(&["update"]);
    assert_eq!(json(&refused)["error"]["code"], "violated", "{refused:?}");
    assert!(!two.passes(&two.other) && two.passes(&two.hello));
    let status = json(&two.owner.gate(&["status"]));
    assert_eq!(status["left-out"][0]["violated"][0]["by"], "dave", "{status}");
    let state = machine.path("state").display().to_string();
    let program = binary("touchstone").display().to_string();
    let text = two.owner.shell(&format!("{program} --state {state} gate status"));
    assert!(
        text.out
            .contains("release 2 of unstable is left out: dave says \"a backdoor\""),
        "{text:?}"
    );
    machine.nix(&["nix-store", "--realise", &two.other]);
    let text = two.owner.shell(&format!(
        "nix-store --realise {}; {program} --state {state} status",
        two.other
    ));
    assert!(
        text.out.contains("none of release 2, which was found to be bad"),
        "{text:?}"
    );
    assert!(
        text.out.contains("refused  ") && text.out.contains("-other.drv is not approved"),
        "{text:?}"
    );
}

#[test]
fn what_was_approved_on_request_goes_with_a_violated_release() {
    let Some(machine) = Machine::new("nix226") else { return };
    let mut two = Two::new(&machine);
    let file = machine.write(
        "owner/own.nix",
        "derivation { name = \"own\"; system = \"x86_64-linux\"; builder = \"/bin/sh\"; args = [ \"-c\" \"echo > $out\" ]; }",
    );
    let built = two.owner.touchstone(&["build", "--no-out-link", "--file", &file]);
    assert_eq!(built.code, Some(0), "{built:?}");
    let own = machine.instantiate(&fs::read_to_string(&file).unwrap());
    assert!(two.passes(&own));
    two.second_is_violated();
    assert!(!two.passes(&own), "approved over a release that is bad");
    let refreshed = json(&two.refresh());
    assert_eq!(refreshed["requests"][0]["trouble"]["code"], "no-release", "{refreshed}");
    // And comes back with the release that takes its place.
    let other = two.other.clone();
    two.owner.release("3", &[&other]);
    two.owner.touchstone(&["update"]).ok();
    assert!(two.passes(&own));
}

#[test]
fn where_violations_cannot_be_known_nothing_is_approved() {
    let Some(machine) = Machine::new("nix226") else { return };
    let mut two = Two::new(&machine);
    two.second_is_violated();
    assert_eq!(json(&two.refresh())["releases"], json!([1]));
    let kept = two.kept();
    let honest = fs::read(&kept).unwrap();
    for (what, bytes) in [
        ("cut", &honest[..honest.len() / 2]),
        ("empty", &b""[..]),
        ("a list without what was said", &b"[]"[..]),
    ] {
        fs::write(&kept, bytes).unwrap();
        two.assert_closed(what);
    }
    fs::remove_file(&kept).unwrap();
    two.assert_closed("missing");
    fs::create_dir(&kept).unwrap();
    two.assert_closed("a directory");
    fs::remove_dir(&kept).unwrap();
    // The advice, followed: the list comes back, and what is not concerned is approved again.
    assert_eq!(json(&two.owner.touchstone(&["update"]))["error"]["code"], "violated");
    assert_eq!(fs::read(&kept).unwrap(), honest);
    assert_eq!(json(&two.refresh())["releases"], json!([1]));
    assert!(two.passes(&two.hello));
}

#[test]
fn a_mirror_that_withholds_a_list_keeps_no_violated_approvals_alive() {
    let Some(machine) = Machine::new("nix226") else { return };
    let mut two = Two::new(&machine);
    two.second_is_violated();
    let third = machine.instantiate(&Machine::plain("third", ""));
    two.owner.release("3", &[&third]);
    two.owner.touchstone(&["update", "--without-gate"]).ok();
    // The list of derivations of release 3 is withheld.
    let targets = fs::read_dir(machine.path("site/targets/unstable")).unwrap();
    let mut withheld = 0;
    for path in targets.map(|entry| entry.unwrap().path()) {
        if path.to_string_lossy().contains("derivations-") {
            fs::remove_file(path).unwrap();
            withheld += 1;
        }
    }
    assert_ne!(withheld, 0);
    let refused = two.refresh();
    assert_eq!(json(&refused)["error"]["code"], "no-manifest", "{refused:?}");
    let next = json(&refused)["error"]["next"].as_str().unwrap().to_owned();
    assert!(next.contains("dave says \"a backdoor\""), "{next}");
    assert!(!two.passes(&two.other), "the violated release still approves");
    assert!(
        two.passes(&two.hello),
        "release 1, whose list is here, lost its approvals"
    );
    two.owner.serve();
    assert_eq!(json(&two.refresh())["releases"], json!([1, 3]));
    assert!(two.passes(&third));
}

#[test]
fn an_update_that_broke_off_takes_no_approvals_but_a_withheld_list_of_violations_does() {
    let Some(machine) = Machine::new("nix226") else { return };
    let mut two = Two::new(&machine);
    let withhold = |name: &str| {
        let metadata = fs::read_dir(machine.path("site/metadata")).unwrap();
        for path in metadata.map(|entry| entry.unwrap().path()) {
            if path.to_string_lossy().ends_with(name) {
                fs::remove_file(path).unwrap();
            }
        }
    };
    two.violate(two.second.tree_nar);
    // A timestamp without its snapshot: nobody can know more than before.
    withhold(".snapshot.json");
    assert_ne!(two.owner.touchstone(&["update"]).code, Some(0));
    assert_eq!(json(&two.refresh())["releases"], json!([1, 2]));
    // The snapshot says that somebody said something.
    two.owner.serve();
    withhold(".violations.json");
    assert_ne!(two.owner.touchstone(&["update"]).code, Some(0));
    two.assert_closed("withheld");
    two.owner.serve();
    assert_eq!(json(&two.owner.touchstone(&["update"]))["error"]["code"], "violated");
    let refreshed: Value = json(&two.refresh());
    assert_eq!(refreshed["releases"], json!([1]), "{refreshed}");
}
