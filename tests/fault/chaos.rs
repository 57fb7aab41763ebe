//! Injects the faults of `faults.rs` into a running `tributary serve`, and prints a table. Run by `scripts/chaos`.
//!
//! Exits with 1 where an answer was wrong, the unrelated flow was affected, or the service did not recover. The load goes only to
//! loopback and is bounded in time.

#![allow(
    dead_code,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "the harness fails by panicking, prints a table, and uses part of the tests' code"
)]

mod faults;
mod load;
mod rig;
#[path = "../support/mod.rs"]
mod support;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use faults::{DATA, Fault, NETWORKS, SERVERS, SERVICE, SERVICES, SESSIONS};
use load::{Load, Verdict, problems, wrong};
use rig::{Rig, wait_ready};
use support::{DOMAINS, Process};

/// The answers to wait for under each fault, and after it.
const ENOUGH: usize = 100;

/// A running `tributary serve`.
struct Service {
    _child: Process,
    address: SocketAddr,
}

impl Service {
    fn start(rig: &Rig) -> Self {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr()).expect("a port");
        let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
        command.args(["serve", "--bind", &address.to_string(), "--config"]).arg(rig.config());
        for graph in rig.graphs() {
            command.arg("--graph").arg(graph);
        }
        command.env_clear().envs(rig.environment());
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Self { _child: Process(child.expect("the service starts")), address }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let databases = SERVERS.iter().chain(&NETWORKS).chain(&SESSIONS).chain(&DATA);
    let mut all_passed = run("all domains are databases", &[], databases).await;
    all_passed &= run("oms_db is a service", &["oms_db"], &SERVICE).await;
    all_passed &= run("all domains are services", &DOMAINS, SERVICES.iter().chain(&SERVERS).chain(&DATA)).await;
    if all_passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Injects the faults where the domains of `served` are services. Returns whether no answer was wrong and all recovered.
async fn run(title: &str, served: &'static [&'static str], faults: impl IntoIterator<Item = &Fault>) -> bool {
    let rig = Rig::start_serving(served).await;
    let service = Service::start(&rig);
    let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().expect("a client");
    wait_ready(&client, service.address).await;
    let load = Load::purchasing(&client, service.address);
    let unrelated = Load::unrelated(&client, service.address);
    println!(
        "\n{title}\n{:<44} {:<12} {:>8} {:>7} {:>6} {:>11}  errors by code",
        "fault", "domain", "requests", "right", "wrong", "recovery ms"
    );
    let mut all_passed = true;
    for fault in faults {
        all_passed &= run_fault(fault, &rig, &load, &client, service.address).await;
    }
    load.stop().await;
    let unrelated = unrelated.stop().await;
    let failed = wrong(&unrelated);
    println!("unrelated flow: {} requests, {} failed", unrelated.len(), failed.len());
    all_passed && failed.is_empty()
}

/// Injects one fault and prints its line of the table. Returns whether no answer was wrong and the service recovered.
async fn run_fault(fault: &Fault, rig: &Rig, load: &Load, client: &reqwest::Client, address: SocketAddr) -> bool {
    let started = Instant::now();
    let held = fault.inject(rig).await;
    let injected = Instant::now();
    load.until(injected, Duration::from_secs(10), |answers| {
        answers.len() >= ENOUGH && (fault.transient || !problems(answers).is_empty())
    })
    .await;
    fault.undo(rig, held).await;
    let undone = Instant::now();
    let recovery = load.first_right(undone).await;
    wait_ready(client, address).await;
    let ready = Instant::now();
    let has_answers = load.until(ready, Duration::from_secs(10), |answers| answers.len() >= ENOUGH).await;

    let answers = load.since(started);
    let wrong = wrong(&answers);
    let right = answers.iter().filter(|answer| matches!(answer.verdict, Verdict::Right | Verdict::RightWithoutTrend));
    let errors: Vec<_> =
        problems(&answers).into_iter().map(|((code, domain), count)| format!("{code}/{domain}={count}")).collect();
    println!(
        "{:<44} {:<12} {:>8} {:>7} {:>6} {:>11}  {}",
        fault.name,
        fault.domain.unwrap_or("all"),
        answers.len(),
        right.count(),
        wrong.len(),
        recovery.map_or_else(|| "never".to_owned(), |took| took.as_millis().to_string()),
        errors.join(" ")
    );
    for answer in wrong.iter().take(3) {
        println!("    wrong: {answer}");
    }
    wrong.is_empty() && recovery.is_some() && has_answers
}
