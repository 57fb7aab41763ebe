//! Columns, for the fuzzer.

#![no_main]

#[path = "../targets/rows.rs"]
mod rows;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rows::run(bytes));
