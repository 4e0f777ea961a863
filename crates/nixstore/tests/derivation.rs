//! Derivations: what real ones are, and what is refused.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use nixstore::{
    Derivation,
    derivation::{Algorithm, DerivationError, Output, derivation_name},
};
use proptest::prelude::*;

/// What `nix-channel --update` of 2.8.0 and of 2.26.3 makes.
const CHANNEL: &str = concat!(
    r#"Derive([("out","/nix/store/rw7inc1angha9y1sq6wsxk65crllgqr6-nixpkgs","","")],[],"#,
    r#"["/nix/store/zmbvi66bw1bkxw6s105285bbs9nrsgfi-nixexprs.tar.xz"],"builtin","builtin:unpack-channel",[],"#,
    r#"[("builder","builtin:unpack-channel"),("channelName","nixpkgs"),("name","nixpkgs"),"#,
    r#"("out","/nix/store/rw7inc1angha9y1sq6wsxk65crllgqr6-nixpkgs"),("preferLocalBuild","1"),"#,
    r#"("src","/nix/store/zmbvi66bw1bkxw6s105285bbs9nrsgfi-nixexprs.tar.xz"),("system","builtin")])"#
);

const PATH: &str = "xw5w6c0dwrllq3d21c1ndaibbk5jwcpa-nixpkgs.drv";

/// A fixed output, with an escape of each kind.
const FIXED: &str = concat!(
    r#"Derive([("out","/nix/store/f0ns94ishydlc0w9q8q7jh7hgd0fz10p-x","r:sha256","#,
    r#""e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")],[],[],"x86_64-linux","/bin/sh","#,
    r#"["-c","a\n\t\r\\\""],[("name","x"),("out","/nix/store/f0ns94ishydlc0w9q8q7jh7hgd0fz10p-x")])"#
);

fn refused(text: &str, from: &str, to: &str) -> DerivationError {
    assert!(text.contains(from), "{from}");
    Derivation::parse(text.replacen(from, to, 1).as_bytes()).unwrap_err()
}

#[test]
fn a_derivation_is_written_as_it_was_read_and_names_its_own_path() {
    for text in [CHANNEL, FIXED] {
        let derivation = Derivation::parse(text.as_bytes()).unwrap();
        assert_eq!(derivation.to_aterm(), text.as_bytes());
    }
    let channel = Derivation::parse(CHANNEL.as_bytes()).unwrap();
    assert_eq!(channel.path("nixpkgs").unwrap().base_name(), PATH);
    assert_eq!(derivation_name(&PATH.parse().unwrap()).unwrap(), "nixpkgs");
    channel.check_outputs("nixpkgs", &|_| None).unwrap();
    let fixed = Derivation::parse(FIXED.as_bytes()).unwrap();
    assert_eq!(fixed.arguments[1], b"a\n\t\r\\\"");
    assert!(matches!(
        fixed.fixed(),
        Some(Output::Fixed {
            algorithm: Algorithm::Sha256,
            ..
        })
    ));
}

#[test]
fn refuses_an_output_that_is_elsewhere() {
    let moved = CHANNEL.replace("rw7inc1angha9y1sq6wsxk65crllgqr6", "rw7inc1angha9y1sq6wsxk65crllgqr7");
    let moved = Derivation::parse(moved.as_bytes()).unwrap();
    assert!(moved.check_outputs("nixpkgs", &|_| None).is_err());
    assert_ne!(moved.path("nixpkgs").unwrap().base_name(), PATH);
    let other_hash = FIXED.replace("e3b0c442", "e3b0c443");
    assert!(
        Derivation::parse(other_hash.as_bytes())
            .unwrap()
            .check_outputs("x", &|_| None)
            .is_err()
    );
}

#[test]
fn refuses_second_spellings_and_trailing_bytes() {
    assert!(matches!(
        refused(CHANNEL, "],[],[", "], [],["),
        DerivationError::Syntax { .. }
    ));
    assert!(Derivation::parse(format!("{CHANNEL}\n").as_bytes()).is_err());
    assert!(Derivation::parse(&CHANNEL.as_bytes()[..CHANNEL.len() - 1]).is_err());
    assert!(matches!(
        refused(
            CHANNEL,
            r#"("name","nixpkgs"),"#,
            r#"("name","nixpkgs"),("name","nixpkgs"),"#
        ),
        DerivationError::Order { .. }
    ));
    assert!(matches!(
        refused(
            CHANNEL,
            r#"[("builder","builtin:unpack-channel"),"#,
            r#"[("z",""),("builder","builtin:unpack-channel"),"#
        ),
        DerivationError::Order { .. }
    ));
    assert!(matches!(refused(FIXED, r"\n", r"\x"), DerivationError::Syntax { .. }));
    // A raw line break and its escape are one string; only the escape is written by Nix.
    assert!(matches!(refused(FIXED, r"\n", "\n"), DerivationError::Syntax { .. }));
    assert!(matches!(
        refused(FIXED, "Derive(", "DrvWithVersion("),
        DerivationError::Syntax { .. }
    ));
}

#[test]
fn refuses_outputs_whose_paths_are_known_after_the_build_only() {
    let floating = refused(
        FIXED,
        r#""/nix/store/f0ns94ishydlc0w9q8q7jh7hgd0fz10p-x","r:sha256","e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855""#,
        r#""","r:sha256","""#,
    );
    assert!(matches!(floating, DerivationError::Floating { .. }));
    let deferred = refused(
        CHANNEL,
        r#""/nix/store/rw7inc1angha9y1sq6wsxk65crllgqr6-nixpkgs","","""#,
        r#""","","""#,
    );
    assert!(matches!(deferred, DerivationError::Floating { .. }));
    assert!(matches!(
        refused(FIXED, "r:sha256", "r:blake3"),
        DerivationError::Hash { .. }
    ));
    assert!(matches!(
        refused(FIXED, "r:sha256", "text:sha256"),
        DerivationError::Hash { .. }
    ));
    assert!(matches!(refused(FIXED, "e3b0", "E3b0"), DerivationError::Hash { .. }));
    assert!(matches!(refused(FIXED, "e3b0", "e3b"), DerivationError::Hash { .. }));
    assert!(matches!(
        refused(FIXED, r#"[("out","/nix"#, r#"[("dev","/nix"#),
        DerivationError::Outputs { .. }
    ));
}

#[test]
fn refuses_paths_that_only_look_like_store_paths() {
    for to in [
        "/nix/store/../zmbvi66bw1bkxw6s105285bbs9nrsgfi-nixexprs.tar.xz",
        "/tmp/x",
    ] {
        let from = "/nix/store/zmbvi66bw1bkxw6s105285bbs9nrsgfi-nixexprs.tar.xz";
        assert!(matches!(refused(CHANNEL, from, to), DerivationError::Path(_)));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_written_again_as_they_were(at in 0..CHANNEL.len(), byte: u8, cut in 0..FIXED.len()) {
        let mut bytes = CHANNEL.as_bytes().to_vec();
        bytes[at] = byte;
        bytes.splice(at..at, FIXED.as_bytes()[cut..].iter().copied().take(3));
        if let Ok(derivation) = Derivation::parse(&bytes) {
            prop_assert_eq!(derivation.to_aterm(), bytes);
        }
    }

    #[test]
    fn any_environment_is_read_as_it_was_written(name: Vec<u8>, value: Vec<u8>) {
        let mut derivation = Derivation::parse(FIXED.as_bytes()).unwrap();
        derivation.environment.insert(name, value);
        prop_assert_eq!(Derivation::parse(&derivation.to_aterm()).unwrap(), derivation);
    }
}
