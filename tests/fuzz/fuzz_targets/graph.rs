//! Flow files, for the fuzzer.

#![no_main]

#[path = "../targets/graph.rs"]
mod graph;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| graph::run(bytes));
