//! Signatures beside the commit, in git's notes.

use attestation::git::NoteBody;
use ledger::{Author, authenticate::oid};
use testkit::TestPerson;

use crate::story::{NOW, Story, Why, id};

fn author() -> Author {
    Author::new("Alice", "", NOW).unwrap()
}

/// A line of this person about `of`, whose tree is said to be that of `tree_of`.
fn line(story: &Story, person: &TestPerson, of: &str, tree_of: &str) -> String {
    let tree = story.history().commit(id(tree_of)).unwrap().tree;
    let body = NoteBody {
        commit: of.parse().unwrap(),
        tree: oid(tree),
    };
    body.to_line(&person.sign_bytes(0, NOW, &body.to_bytes()))
}

fn add(story: &Story, commit: &str, line: &str) {
    story.history().add_note_line(id(commit), line, &author()).unwrap();
}

#[test]
fn a_note_counts_beside_the_commits_own_signature() {
    let story = Story::with_threshold(2);
    let commit = story.on(&story.introduction, "one", &["alice"]);
    assert_eq!(story.broken(&commit), [(commit.clone(), Why::TooFew)]);
    add(
        &story,
        &commit,
        &line(&story, story.chain.person("bob"), &commit, &commit),
    );
    assert_eq!(story.authentic(&commit), 1);
}

#[test]
fn the_same_person_in_commit_and_note_is_one() {
    let story = Story::with_threshold(2);
    let commit = story.on(&story.introduction, "one", &["alice"]);
    add(
        &story,
        &commit,
        &line(&story, story.chain.person("alice"), &commit, &commit),
    );
    assert_eq!(story.broken(&commit), [(commit, Why::TooFew)]);
}

#[test]
fn notes_alone_bind_a_name_and_do_not_count() {
    let story = Story::with_threshold(2);
    let commit = story.on(&story.introduction, "one", &[]);
    for person in ["alice", "bob"] {
        add(
            &story,
            &commit,
            &line(&story, story.chain.person(person), &commit, &commit),
        );
    }
    assert_eq!(story.broken(&commit), [(commit, Why::NotesAlone)]);
}

#[test]
fn a_note_about_another_commit_or_tree_does_not_count() {
    let story = Story::with_threshold(2);
    let commit = story.on(&story.introduction, "one", &["alice"]);
    let other = story.on(&story.introduction, "two", &["alice"]);
    let bob = story.chain.person("bob");
    add(&story, &commit, &line(&story, bob, &other, &other));
    add(&story, &commit, &line(&story, bob, &commit, &other));
    // A good signature moved under a rewritten body.
    let good = line(&story, bob, &other, &other);
    add(&story, &commit, &good.replace(&other, &commit));
    // git-sig 0.3 reads a review that was left out as "null", and so finds the signature good.
    let honest = line(&story, bob, &commit, &commit);
    add(&story, &commit, &honest.replace(":null:", "::"));
    assert_eq!(story.broken(&commit), [(commit.clone(), Why::TooFew)]);
    add(&story, &commit, &honest);
    assert_eq!(
        story.authentic(&commit),
        1,
        "the good line counts, whatever stands beside it"
    );
}

#[test]
fn junk_lines_neither_count_nor_spoil() {
    let story = Story::with_threshold(2);
    let commit = story.on(&story.introduction, "one", &["alice"]);
    for junk in ["junk", "sig:v0:::::", "sig:v1:a:b:null:pgp:AAAA", "\u{1b}[2J"] {
        add(&story, &commit, junk);
    }
    add(
        &story,
        &commit,
        &line(&story, story.chain.person("bob"), &commit, &commit),
    );
    story
        .repo
        .git(&["notes", "--ref", "signatures", "append", "-m", "more junk", &commit]);
    assert_eq!(story.authentic(&commit), 1);
}

#[test]
fn lines_of_strangers_and_of_those_who_left_do_not_count() {
    let mut story = Story::with_threshold(2);
    let commit = story.on(&story.introduction, "one", &["alice"]);
    let mallory = TestPerson::new("bob", NOW);
    add(&story, &commit, &line(&story, &mallory, &commit, &commit));
    add(
        &story,
        &commit,
        &line(&story, story.chain.person("dave"), &commit, &commit),
    );
    assert_eq!(story.broken(&commit), [(commit.clone(), Why::TooFew)]);
    add(
        &story,
        &commit,
        &line(&story, story.chain.person("bob"), &commit, &commit),
    );
    assert_eq!(story.authentic(&commit), 1);
    let base = story.introduction.clone();
    story.rotate(&base, |policy| {
        let reviewers = policy.roles.get_mut(&"reviewers".parse().unwrap()).unwrap();
        reviewers.people.remove(&"bob".parse().unwrap());
    });
    assert_eq!(story.broken(&commit), [(commit, Why::TooFew)]);
}

#[test]
fn git_reads_our_notes_and_we_read_every_shape_of_gits() {
    let story = Story::new();
    let commit = story.on(&story.introduction, "one", &["alice"]);
    let ours = line(&story, story.chain.person("bob"), &commit, &commit);
    add(&story, &commit, &ours);
    let notes = ["notes", "--ref", "signatures"];
    let show = || story.repo.git(&[&notes[..], &["show", &commit]].concat());
    assert_eq!(show(), ours);
    // git's own append puts an empty line between.
    story
        .repo
        .git(&[&notes[..], &["append", "-m", "from git", &commit]].concat());
    assert_eq!(
        story.history().note_lines(id(&commit)).unwrap(),
        [ours.as_str(), "from git"]
    );
    // Many notes make git fan the tree out; ours goes where git finds it.
    let import: String = (0..300)
        .map(|number| {
            format!(
                "commit refs/heads/n{number}\ncommitter a <a> 1 +0000\ndata 1\nx\nM 100644 inline f\ndata 3\n{number:03}\n"
            )
        })
        .collect();
    story.repo.git_with(&["fast-import", "--quiet"], import.as_bytes());
    let notes_import: String = std::iter::once(format!(
        "commit refs/notes/signatures\ncommitter a <a> 2 +0000\ndata 1\nx\nfrom {}\n",
        story.repo.git(&["rev-parse", "refs/notes/signatures"])
    ))
    .chain((0..300).map(|number| format!("N inline refs/heads/n{number}\ndata 3\n{number:03}\n")))
    .collect();
    story
        .repo
        .git_with(&["fast-import", "--quiet"], notes_import.as_bytes());
    let fanned = story.repo.git(&["ls-tree", "refs/notes/signatures"]);
    assert!(fanned.contains(" tree "), "git did not fan the notes out: {fanned}");
    assert_eq!(
        story.history().note_lines(id(&commit)).unwrap(),
        [ours.as_str(), "from git"]
    );
    add(&story, &commit, "again");
    assert!(show().ends_with("again"));
    let fresh = story.repo.git(&["rev-parse", "n7"]);
    let new = story.on(&story.introduction, "new", &["alice"]);
    for commit in [&fresh, &new] {
        add(&story, commit, "line");
        assert!(
            story
                .repo
                .git(&[&notes[..], &["show", commit]].concat())
                .ends_with("line")
        );
    }
    assert_eq!(story.history().noted().unwrap().len(), 302);
}
