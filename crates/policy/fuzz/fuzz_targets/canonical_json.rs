#![no_main]

#[path = "../checks/canonical_json.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| check::run(bytes));
