//! What a decision writes, it writes once for each key, and nothing is written by accident.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod approvals;
mod checked;
mod conflicts;
mod fixture;
mod keys;
mod never;
mod replicas;

#[path = "../support/mod.rs"]
mod support;
