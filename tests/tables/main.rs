//! Decision tables as their users meet them: files in, results, explanations and complaints out.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helping functions too"
)]

mod agreement;
mod conformance;
mod decisions;
mod flows;
mod models;
mod mutations;
mod proofs;
mod reading;
mod reference;
mod refused;
mod workbooks;
