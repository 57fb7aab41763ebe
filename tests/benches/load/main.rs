//! What the service costs and carries, beside what else could be done with the same databases.
//!
//! Four private PostgreSQL servers on this machine; at several numbers of clients, one after the other in one run:
//! the service, the service without coalescing, services written by hand (`rival`, `pinned`), and pgbench on the
//! same queries; then a batch, and flows of one node and of many. `cargo bench --bench load` prints a table with
//! ratios and writes it, with a plot, to `target/load-report/`. Nothing is asserted: a figure is only good beside
//! another of the same run. Load goes to loopback alone and is bounded in time: `LOAD_SECONDS` for each measurement
//! (default 2), `LOAD_ROUNDS` measurements of each line, of which the report has the median (default 3),
//! `LOAD_PRODUCTS` products (default 100,000). With the defaults a run takes about five minutes.
//!
//! `cargo bench --bench load -- growth`, `-- soak`, `-- mixed`, `-- nodes`, `-- keys`, `-- effects`, `-- domains` and `-- tls` measure
//! something else, with the same clients: see the modules of these names; the last two are in `ratios`.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::format_collect,
    reason = "a benchmark fails by panicking and prints what it measured"
)]

mod clients;
mod databases;
mod effects;
mod growth;
mod keys;
mod mixed;
mod nodes;
mod pinned;
mod plot;
mod process;
mod ratios;
mod report;
mod rival;
mod sample;
#[path = "../../support/server/mod.rs"]
mod server;
mod soak;

use std::time::{Duration, Instant};

use crate::clients::{Target, agree, ask, batch};
use crate::databases::Databases;
use crate::pinned::Waiting;
use crate::process::{Process, Rival, wait_listening, wait_ready};
use crate::report::{Line, Report, Side};
use crate::rival::Prepares;
use crate::sample::{Sample, median};

/// The numbers of clients that are tried.
const CLIENTS: [usize; 4] = [1, 8, 64, 256];
/// What the service is compared with, beside itself and pgbench.
const RIVALS: [(Side, Rival); 4] = [
    (Side::Rival, Rival::Pooled(Prepares::Once)),
    (Side::Artless, Rival::Pooled(Prepares::Always)),
    (Side::Pinned, Rival::Pinned(Waiting::Together)),
    (Side::PinnedPlain, Rival::Pinned(Waiting::Apart)),
];
/// Inputs of the batch.
const BATCH: usize = 20_000;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    // A service written by hand is this program, started once more.
    if Rival::serves(&arguments) {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let wanted = |name: &str| arguments.iter().skip(1).any(|argument| argument == name);
    runtime.block_on(async {
        if wanted("growth") {
            growth::measure().await;
        } else if wanted("soak") {
            soak::measure().await;
        } else if wanted("mixed") {
            mixed::measure().await;
        } else if wanted("nodes") {
            nodes::measure().await;
        } else if wanted("keys") {
            keys::measure().await;
        } else if wanted("domains") {
            ratios::domains().await;
        } else if wanted("services") {
            ratios::services().await;
        } else if wanted("effects") {
            effects::measure().await;
        } else if wanted("tls") {
            ratios::tls().await;
        } else {
            measure().await;
        }
    });
}

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// How many times each line is measured; the report has the medians.
fn rounds() -> usize {
    number("LOAD_ROUNDS", 3).max(1)
}

async fn measure() {
    let products = number("LOAD_PRODUCTS", 100_000);
    let seconds = Duration::from_secs(number("LOAD_SECONDS", 2) as u64);
    let databases = Databases::start(products).await;
    let started = Instant::now();
    let service = Process::service(&databases, "auto");
    wait_ready(service.address, "/readyz").await;
    let ready = started.elapsed();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut report = Report::new(ready, service.memory_mb(), rounds());
    let plain = Process::service(&databases, "off");
    wait_ready(plain.address, "/readyz").await;
    let mut sides = vec![(Side::Service, service), (Side::Plain, plain)];
    for (side, rival) in RIVALS {
        let process = Process::rival(rival, &databases.urls(), None);
        wait_listening(process.address).await;
        sides.push((side, process));
    }
    // The first two are the service, which answers in more detail.
    agree(&sides[2..].iter().map(|(_, process)| process.address).collect::<Vec<_>>(), products).await;
    for clients in CLIENTS {
        compare(&mut report, &databases, &sides, clients, seconds).await;
        report.print(clients);
    }
    let mut batches = Vec::new();
    for _ in 0..rounds() {
        batches.push(batch(sides[0].1.address, products, BATCH).await);
    }
    report.add(Line::rate(Side::Batch, BATCH, median(batches.into_iter())));
    drop(sides);
    report.note_batch(CLIENTS[3]);
    report.note(&nodes::tables(seconds).await);
    report.note(&mixed::table(seconds).await);
    report.finish();
}

/// Measures all sides with so many clients, one after the other in each round.
async fn compare(
    report: &mut Report,
    databases: &Databases,
    sides: &[(Side, Process)],
    clients: usize,
    time: Duration,
) {
    let mut samples = vec![Vec::new(); sides.len()];
    let mut rates = Vec::new();
    for round in 0..rounds() {
        for ((_, process), samples) in sides.iter().zip(&mut samples) {
            let target = Target::new(process.address, "/purchasing/flow", databases.products);
            let warm_up = Duration::from_millis(if round == 0 { 1_000 } else { 200 });
            ask(&target, clients, warm_up).await;
            samples.push(Sample::take(process, &target, clients, time).await);
        }
        rates.extend(databases.pgbench(clients, time));
    }
    for ((side, _), samples) in sides.iter().zip(&samples) {
        report.add(Line::of(*side, clients, Sample::median(samples)));
    }
    if !rates.is_empty() {
        report.add(Line::rate(Side::Pgbench, clients, median(rates.into_iter())));
    }
}
