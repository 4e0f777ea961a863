#![no_main]

#[path = "../checks/names_and_times.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| check::run(bytes));
