//! What happens as flows grow: nodes, domains, rules, inputs of a batch.
//!
//! Each point is a service of its own. `GROWTH_SECONDS` for each of its two loads (default 2); `GROWTH_MOST` cuts the
//! curves (default: up to 500 nodes, 16 domains, 10,000 rules, 100,000 inputs). A table and plots are written to
//! `target/growth-report/`.

use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::server::{Server, sql};

use crate::clients::{Target, ask, batch, count};
use crate::databases::Databases;
use crate::plot::Plot;
use crate::process::{Process, wait_ready};
use crate::{number, report};

/// Products of the growing flows.
pub const PRODUCTS: usize = 1_000;
/// Clients, where the rate is measured.
const CLIENTS: usize = 8;

const NODES: [usize; 9] = [1, 2, 5, 10, 20, 50, 100, 200, 500];
const DOMAINS: [usize; 5] = [1, 2, 4, 8, 16];
const RULES: [usize; 7] = [10, 30, 100, 300, 1_000, 3_000, 10_000];
const INPUTS: [usize; 6] = [1, 10, 100, 1_000, 10_000, 100_000];

/// Databases with a table of products each.
pub struct Fleet {
    /// Kept running.
    _servers: Vec<Server>,
    /// The URL of each database.
    pub urls: Vec<String>,
}

impl Fleet {
    /// So many servers with a database each.
    pub async fn servers(count: usize) -> Self {
        let servers: Vec<_> = (0..count).map(|_| server()).collect();
        let mut urls = Vec::new();
        for server in &servers {
            urls.push(database(server, "d0").await);
        }
        Self { _servers: servers, urls }
    }

    /// One server with so many databases.
    async fn databases(count: usize) -> Self {
        let server = server();
        let mut urls = Vec::new();
        for number in 0..count {
            urls.push(database(&server, &format!("d{number}")).await);
        }
        Self { _servers: vec![server], urls }
    }

    /// The variables that tell the service of the first so many.
    pub fn environment(&self, count: usize) -> Vec<(String, String)> {
        let urls = self.urls.iter().take(count).enumerate();
        urls.map(|(number, url)| (format!("D{number}_DB_URL"), url.clone())).collect()
    }
}

fn server() -> Server {
    Server::disposable(&[("max_connections", "400"), ("shared_buffers", "8MB")]).expect("a server")
}

async fn database(server: &Server, name: &str) -> String {
    sql::create_database(&server.url("postgres"), name).await.expect("a database");
    let url = server.url(name);
    let table = format!(
        "CREATE TABLE stock (product_id text PRIMARY KEY, quantity int NOT NULL);
         INSERT INTO stock SELECT 'B-' || lpad(n::text, 6, '0'), n % 10 FROM generate_series(1, {PRODUCTS}) n; ANALYZE"
    );
    sql::run(&url, "stock", &table).await.expect("its table");
    url
}

/// What was measured at one size.
struct Point {
    size: usize,
    ready_ms: f64,
    p50: f64,
    p99: f64,
    rate: f64,
    memory: f64,
    errors: usize,
}

/// What was measured as one thing grew.
struct Curve {
    name: &'static str,
    points: Vec<Point>,
}

/// Measures everything and writes the report.
pub async fn measure() {
    let seconds = Duration::from_secs(number("GROWTH_SECONDS", 2) as u64);
    let most = number("GROWTH_MOST", usize::MAX);
    let directory = report::directory("growth");
    let mut text = format!("p50 and p99 with one client, flows a second with {CLIENTS}, resident memory after both.\n");
    let servers = Fleet::servers(16).await;
    let databases = Fleet::databases(16).await;

    let one =
        curve("one domain", &NODES, most, seconds, |nodes| (flow("growth", nodes, 1, false), None, &servers, 1)).await;
    let four =
        curve("four domains", &NODES, most, seconds, |nodes| (flow("growth", nodes, 4, false), None, &servers, 4))
            .await;
    tell(&mut text, &directory, "nodes", &[one, four]);

    let apart = curve("a server each", &DOMAINS, most, seconds, |count| {
        (flow("growth", count, count, false), None, &servers, count)
    })
    .await;
    let together = curve("one server", &DOMAINS, most, seconds, |count| {
        (flow("growth", count, count, false), None, &databases, count)
    })
    .await;
    tell(&mut text, &directory, "domains", &[apart, together]);

    let rules = curve("one rule fires", &RULES, most, seconds, |count| {
        (flow("growth", 1, 1, true), Some(rules(count)), &servers, 1)
    })
    .await;
    tell(&mut text, &directory, "rules", &[rules]);
    drop((servers, databases));

    batches(&mut text, &directory, most).await;
    println!("{text}");
    std::fs::write(directory.join("report.md"), &text).expect("written");
    println!("written to {}", directory.display());
}

/// A flow file, its rules, and the first so many of these databases.
type Setting<'a> = (String, Option<String>, &'a Fleet, usize);

async fn curve<'a>(
    name: &'static str,
    sizes: &[usize],
    most: usize,
    time: Duration,
    setting: impl Fn(usize) -> Setting<'a>,
) -> Curve {
    let mut points = Vec::new();
    for size in sizes.iter().copied().filter(|size| *size <= most) {
        let (flow, rules, fleet, domains) = setting(size);
        let point = point(size, &flow, rules.as_deref(), &fleet.environment(domains), time).await;
        println!("{name}, {size}: p50 {:.2} ms, {:.0} flows/s, {:.1} MB", point.p50, point.rate, point.memory);
        points.push(point);
    }
    Curve { name, points }
}

