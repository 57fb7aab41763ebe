//! Rule files, for the fuzzer.

#![no_main]

#[path = "../targets/grl.rs"]
mod grl;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| grl::run(bytes));
