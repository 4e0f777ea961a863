use super::*;

fn review() -> Statement {
    let delta = |unit: &str| Delta {
        unit: unit.parse().unwrap(),
        from: None,
        to: Some(Content::from_digest(Sha256Digest::of(unit))),
    };
    let verdict = |unit| DeltaVerdict {
        delta: delta(unit),
        verdict: Verdict::Approve,
        note: None,
    };
    Statement {
        chain: ChainId::from_digest(Sha256Digest::of("chain")),
        author: "alice".parse().unwrap(),
        seq: 1,
        prev: None,
        claim: Claim::Review(Review {
            criteria: "read-the-diff".to_owned(),
            verdicts: vec![verdict("a"), verdict("b")],
            supersedes: BTreeSet::new(),
            from_tree: None,
        }),
    }
}

#[test]
fn a_statement_reads_back() {
    let statement = review();
    assert_eq!(Statement::from_exact(&statement.to_bytes()).unwrap(), statement);
}

#[test]
fn the_tree_from_which_a_review_looked_is_part_of_what_is_signed() {
    let plain = review();
    let named = |sequence| {
        let mut named = plain.clone();
        let Claim::Review(review) = &mut named.claim else {
            unreachable!()
        };
        review.from_tree = Some(FromTree {
            channel: "unstable".parse().unwrap(),
            sequence,
            tree_nar: Sha256Digest::of("tree"),
        });
        named
    };
    let first = named(1);
    assert_eq!(Statement::from_exact(&first.to_bytes()).unwrap(), first);
    for other in [&plain, &named(2)] {
        assert_ne!(first.id(), other.id());
        assert_ne!(first.claim.digest(), other.claim.digest());
    }
    // An absent one has one spelling: no member at all.
    let text = String::from_utf8(plain.to_bytes()).unwrap();
    assert!(!text.contains("from-tree"), "{text}");
    let null = text.replacen("\"criteria\"", "\"from-tree\":null,\"criteria\"", 1);
    assert!(Statement::from_exact(null.as_bytes()).is_err(), "null was accepted");
}

#[test]
fn refuses_subject_that_is_not_what_the_claim_makes_it() {
    let text = String::from_utf8(review().to_bytes()).unwrap();
    let forged = text.replacen("\"name\":\"a\"", "\"name\":\"c\"", 1);
    assert_ne!(text, forged);
    let error = Statement::from_exact(forged.as_bytes()).unwrap_err();
    assert!(
        matches!(error, StatementError::Inconsistent { member: "subject" }),
        "{error:?}"
    );
}

#[test]
fn refuses_two_verdicts_on_one_delta() {
    let mut statement = review();
    let Claim::Review(review) = &mut statement.claim else {
        unreachable!()
    };
    let mut second = review.verdicts[0].clone();
    second.verdict = Verdict::Reject;
    review.verdicts.insert(1, second);
    let error = Statement::from_exact(&statement.to_bytes()).unwrap_err();
    assert!(
        matches!(error, StatementError::Inconsistent { member: "verdicts" }),
        "{error:?}"
    );
}

#[test]
fn refuses_unknown_member_and_other_spelling() {
    let text = String::from_utf8(review().to_bytes()).unwrap();
    let extra = text.replacen("\"seq\":1", "\"seq\":1,\"shade\":0", 1);
    assert!(
        Statement::from_exact(extra.as_bytes()).is_err(),
        "an unknown member was accepted"
    );
    let spaced = text.replacen(':', ": ", 1);
    assert!(
        Statement::from_exact(spaced.as_bytes()).is_err(),
        "white space was accepted"
    );
}

#[test]
fn refuses_broken_sequence() {
    let mut statement = review();
    statement.seq = 2;
    assert!(
        Statement::from_exact(&statement.to_bytes()).is_err(),
        "a second statement without a first"
    );
    statement.prev = Some(StatementId::from_digest(Sha256Digest::of("first")));
    assert!(Statement::from_exact(&statement.to_bytes()).is_ok());
    statement.seq = 0;
    assert!(Statement::from_exact(&statement.to_bytes()).is_err(), "seq 0");
}
