//! What a flow costs by the number of its nodes, all on one database: HTTP alone and one node with one client,
//! beside what pgbench measures, and more nodes under load. The domain has its default settings. `LOAD_SECONDS` for
//! each measurement (default 2), `LOAD_ROUNDS` measurements of each line (default 3); the report is in
//! `target/nodes-report/`, and part of that of `load`.

use std::fmt::Write;
use std::time::Duration;

use crate::clients::{Method, Target, ask, count};
use crate::databases::Pgbench;
use crate::growth::{self, Fleet, PRODUCTS};
use crate::process::{Process, wait_ready};
use crate::sample::{Sample, median};
use crate::{number, report, rounds};

/// Clients that ask for flows of more than one node.
const CLIENTS: usize = 32;
/// Nodes of the flows, and the paths of the flows.
const FLOWS: [(usize, &str); 4] =
    [(4, "/flows/nodes4"), (16, "/flows/nodes16"), (64, "/flows/nodes64"), (256, "/flows/nodes256")];

/// Measures and writes the report.
pub async fn measure() {
    report::write("nodes", &tables(Duration::from_secs(number("LOAD_SECONDS", 2) as u64)).await);
}

/// The figures as tables, `time` for each measurement.
pub async fn tables(time: Duration) -> String {
    let fleet = Fleet::servers(1).await;
    let graphs = tempfile::tempdir().expect("a directory");
    for nodes in FLOWS.iter().map(|(nodes, _)| *nodes).chain([1]) {
        let name = format!("nodes{nodes}");
        let flow = growth::flow(&name, nodes, 1, false);
        std::fs::write(graphs.path().join(format!("{name}.yaml")), flow).expect("written");
    }
    let service = Process::serve(Some(graphs.path()), "", &fleet.environment(1));
    wait_ready(service.address, "/readyz").await;
    format!("{}\n{}", lone(&service, &fleet, time).await, loaded(&service, time).await)
}

/// One client: HTTP alone, a flow of one node, and the round trip that the flow waits for.
async fn lone(service: &Process, fleet: &Fleet, time: Duration) -> String {
    let http = Target { status: 404, method: Method::Get, ..Target::new(service.address, "/absent", PRODUCTS) };
    let node = Target::new(service.address, "/flows/nodes1", PRODUCTS);
    let (mut https, mut nodes, mut trips) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds() {
        ask(&node, 1, Duration::from_millis(500)).await;
        https.push(Sample::take(service, &http, 1, time).await);
        nodes.push(Sample::take(service, &node, 1, time).await);
        let pgbench = Pgbench::start(&fleet.urls[0], &growth::statement(), 1, time);
        trips.extend(pgbench.and_then(Pgbench::finish).map(|figures| figures.latency));
    }
    let (http, node) = (Sample::median(&https), Sample::median(&nodes));
    let mut out = String::from(
        "One client:\n\n| | p50 ms | p99 ms | CPU us/request | switches/request | errors |\n|---|---:|---:|---:|---:|---:|\n",
    );
    for (name, sample) in [("HTTP only (404)", &http), ("a flow of one node", &node)] {
        let Sample { p50, p99, cpu, switches, failures, .. } = sample;
        let errors = failures.total();
        writeln!(out, "| {name} | {p50:.3} | {p99:.3} | {cpu:.1} | {switches:.2} | {errors} |").expect("text");
    }
    if trips.is_empty() {
        return out;
    }
    let trip = median(trips.into_iter());
    let bound = 1.15_f64.mul_add(trip, http.p50);
    writeln!(out, "| pgbench, one prepared query (mean) | {trip:.3} | | | | |").expect("text");
    writeln!(
        out,
        "\nHTTP only and 1.15 round trips of pgbench take {bound:.3} ms: p50 of a flow of one node is {:.2} times that.",
        node.p50 / bound
    )
    .expect("text");
    out
}

/// Many clients that ask for flows of more and more nodes.
async fn loaded(service: &Process, time: Duration) -> String {
    let mut samples = FLOWS.map(|_| Vec::new());
    for _ in 0..rounds() {
        for ((_, path), samples) in FLOWS.iter().zip(&mut samples) {
            let target = Target::new(service.address, path, PRODUCTS);
            // Each connection first prepares the queries of every node.
            ask(&target, CLIENTS, time).await;
            samples.push(Sample::take(service, &target, CLIENTS, time).await);
        }
    }
    let mut out = format!(
        "Flows of several nodes on one database, {CLIENTS} clients:\n\n| nodes | flows/s | nodes/s | x 4 nodes | p50 ms | p99 ms | CPU us/node | answered | domain_overloaded | failures |\n|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|\n"
    );
    let mut fewest = None;
    for ((nodes, _), samples) in FLOWS.into_iter().zip(&samples) {
        let Sample { rate, p50, p99, cpu, answers, failures, .. } = Sample::median(samples);
        let (node_rate, cpu) = (rate * count(nodes), cpu / count(nodes));
        let ratio = node_rate / *fewest.get_or_insert(node_rate);
        let overloaded = failures.with_code("domain_overloaded");
        writeln!(
            out,
            "| {nodes} | {rate:.0} | {node_rate:.0} | {ratio:.2} | {p50:.2} | {p99:.2} | {cpu:.1} | {answers} | {overloaded} | {failures} |"
        )
        .expect("text");
    }
    out
}
