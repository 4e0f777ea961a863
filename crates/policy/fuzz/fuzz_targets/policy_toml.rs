#![no_main]

#[path = "../checks/policy_toml.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| check::run(bytes));
