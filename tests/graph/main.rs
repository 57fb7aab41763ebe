//! Flow files as their authors meet them: YAML in, a plan or complaints out.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests fail by panicking"
)]

mod accepted;
mod certain;
mod listings;
#[path = "../support/mutants.rs"]
mod mutants;
mod mutations;
mod pictures;
mod reading;
mod refused;
mod requests;
