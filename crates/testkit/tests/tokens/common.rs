//! A world in which alice signs with a token.

use testkit::{
    TokenBench, World,
    token_bench::VirtualCard,
    world::{Output, PEOPLE},
};

/// Alice's token.
pub(crate) const ALICES: &str = "00000001";
/// Another one.
pub(crate) const SPARE: &str = "00000002";

/// A world with a chain, alice's token plugged in; bob and carol sign with keys in files.
pub(crate) struct Tokens {
    pub(crate) world: World,
    pub(crate) bench: TokenBench,
    /// Alice's, unless it was pulled out.
    pub(crate) card: Option<VirtualCard>,
}

impl Tokens {
    /// With a chain, in which something waits for alice's signature. `options` are the card's once it is enrolled.
    pub(crate) fn new(options: &[&str]) -> Option<Self> {
        Self::enrolled_with(&[], options)
    }

    /// As [`Self::new`], enrolled with these arguments.
    pub(crate) fn enrolled_with(enroll: &[&str], options: &[&str]) -> Option<Self> {
        let world = World::without_chain();
        let bench = TokenBench::start(&world)?;
        let card = bench.plug(&world, 0, ALICES, &[]);
        world.enroll("alice", ALICES, enroll);
        std::fs::write(world.path("policy.toml"), world.policy(&PEOPLE)).unwrap();
        world.start_chain();
        let tip = world.git("upstream", &["rev-parse", "HEAD"]);
        world
            .assay("alice", &["import", "--channel", "unstable", "--baseline", tip.trim()])
            .ok();
        let mut tokens = Self {
            world,
            bench,
            card: Some(card),
        };
        if !options.is_empty() {
            tokens.plug_again(options);
        }
        Some(tokens)
    }

    /// Pulls alice's token out and plugs it in again, with other options.
    pub(crate) fn plug_again(&mut self, options: &[&str]) {
        self.card.take();
        self.card = Some(self.bench.plug(&self.world, 0, ALICES, options));
    }

    /// Alice signs, with these PINs.
    pub(crate) fn sign(&self, pins: &[&str]) -> Output {
        self.world.assay_as("alice", &["sign", "--yes"], pins)
    }

    /// How many signatures alice's token says it has made.
    pub(crate) fn counter(&self) -> u64 {
        self.status()["signatures"].as_u64().unwrap()
    }

    pub(crate) fn status(&self) -> serde_json::Value {
        let card = format!("FFFE:{ALICES}");
        self.world.assay("alice", &["token", "status", "--card", &card]).ok()
    }

    /// How many files the ledger has.
    pub(crate) fn ledger(&self) -> usize {
        self.world.ledger_files().len()
    }
}

/// Expects that a command fails with this stable code, and says what to do next.
pub(crate) fn fails(output: &Output, code: &str) {
    assert_eq!(output.json["code"], code, "{} {}", output.json, output.stderr);
    assert_eq!(output.code, Some(3), "{}", output.stderr);
    assert!(
        output.json["next"].as_str().is_some_and(|next| !next.is_empty()),
        "{}",
        output.json
    );
}
