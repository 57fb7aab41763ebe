//! The rule language as its users meet it: files in, facts or complaints out.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    dead_code,
    reason = "tests fail by panicking"
)]

mod agreement;
mod limits;
mod lints;
mod mutations;
mod purchasing;
mod reader;
mod reference;
mod refused;
