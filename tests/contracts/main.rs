//! What machines read: the OpenAPI document against what is really answered, and the schemas of files against the files.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod answers;
mod decimals;
mod deployed;
mod document;
mod files;
mod generated;
mod keys;
mod live;
#[path = "../support/mod.rs"]
mod support;
