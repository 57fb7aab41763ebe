//! What the service costs and carries, beside what else could be done with the same databases.
//!
//! Four private PostgreSQL servers on this machine; at several numbers of clients, one after the other in one run: the service,
//! the service without coalescing, a service written by hand (`rival`), and pgbench on the same queries; then a batch.
//! `cargo bench --bench load` prints a table with ratios and writes it, with a plot, to `target/load-report/`. Nothing is
//! asserted: a figure is only good beside another of the same run. Load goes to loopback alone and is bounded in time:
//! `LOAD_SECONDS` for each line (default 4), `LOAD_PRODUCTS` products (default 100,000).

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
mod report;
mod rival;

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::clients::{batch, count, load};
use crate::databases::Databases;
use crate::report::{Line, Report, Side};

/// The numbers of clients that are tried.
const CLIENTS: [usize; 4] = [1, 8, 64, 256];
/// Inputs of the batch.
const BATCH: usize = 20_000;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    // The service written by hand is this program, started once more.
    if let Some(at) = arguments.iter().position(|argument| argument == "--rival") {
        rival::serve(&arguments[at + 1], &arguments[at + 2..]);
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(measure());
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
    let rival = Process::rival(&databases.urls());
    wait_listening(rival.address).await;
    println!("start to ready {:.1} ms, idle memory {idle:.1} MB", ready.as_secs_f64() * 1e3);
    let mut report = Report::new(ready, idle);
    for clients in CLIENTS {
        for (side, process) in [(Side::Service, &service), (Side::Plain, &plain), (Side::Rival, &rival)] {
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
    report.finish();
}

/// A server under load.
struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    fn service(databases: &Databases, coalesce: &str) -> Self {
        let address = free_address();
        let directory = std::env::temp_dir().join(format!("tributary-load-{}-{coalesce}.yaml", std::process::id()));
        std::fs::write(&directory, format!("domains: {{ defaults: {{ pool: {{ coalesce: {coalesce} }} }} }}\n"))
            .expect("written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
        command.current_dir(env!("CARGO_MANIFEST_DIR")).args(["serve", "--bind", &address.to_string()]);
        command.arg("--config").arg(&directory).env("RUST_LOG", "warn").stdin(Stdio::null());
        for ((variable, _), url) in databases.servers.iter().zip(databases.urls()) {
            command.env(variable, url);
        }
        Self { child: command.spawn().expect("the service starts"), address }
    }

    fn rival(urls: &[String]) -> Self {
        let address = free_address();
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.arg("--rival").arg(address.to_string()).args(urls).stdin(Stdio::null());
        Self { child: command.spawn().expect("the rival starts"), address }
    }

    /// Resident memory.
    fn memory_mb(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
        line.split_whitespace().next().and_then(|kb| kb.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
    }

    /// Processor time used so far, at the kernel's 100 ticks a second.
    fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
        let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        Duration::from_millis((ticks(11) + ticks(12)) * 10)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address")
}

async fn wait_ready(address: SocketAddr, path: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    for _ in 0..20_000 {
        if let Ok(mut stream) = TcpStream::connect(address).await {
            let mut answer = String::new();
            let asked = stream.write_all(request.as_bytes()).await;
            if asked.is_ok() && stream.read_to_string(&mut answer).await.is_ok() && answer.starts_with("HTTP/1.1 200") {
                return;
            }
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("the service does not become ready");
}

async fn wait_listening(address: SocketAddr) {
    for _ in 0..20_000 {
        if TcpStream::connect(address).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("nothing listens at {address}");
}
