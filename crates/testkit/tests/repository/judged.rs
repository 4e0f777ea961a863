//! `assay authenticate` from the command line.

use serde_json::json;

use crate::company::Company;

#[test]
fn a_history_is_authentic_or_says_where_it_breaks_and_what_to_do() {
    let company = Company::new();
    let one = company.commit("alice", &company.introduction, "one", &["alice"]);
    let two = company.commit("alice", &one, "two", &["bob"]);
    let json = company.assay("alice", &["authenticate", &two]).ok();
    assert_eq!(json["authentic"], true);
    assert_eq!(json["commits"], 2);
    assert_eq!(json["introduction"], company.introduction);
    assert_eq!(json["signers"], json!({"alice": 1, "bob": 1}));
    // Again, from the cache; and with a broken one.
    assert!(company.path(".cache/assay/facts").exists());
    company.assay("alice", &["authenticate", &two]).ok();
    std::fs::write(company.path(".cache/assay/facts"), "touchstone-facts and junk").unwrap();
    company.assay("alice", &["authenticate", &two]).ok();
    company.assay("alice", &["authenticate", "--no-cache", &two]).ok();

    let unsigned = company.commit("alice", &two, "unsigned", &[]);
    let above = company.commit("alice", &unsigned, "above", &["alice"]);
    let output = company
        .assay("alice", &["authenticate", &above])
        .refused("the chain of trust breaks at");
    assert!(
        output.stderr.contains(&unsigned) && output.stderr.contains("next: "),
        "{}",
        output.stderr
    );
    let details = &output.json["details"];
    assert_eq!(details["authentic"], false);
    assert_eq!(details["breaks"][0]["commit"], unsigned);
    assert_eq!(details["breaks"][0]["kind"], "unsigned");
    assert_eq!(details["breaks"].as_array().unwrap().len(), 1);

    let json = company
        .assay("alice", &["authenticate", "--from", &unsigned, &above])
        .ok();
    assert_eq!(json["commits"], 1, "from where the user trusts it");
    company
        .assay("alice", &["authenticate", "--from", &two, &one])
        .refused("is an ancestor of the introduction");
    company
        .assay("alice", &["authenticate", "nowhere"])
        .failed(2, "names nothing");
}

#[test]
fn a_tag_is_judged_by_its_commit_and_says_who_signed_it() {
    let company = Company::new();
    let one = company.commit("alice", &company.introduction, "one", &["alice"]);
    company.git("alice", &["tag", "-a", "-m", "v1", "v1", &one]);
    let json = company.assay("alice", &["authenticate", "v1"]).ok();
    assert_eq!(
        json["tags"],
        json!([{"id": company.git("alice", &["rev-parse", "v1"]), "name": "v1", "signed-by": []}])
    );
    let tag = company.git("alice", &["cat-file", "tag", "v1"]) + "\n";
    let packet = company
        .person("bob")
        .sign_bytes(0, testkit::world::now(), tag.as_bytes());
    let signed = testkit::git::with_signatures(&format!("x\n\n{tag}"), &[packet]);
    // The armor as git puts it at a tag's end.
    let armor: String = signed
        .lines()
        .skip_while(|line| !line.starts_with("gpgsig"))
        .take_while(|line| !line.is_empty())
        .map(|line| line.trim_start_matches("gpgsig ").trim_start_matches(' ').to_owned() + "\n")
        .collect();
    let id = company.repo("alice").git_with(
        &["hash-object", "-t", "tag", "-w", "--stdin"],
        (tag + &armor).as_bytes(),
    );
    company.git("alice", &["update-ref", "refs/tags/v2", &id]);
    let json = company.assay("alice", &["authenticate", "v2"]).ok();
    assert_eq!(json["tags"][0]["signed-by"], json!(["bob"]));
}

