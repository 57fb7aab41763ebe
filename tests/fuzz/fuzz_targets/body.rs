//! Bodies, for the fuzzer.

#![no_main]

#[path = "../targets/body.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::run(bytes));
