//! The rule language as its users meet it: files in, facts or complaints out.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helping functions too"
)]

mod agreement;
mod certain;
mod decisions;
mod dialect;
mod functions;
mod intervals;
mod limits;
mod lints;
#[path = "../support/mutants.rs"]
mod mutants;
mod mutations;
mod policies;
mod powers;
mod proofs;
mod purchasing;
mod reader;
mod reference;
mod refused;
