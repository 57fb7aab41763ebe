//! What the fuzzer begins with, and whatever it once found, through the properties that it tries: so that they hold wherever
//! the tests run, and need neither the fuzzer nor its compiler. See `tests/fuzz/run`.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]
#![allow(unreachable_pub, reason = "the fuzzer's programs use them too")]

use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

#[path = "fuzz/targets/answer.rs"]
mod answer;
#[path = "fuzz/targets/body.rs"]
mod body;
#[path = "fuzz/targets/graph.rs"]
mod graph;
#[path = "fuzz/targets/grl.rs"]
mod grl;
#[path = "fuzz/targets/rows.rs"]
mod rows;

/// The files below a directory of the repository.
fn files(directory: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(directory)).expect("a directory");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.is_file());
    files.sort();
    files
}

/// Tries each file of these directories, and names those that fail.
fn try_all(run: fn(&[u8]), directories: &[&str]) {
    let files: Vec<PathBuf> = directories.iter().flat_map(|directory| files(directory)).collect();
    assert!(files.len() >= 10, "too few seeds in {directories:?}");
    let fails = |file: &PathBuf| {
        let bytes = std::fs::read(file).expect("readable");
        catch_unwind(|| run(&bytes)).is_err()
    };
    let failed: Vec<PathBuf> = files.into_iter().filter(fails).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn rule_files_are_refused_or_read_and_run() {
    try_all(grl::run, &["tests/fuzz/seeds/grl", "tests/grl/refused", "tests/grl", "rules"]);
}

#[test]
fn flow_files_are_refused_or_compiled() {
    let others = ["tests/graph/refused", "tests/graph/accepted", "tests/graph/warned"];
    try_all(graph::run, &[&["tests/fuzz/seeds/graph"], &others[..]].concat());
}

#[test]
fn bodies_are_refused_or_read_and_batches_cut_where_their_elements_end() {
    try_all(body::run, &["tests/fuzz/seeds/body"]);
}

#[test]
fn columns_are_refused_or_values_that_can_be_sent_back() {
    try_all(rows::run, &["tests/fuzz/seeds/rows"]);
}

#[test]
fn answers_are_refused_or_rows_of_the_declared_types() {
    try_all(answer::run, &["tests/fuzz/seeds/answer"]);
}
