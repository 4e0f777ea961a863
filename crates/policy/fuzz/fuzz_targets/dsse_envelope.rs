#![no_main]

#[path = "../checks/dsse_envelope.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| check::run(bytes));
