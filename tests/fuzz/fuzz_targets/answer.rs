//! Answers of REST interfaces, for the fuzzer.

#![no_main]

#[path = "../targets/answer.rs"]
mod answer;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| answer::run(bytes));