/// What docs/quickstart-repositories.md says to put into CI, in a fresh clone that nobody set up.
#[test]
fn a_fresh_clone_in_ci_needs_the_chain_and_nothing_else() {
    let company = Company::new();
    let one = company.commit("alice", &company.introduction, "one", &["alice"]);
    company.repo("alice").set_branch("main", &one);
    company.git("alice", &["push", "--quiet", "origin", "main"]);
    let guide = crate::company::project_file("docs/quickstart-repositories.md");
    let snippet = guide
        .split("```sh\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .unwrap();
    let run = |chain: &str| {
        let clone = company.path("ci");
        let _ = std::fs::remove_dir_all(&clone);
        company.git(".", &["clone", "--quiet", "company.git", "ci"]);
        let assay = testkit::world::binary("assay");
        let mut shell = company.repo("ci").command(&clone);
        let path = format!(
            "{}:{}",
            assay.parent().unwrap().display(),
            std::env::var("PATH").unwrap()
        );
        shell.env("PATH", path).env("CHAIN", chain);
        let program = std::mem::replace(&mut shell, std::process::Command::new("sh"));
        for (name, value) in program.get_envs() {
            shell.env(name, value.unwrap_or_default());
        }
        shell.current_dir(&clone).args(["-euc", snippet]);
        shell.output().unwrap()
    };
    let output = run(&company.chain);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let bad = company.commit("alice", &one, "unsigned", &[]);
    company.repo("alice").set_branch("main", &bad);
    company.git("alice", &["push", "--quiet", "origin", "main"]);
    let output = run(&company.chain);
    assert_eq!(
        output.status.code(),
        Some(1),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let other = run(&"0".repeat(64));
    assert_eq!(
        other.status.code(),
        Some(1),
        "another chain than the pinned one was followed"
    );
}

/// A person leaves: the next root names how far the history is vouched for.
#[test]
fn a_rotation_ends_what_somebody_may_and_keeps_what_they_did() {
    let company = Company::new();
    let by_carol = company.commit("alice", &company.introduction, "by carol", &["carol"]);
    let mut policy = company.assay("alice", &["policy", "show"]).ok()["policy"].clone();
    assert_eq!(policy["repository"]["introduction"], company.introduction);
    // policy.toml as somebody edits it.
    let members =
        |json: &serde_json::Value| -> String { json.as_array().unwrap().iter().map(|it| format!("{it}, ")).collect() };
    policy["roles"]["committers"]["people"] = json!(["alice", "bob"]);
    let mut toml = format!("online-key = {}\n", policy["online-key"]);
    for (name, person) in policy["people"].as_object().unwrap() {
        toml += &format!(
            "[people.{name}]\ncertificate = {}\nkeys = [{}]\nnot-after = {}\n",
            person["certificate"],
            members(&person["keys"]),
            person["not-after"]
        );
    }
    for (name, role) in policy["roles"].as_object().unwrap() {
        toml += &format!("[roles.{name}]\npeople = [{}]\n", members(&role["people"]));
        if name == "root" {
            toml += &format!("threshold = {}\n", role["threshold"]);
        }
    }
    toml +=
        &format!("[repository]\nintroduction = \"{by_carol}\"\ncommits = {{ role = \"committers\", threshold = 1 }}\n");
    std::fs::write(company.path("policy.toml"), toml).unwrap();
    company.assay("alice", &["policy", "propose", "policy.toml"]).ok();
    for person in ["alice", "bob"] {
        // Whoever signs looks at the history that the root vouches for, in their own clone.
        company.git(
            "alice",
            &[
                "push",
                "--quiet",
                "--force",
                "origin",
                &format!("{by_carol}:refs/heads/main"),
            ],
        );
        company.git(person, &["fetch", "--quiet", "origin", "main"]);
        company.assay(person, &["sign", "--yes"]).ok();
    }
    company.assay("alice", &["publish"]).ok();
    company.assay("alice", &["authenticate", &by_carol]).ok();
    let after = company.commit("alice", &by_carol, "after", &["carol"]);
    let output = company
        .assay("alice", &["authenticate", &after])
        .refused("it would count under root 1");
    assert_eq!(output.json["details"]["breaks"][0]["root-version"], 2);
    let honest = company.commit("alice", &by_carol, "honest", &["bob"]);
    assert_eq!(
        company.assay("alice", &["authenticate", &honest]).ok()["roots"],
        json!({"1": 1, "2": 1})
    );
}

#[test]
fn nobody_vouches_for_an_introduction_whose_history_is_not_authentic() {
    let company = Company::new();
    let bad = company.commit("alice", &company.introduction, "unsigned", &[]);
    let show = company.assay("alice", &["policy", "show"]).ok();
    let people = show["policy"]["people"].as_object().unwrap();
    let mut toml = format!("online-key = {}\n", show["policy"]["online-key"]);
    for (name, person) in people {
        toml += &format!(
            "[people.{name}]\ncertificate = {}\nkeys = {}\nnot-after = {}\n",
            person["certificate"], person["keys"], person["not-after"]
        );
    }
    toml += "[roles.root]\npeople = [\"alice\", \"bob\", \"carol\"]\nthreshold = 2\n[roles.committers]\npeople = [\"alice\"]\n";
    toml += &format!("[repository]\nintroduction = \"{bad}\"\ncommits = {{ role = \"committers\", threshold = 1 }}\n");
    std::fs::write(company.path("policy.toml"), toml).unwrap();
    company.assay("alice", &["policy", "propose", "policy.toml"]).ok();
    let output = company.assay("alice", &["sign", "--yes"]);
    assert_eq!(output.code, Some(1), "{}", output.stderr);
    assert!(
        output.stderr.contains("the chain of trust breaks at"),
        "{}",
        output.stderr
    );
    // Bob's clone does not even have the commit.
    let output = company.assay("bob", &["sign", "--yes"]);
    assert_ne!(output.code, Some(0), "{}", output.stderr);
    // Who looked, and knows why, says so.
    company.assay("alice", &["sign", "--yes", "--vouch-for", &bad]).ok();
}
