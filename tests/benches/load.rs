//! What the service costs and carries, on four private PostgreSQL servers on this machine: start to ready, idle memory,
//! then flows a second and latency at several numbers of clients.
//!
//! `cargo bench --bench load` prints a table; nothing is asserted, since a figure is only good beside another of the same
//! run. Load goes to loopback alone and is bounded in time. `LOAD_SECONDS` sets how long each line takes (default 4).

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    reason = "a benchmark fails by panicking and prints what it measured"
)]

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tributary::server::{DATABASES, Server, sql};

/// The numbers of clients that are tried.
const CLIENTS: [usize; 4] = [1, 8, 64, 256];
/// Products in each database.
const PRODUCTS: usize = 10_000;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let servers = databases().await;
    let address = free_address();
    let started = Instant::now();
    let service = Service::start(address, &servers);
    wait_ready(address).await;
    let ready = started.elapsed();
    tokio::time::sleep(Duration::from_secs(2)).await;
    println!("start to ready  {:>8.1} ms", ready.as_secs_f64() * 1e3);
    println!("idle memory     {:>8.1} MB", service.memory_mb());
    println!();
    println!(
        "{:>8} {:>10} {:>9} {:>9} {:>9} {:>12} {:>8}",
        "clients", "flows/s", "p50 ms", "p99 ms", "errors", "CPU us/flow", "MB"
    );
    let seconds = std::env::var("LOAD_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(4);
    for clients in CLIENTS {
        load(address, clients, Duration::from_secs(1)).await;
        let before = service.cpu();
        let run = load(address, clients, Duration::from_secs(seconds)).await;
        let cpu = service.cpu().saturating_sub(before).as_secs_f64() * 1e6 / run.latencies.len().max(1) as f64;
        println!(
            "{clients:>8} {:>10.0} {:>9.2} {:>9.2} {:>9} {cpu:>12.0} {:>8.1}",
            run.latencies.len() as f64 / run.took.as_secs_f64(),
            run.quantile(0.50),
            run.quantile(0.99),
            run.errors,
            service.memory_mb(),
        );
    }
}

/// Four servers, each with its database of products.
async fn databases() -> Vec<(String, Server)> {
    let mut servers = Vec::new();
    for database in DATABASES {
        let server = Server::disposable(&[("max_connections", "100"), ("shared_buffers", "64MB")]).expect("a server");
        sql::create_database(&server.url("postgres"), database.name).await.expect("a database");
        let url = server.url(database.name);
        sql::run(&url, database.file, database.sql).await.expect("its table");
        sql::run(&url, "products", &products(database.name)).await.expect("its rows");
        servers.push((format!("{}_URL", database.name.to_uppercase()), server));
    }
    servers
}

fn products(database: &str) -> String {
    let id = "'B-' || lpad(n::text, 6, '0')";
    let (table, columns) = match database {
        "oms_db" => ("oms_history (product_id, avg_daily_demand, trend)", "50 + n % 100, 'stable'"),
        "inventory_db" => {
            ("inventory (product_id, available_qty, reserved_qty, warehouse_location)", "n % 700, 0, 'WH-A-01'")
        }
        "supplier_db" => (
            "suppliers (product_id, supplier_name, unit_price, moq, lead_time)",
            "'ABC Supplies Co.', 1.5 + n % 90, 100, 7",
        ),
        _ => ("uom_conversions (product_id, from_uom, to_uom, conversion_factor)", "'pieces', 'box', 12"),
    };
    format!("INSERT INTO {table} SELECT {id}, {columns} FROM generate_series(1, {PRODUCTS}) n; ANALYZE")
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address")
}

struct Service(Child);

impl Service {
    fn start(address: SocketAddr, servers: &[(String, Server)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
        command.current_dir(env!("CARGO_MANIFEST_DIR")).args(["serve", "--bind", &address.to_string()]);
        command.env("RUST_LOG", "warn").stdin(Stdio::null());
        for ((variable, server), database) in servers.iter().zip(DATABASES) {
            command.env(variable, server.url(database.name));
        }
        Self(command.spawn().expect("the service starts"))
    }

    /// Resident memory.
    fn memory_mb(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
        line.split_whitespace().next().and_then(|kb| kb.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
    }

    /// Processor time used so far, at the kernel's 100 ticks a second.
    fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
        let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        Duration::from_millis((ticks(11) + ticks(12)) * 10)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

async fn wait_ready(address: SocketAddr) {
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    for _ in 0..10_000 {
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

struct Run {
    latencies: Vec<Duration>,
    errors: usize,
    took: Duration,
}

impl Run {
    fn quantile(&self, quantile: f64) -> f64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index below the length")]
        let index = ((self.latencies.len() as f64 * quantile) as usize).min(self.latencies.len().saturating_sub(1));
        self.latencies.get(index).map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
    }
}

async fn load(address: SocketAddr, clients: usize, time: Duration) -> Run {
    let started = Instant::now();
    let until = started + time;
    let tasks: Vec<_> = (0..clients).map(|number| tokio::spawn(client(address, number, until))).collect();
    let (mut latencies, mut errors) = (Vec::new(), 0);
    for task in tasks {
        let (own, failed) = task.await.expect("a client");
        latencies.extend(own);
        errors += failed;
    }
    let took = started.elapsed();
    latencies.sort_unstable();
    Run { latencies, errors, took }
}

/// One client on one connection, a request after the other.
async fn client(address: SocketAddr, number: usize, until: Instant) -> (Vec<Duration>, usize) {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.set_nodelay(true).expect("a socket");
    let (mut latencies, mut errors, mut product, mut buffer) = (Vec::new(), 0, number * 37, Vec::with_capacity(4096));
    while Instant::now() < until {
        product = product % PRODUCTS + 1;
        let body = format!("{{\"product_id\":\"B-{product:06}\"}}");
        let length = body.len();
        let request = format!(
            "POST /purchasing/flow HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        let asked = Instant::now();
        stream.write_all(request.as_bytes()).await.expect("a request is sent");
        if read_answer(&mut stream, &mut buffer).await {
            latencies.push(asked.elapsed());
        } else {
            errors += 1;
        }
    }
    (latencies, errors)
}

/// Reads one answer; whether its status is 200.
async fn read_answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> bool {
    buffer.clear();
    loop {
        stream.read_buf(buffer).await.expect("an answer");
        let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&buffer[..end]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
        let length: usize = length.trim().parse().expect("a length");
        while buffer.len() < end + 4 + length {
            stream.read_buf(buffer).await.expect("an answer");
        }
        return head.starts_with("http/1.1 200");
    }
}
