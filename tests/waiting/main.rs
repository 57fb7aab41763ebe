//! Rules that wait for a missing fact: no answer depends on what the fact would have been.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod decided;
mod flows;
mod language;
mod reported;
mod roots;
mod skipped;
mod soundness;
