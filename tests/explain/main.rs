//! Decisions are explained, recorded, replayed, and tested without databases.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

#[path = "../support/mod.rs"]
mod support;

mod agreement;
mod commands;
mod coverage;
mod effects;
mod explained;
mod flip;
mod generated;
mod honest;
mod properties;
mod record_files;
mod recorded;
mod requests;
mod smallest;
mod what_if;
mod written;