async fn point(
    size: usize,
    flow: &str,
    rules: Option<&str>,
    environment: &[(String, String)],
    time: Duration,
) -> Point {
    let directory = tempfile::tempdir().expect("a directory");
    let graph = directory.path().join("growth.yaml");
    std::fs::write(&graph, flow).expect("written");
    if let Some(rules) = rules {
        std::fs::write(directory.path().join("growth.grl"), rules).expect("written");
    }
    let started = Instant::now();
    let service = Process::serve(Some(&graph), "", environment);
    wait_ready(service.address, "/readyz").await;
    let ready_ms = started.elapsed().as_secs_f64() * 1e3;
    let target = Target::new(service.address, "/flows/growth", PRODUCTS);
    ask(&target, CLIENTS, time / 2).await;
    let lone = ask(&target, 1, time).await;
    let busy = ask(&target, CLIENTS, time).await;
    Point {
        size,
        ready_ms,
        p50: lone.quantile(0.5),
        p99: lone.quantile(0.99),
        rate: busy.rate(),
        memory: service.memory_mb(),
        errors: lone.failures.total() + busy.failures.total(),
    }
}

/// What each node of the growing flows asks, of one product.
pub const QUERY: &str = "SELECT product_id, quantity FROM stock WHERE product_id = $1";

/// The same query for pgbench.
pub fn statement() -> String {
    let query = QUERY.replace("$1", "'B-' || lpad((:n)::text, 6, '0')");
    format!("\\set n random(1, {PRODUCTS})\n{query};\n")
}

/// So many queries, spread over so many domains, and rules where there are some.
pub fn flow(name: &str, nodes: usize, domains: usize, rules: bool) -> String {
    let mut text = format!("flow: {name}\ninput: {{ product_id: {{ type: text }} }}\nnodes:\n");
    for node in 0..nodes {
        let domain = node % domains;
        let allow = if node == 0 { "" } else { " # allow: unused-node -- asking is what is measured" };
        writeln!(text, "  n{node}: {{ type: DBNode, database: d{domain}_db, query: \"{QUERY}\" }}{allow}")
            .expect("text");
    }
    let (owner, fact) = if rules { ("many", "hit") } else { ("n0", "quantity") };
    if rules {
        text.push_str("  many: { type: RuleNode, rules: growth.grl, dependencies: [n0] }\n");
    }
    writeln!(text, "outcomes: [ {{ status: done, when: {owner}.{fact} >= 0, body: {{ found: {owner}.{fact} }} }} ]")
        .expect("text");
    text
}

/// So many rules, one of which fires for each product.
fn rules(count: usize) -> String {
    let mut text = String::new();
    for rule in 0..count {
        writeln!(text, "rule \"R{rule}\" no-loop {{ when n0.quantity == {rule} then hit = {rule}; }}").expect("text");
    }
    text
}

/// Adds the table of these curves, and draws them.
fn tell(text: &mut String, directory: &Path, what: &str, curves: &[Curve]) {
    writeln!(text, "\n| {what} | | ready ms | p50 ms | p99 ms | flows/s | MB | errors |").expect("text");
    text.push_str("|---:|---|---:|---:|---:|---:|---:|---:|\n");
    for curve in curves {
        for point in &curve.points {
            let Point { size, ready_ms, p50, p99, rate, memory, errors } = point;
            let name = curve.name;
            writeln!(
                text,
                "| {size} | {name} | {ready_ms:.0} | {p50:.2} | {p99:.2} | {rate:.0} | {memory:.1} | {errors} |"
            )
            .expect("text");
        }
    }
    let of = |value: fn(&Point) -> f64| {
        let points = |curve: &Curve| curve.points.iter().map(|point| (count(point.size), value(point))).collect();
        curves.iter().map(|curve| (curve.name, points(curve))).collect()
    };
    draw(directory, what, "latency", "p50 ms, one client", of(|point| point.p50));
    draw(directory, what, "rate", "flows a second, eight clients", of(|point| point.rate));
    draw(directory, what, "memory", "resident MB", of(|point| point.memory));
}

fn draw(directory: &Path, what: &str, kind: &str, up: &str, curves: Vec<(&str, Vec<(f64, f64)>)>) {
    let title = format!("{kind} by number of {what}");
    let plot = Plot { title: &title, across: what, up, logarithmic: true, curves };
    plot.write(&directory.join(format!("{what}-{kind}.svg")));
}

/// Batches of the shipped flow, each on a service of its own, for the sake of its memory.
async fn batches(text: &mut String, directory: &Path, most: usize) {
    let products = 10_000;
    let databases = Databases::start(products).await;
    text.push_str("\n| inputs of a batch | decisions/s | peak MB |\n|---:|---:|---:|\n");
    let (mut rates, mut peaks) = (Vec::new(), Vec::new());
    for size in INPUTS.into_iter().filter(|size| *size <= most) {
        let service = Process::service(&databases, "auto");
        wait_ready(service.address, "/readyz").await;
        // One small batch is over before it can be timed well: the median of some.
        let mut rates_of_some = Vec::new();
        for _ in 0..(10_000 / size).clamp(1, 51) {
            rates_of_some.push(batch(service.address, products, size).await);
        }
        rates_of_some.sort_by(f64::total_cmp);
        let (rate, peak) = (rates_of_some[rates_of_some.len() / 2], service.peak_mb());
        println!("a batch of {size}: {rate:.0} decisions/s, at most {peak:.1} MB");
        writeln!(text, "| {size} | {rate:.0} | {peak:.1} |").expect("text");
        rates.push((count(size), rate));
        peaks.push((count(size), peak));
    }
    draw(directory, "inputs", "rate", "decisions a second", vec![("one batch", rates)]);
    draw(directory, "inputs", "memory", "peak MB", vec![("one batch", peaks)]);
}
