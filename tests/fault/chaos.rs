//! Injects the faults of `faults.rs` into a running `tributary serve`, and prints a table. With the argument `once` it has effects written
//! while the service and the database are killed again and again (`once`), and prints another one. Run by `scripts/chaos`.
//!
//! Exits with 1 where an answer was wrong, the unrelated flow was affected, the service did not recover, or an effect did not happen
//! exactly once. The load goes only to loopback and is bounded in time.

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
mod once;
mod rig;
#[path = "../support/mod.rs"]
mod support;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use faults::{DATA, Fault, NETWORKS, SERVERS, SERVICE, SERVICES, SESSIONS};
use load::{Load, Verdict, problems, wrong};
use once::{Extent, Isolation, prove};
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
    let wants = |what: &str| std::env::args().skip(1).any(|argument| argument == what);
    let mut all_passed = true;
    if !wants("once") {
        all_passed &= inject().await;
    }
    if !wants("faults") {
        all_passed &= effects().await;
    }
    if all_passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Injects all faults of `faults.rs`.
async fn inject() -> bool {
    let databases = SERVERS.iter().chain(&NETWORKS).chain(&SESSIONS).chain(&DATA);
    let mut all_passed = run("all domains are databases", &[], databases).await;
    all_passed &= run("oms_db is a service", &["oms_db"], &SERVICE).await;
    all_passed & run("all domains are services", &DOMAINS, SERVICES.iter().chain(&SERVERS).chain(&DATA)).await
}

/// Has effects written, by one service and by two, while everything fails. Returns whether each happened exactly once.
async fn effects() -> bool {
    let keys = std::env::var("CHAOS_KEYS").ok().and_then(|keys| keys.parse().ok()).unwrap_or(20_000);
    let mut all_passed = true;
    for (services, isolation) in [(1, Isolation::ReadCommitted), (2, Isolation::Serializable)] {
        println!("\neffects: {services} services, {isolation:?}");
        let extent = Extent { services, isolation, clients: 32, keys: keys / 2, time: Duration::from_millis(1500) };
        let findings = prove(extent, |line| println!("{line}")).await;
        println!("{}", findings.summary);
        for wrong in &findings.wrong {
            println!("    wrong: {wrong}");
        }
        all_passed &= findings.wrong.is_empty();
    }
    all_passed
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
