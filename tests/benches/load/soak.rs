//! Whether the service stays as it is: a mixed load for a long time, its memory each second, its latency each minute.
//!
//! Clients ask for products that there are and for some that there are not; batches come and go; one client reads the answers
//! to its batch very slowly and leaves before the end; each minute a domain is restarted. `SOAK_SECONDS` (default 600, at
//! most a day) says how long; the report is in `target/soak-report/`. Memory counts as flat where, over the last two thirds
//! of the time, the line through it rises by less than `SOAK_KB` kB a minute (default 512).

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::clients::{Run, Target, ask, batch, count, lines};
use crate::databases::Databases;
use crate::plot::Plot;
use crate::process::{Process, wait_ready};
use crate::{number, report};

/// Products that there are.
const PRODUCTS: usize = 10_000;
/// Who may restart domains.
const TOKEN: &str = "the token of the soak, which lives as long as it does";
/// The domains, which are restarted in turn.
const DOMAINS: [&str; 4] = ["oms_db", "inventory_db", "supplier_db", "uom_db"];

/// One part of the time.
struct Window {
    found: Run,
    missing: Run,
    batched: usize,
    restarted: Result<&'static str, String>,
}

/// Measures and writes the report.
pub async fn measure() {
    let seconds = number("SOAK_SECONDS", 600).clamp(6, 86_400);
    let windows = (seconds / 60).max(3);
    let length = Duration::from_secs(seconds as u64) / u32::try_from(windows).expect("few windows");
    let databases = Databases::start(PRODUCTS).await;
    let environment = [databases.environment(), vec![("ADMIN_TOKEN".to_owned(), TOKEN.to_owned())]].concat();
    let service = Process::serve(None, "", &environment);
    let address = service.address;
    wait_ready(address, "/readyz").await;
    let load = tokio::spawn(async move {
        let mut done = Vec::new();
        for number in 0..windows {
            done.push(window(address, DOMAINS[number % DOMAINS.len()], length).await);
        }
        done
    });
    let (started, mut memory) = (Instant::now(), Vec::new());
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    while !load.is_finished() {
        tick.tick().await;
        memory.push((started.elapsed().as_secs_f64() / 60.0, service.memory_mb()));
    }
    let windows = load.await.expect("the load");
    write(&windows, &memory, service.peak_mb());
}

async fn window(address: SocketAddr, domain: &'static str, length: Duration) -> Window {
    let until = Instant::now() + length;
    let found = Target::new(address, "/purchasing/flow", PRODUCTS);
    let missing = Target { products: PRODUCTS + 1..2 * PRODUCTS, status: 404, ..found.clone() };
    let slow = tokio::spawn(slow_reader(address, until));
    let batches = tokio::spawn(batches(address, until));
    let restart = tokio::spawn(restart(address, domain, length / 2));
    let (found, missing) = tokio::join!(ask(&found, 8, length), ask(&missing, 2, length));
    slow.await.expect("the slow reader");
    Window {
        found,
        missing,
        batched: batches.await.expect("batches"),
        restarted: restart.await.expect("a restart").map(|()| domain),
    }
}

/// One batch after the other, with some time between them; how many decisions.
async fn batches(address: SocketAddr, until: Instant) -> usize {
    let (size, mut decisions) = (1_000, 0);
    while Instant::now() < until {
        batch(address, PRODUCTS, size).await;
        decisions += size;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    decisions
}

/// Reads some 25 kB a second of the answer to a batch that is larger than that, and leaves.
async fn slow_reader(address: SocketAddr, until: Instant) {
    let body = lines(PRODUCTS, 10_000);
    let length = body.len();
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let head = format!(
        "POST /purchasing/flow/batch HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/x-ndjson\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("a request is sent");
    let (mut reader, mut writer) = stream.split();
    let send = async {
        // The service stops reading when nobody reads its answers.
        drop(tokio::time::timeout_at(until.into(), writer.write_all(body.as_bytes())).await);
    };
    let receive = async {
        let mut buffer = [0; 512];
        while Instant::now() < until && reader.read(&mut buffer).await.is_ok_and(|read| read > 0) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::join!(send, receive);
}

/// Restarts a domain after a while, which no request must notice.
async fn restart(address: SocketAddr, domain: &str, after: Duration) -> Result<(), String> {
    tokio::time::sleep(after).await;
    let request = reqwest::Client::new().post(format!("http://{address}/admin/domains/{domain}/restart"));
    let answer = request.bearer_auth(TOKEN).send().await.map_err(|error| error.to_string())?;
    let (status, text) = (answer.status(), answer.text().await.unwrap_or_default());
    if status.is_success() { Ok(()) } else { Err(format!("{status} {text}")) }
}

fn write(windows: &[Window], memory: &[(f64, f64)], peak: f64) {
    let mut text = String::from(
        "| window | seconds | flows/s | p50 ms | p99 ms | not found/s | batched | restarted | errors |\n|---:|---:|---:|---:|---:|---:|---:|---|---:|\n",
    );
    for (number, window) in windows.iter().enumerate() {
        let Window { found, missing, batched, restarted } = window;
        let restarted =
            restarted.as_ref().map_or_else(|error| format!("FAILED: {error}"), |domain| (*domain).to_owned());
        writeln!(
            text,
            "| {} | {:.0} | {:.0} | {:.2} | {:.2} | {:.0} | {batched} | {restarted} | {} |",
            number + 1,
            found.took.as_secs_f64(),
            found.rate(),
            found.quantile(0.5),
            found.quantile(0.99),
            missing.rate(),
            found.failures.total() + missing.failures.total()
        )
        .expect("text");
    }
    let bound = count(number("SOAK_KB", 512));
    let settled = &memory[memory.len() / 3..];
    let slope = slope(settled) * 1024.0;
    let verdict = if slope < bound { "flat" } else { "NOT flat" };
    writeln!(
        text,
        "\nMemory is {verdict}: over the last two thirds of the time it changed by {slope:.0} kB a minute (less than {bound:.0} counts as flat), from {:.1} to {:.1} MB; at most it was {peak:.1} MB.",
        settled.first().map_or(0.0, |sample| sample.1),
        settled.last().map_or(0.0, |sample| sample.1),
    )
    .expect("text");
    println!("{text}");
    let directory = report::directory("soak");
    std::fs::write(directory.join("report.md"), text).expect("written");
    let csv: String = memory.iter().map(|(minute, mb)| format!("{minute:.3},{mb:.2}\n")).collect();
    std::fs::write(directory.join("memory.csv"), format!("minute,mb\n{csv}")).expect("written");
    let ends = windows.iter().scan(0.0, |end, window| {
        *end += window.found.took.as_secs_f64() / 60.0;
        Some((*end, window.found.quantile(0.99)))
    });
    draw("Memory of the service", "resident MB", "memory", memory.to_vec());
    draw("Latency of the service", "p99 ms", "latency", ends.collect());
    println!("written to {}", directory.display());
}

fn draw(title: &str, up: &str, file: &str, points: Vec<(f64, f64)>) {
    let plot = Plot { title, across: "minutes", up, logarithmic: false, curves: vec![("eight clients", points)] };
    plot.write(&report::directory("soak").join(format!("{file}.svg")));
}

/// How much the straight line through these points (least squares) rises by unit.
fn slope(points: &[(f64, f64)]) -> f64 {
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count(points.len().max(1));
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let (over, under) = points
        .iter()
        .fold((0.0, 0.0), |(over, under), (px, py)| ((px - x).mul_add(py - y, over), (px - x).mul_add(px - x, under)));
    if under > 0.0 { over / under } else { 0.0 }
}
