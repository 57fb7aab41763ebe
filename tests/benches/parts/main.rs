//! What the parts of the service cost, each alone: rules, the walk over a graph, rows to values, a decision to JSON.
//!
//! `cargo bench --bench parts` (an argument selects by name) prints what criterion says, a table of it, and writes that to
//! `target/parts-report/`. Rows come from a private PostgreSQL server, everything else needs none. Nothing is asserted but
//! that what is measured does what it should.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a benchmark fails by panicking and prints what it measured"
)]

mod decisions;
mod rows;
mod rules;
#[path = "../../support/server/mod.rs"]
mod server;
mod summary;
mod walk;

use std::time::Duration;

use criterion::Criterion;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .output_directory(&summary::directory().join("criterion"))
        .configure_from_args();
    rules::measure(&mut criterion);
    walk::measure(&mut criterion);
    decisions::measure(&mut criterion);
    rows::measure(&mut criterion);
    criterion.final_summary();
    summary::write();
}
