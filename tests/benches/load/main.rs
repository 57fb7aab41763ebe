//! What the service costs and carries, beside what else could be done with the same databases.
//!
//! Four private PostgreSQL servers on this machine; at several numbers of clients, one after the other in one run: the service,
//! the service without coalescing, a service written by hand (`rival`), and pgbench on the same queries; then a batch.
//! `cargo bench --bench load` prints a table with ratios and writes it, with a plot, to `target/load-report/`. Nothing is
//! asserted: a figure is only good beside another of the same run. Load goes to loopback alone and is bounded in time:
//! `LOAD_SECONDS` for each line (default 4), `LOAD_PRODUCTS` products (default 100,000).
//!
//! `cargo bench --bench load -- growth`, `-- soak` and `-- lanes` measure something else, with the same clients: see the
//! modules of these names.

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
mod growth;
mod lanes;
mod plot;
mod process;
mod report;
mod rival;
mod soak;

use std::time::{Duration, Instant};

use crate::clients::{batch, count, load};
use crate::databases::Databases;
use crate::process::{Process, wait_listening, wait_ready};
use crate::report::{Line, Report, Side};

/// The numbers of clients that are tried.
const CLIENTS: [usize; 4] = [1, 8, 64, 256];
/// Inputs of the batch.
const BATCH: usize = 20_000;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    // The service written by hand is this program, started once more.
    for (argument, prepares) in process::RIVALS {
        if let Some(at) = arguments.iter().position(|given| given == argument) {
            rival::serve(&arguments[at + 1], &arguments[at + 2..], prepares);
            return;
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let wanted = |name: &str| arguments.iter().skip(1).any(|argument| argument == name);
    runtime.block_on(async {
        if wanted("growth") {
            growth::measure().await;
        } else if wanted("soak") {
            soak::measure().await;
        } else if wanted("lanes") {
            lanes::measure().await;
        } else {
            measure().await;
        }
    });
}

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

async fn measure() {
    let products = number("LOAD_PRODUCTS", 100_000);
    let seconds = Duration::from_secs(number("LOAD_SECONDS", 4) as u64);
    let databases = Databases::start(products).await;
    let started = Instant::now();
    let service = Process::service(&databases, "auto");
    wait_ready(service.address, "/readyz").await;
    let ready = started.elapsed();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let idle = service.memory_mb();
    let plain = Process::service(&databases, "off");
    wait_ready(plain.address, "/readyz").await;
    let [rival, artless] = process::RIVALS.map(|(argument, _)| Process::rival(&databases.urls(), argument));
    wait_listening(rival.address).await;
    wait_listening(artless.address).await;
    println!("start to ready {:.1} ms, idle memory {idle:.1} MB", ready.as_secs_f64() * 1e3);
    let mut report = Report::new(ready, idle);
    for clients in CLIENTS {
        let sides =
            [(Side::Service, &service), (Side::Plain, &plain), (Side::Rival, &rival), (Side::Artless, &artless)];
        for (side, process) in sides {
            load(process.address, clients, products, Duration::from_secs(1)).await;
            let before = process.cpu();
            let run = load(process.address, clients, products, seconds).await;
            let cpu = process.cpu().saturating_sub(before).as_secs_f64() * 1e6 / count(run.latencies.len().max(1));
            report.add(Line::of(side, clients, &run, cpu, process.memory_mb()));
        }
        if let Some(rate) = databases.pgbench(clients, seconds) {
            report.add(Line::rate(Side::Pgbench, clients, rate));
        }
        report.print(clients);
    }
    let rate = batch(service.address, products, BATCH).await;
    report.add(Line::rate(Side::Batch, BATCH, rate));
    report.note(&lanes::table(seconds).await);
    report.finish();
}
