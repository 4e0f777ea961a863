//! Test keys, temporary repositories, and the worlds that tests are played in. Development only.

pub mod bench;
pub mod chain;
pub mod git;
pub mod maker;
pub mod peer;
pub mod people;
pub mod shattered;
pub mod tarball;
pub mod token_bench;
pub mod world;

pub use chain::TestChain;
pub use git::Repo;
pub use people::TestPerson;
pub use tarball::ChannelTarball;
pub use token_bench::TokenBench;
pub use world::World;
