//! Test keys, temporary repositories, and the worlds that tests are played in. Development only.

pub mod people;

pub use people::TestPerson;
