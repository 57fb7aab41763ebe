//! Whether slow queries hold up quick ones on the same database: the latency of a flow of queries of 1 ms, alone and
//! beside a flow of queries of 500 ms. `MIXED_SECONDS` for each line (default 10); the report is in
//! `target/mixed-report/`. Twice the p99 of the flow alone is the most that is asked for.

use std::fmt::Write;
use std::time::Duration;

use crate::clients::{Run, Target, ask};
use crate::growth::Fleet;
use crate::process::{Process, wait_ready};
use crate::{number, report};

/// Clients of the quick flow, and of the slow one beside it: fewer than the pool has connections, and more.
const CLIENTS: [(usize, usize); 4] = [(1, 8), (1, 32), (8, 8), (8, 32)];

/// Measures and writes the report.
pub async fn measure() {
    let table = table(Duration::from_secs(number("MIXED_SECONDS", 10) as u64)).await;
    println!("{table}");
    let file = report::directory("mixed").join("report.md");
    std::fs::write(&file, table).expect("written");
    println!("written to {}", file.display());
}

/// The figures as a table, `time` for each line.
pub async fn table(time: Duration) -> String {
    let fleet = Fleet::servers(1).await;
    let graphs = tempfile::tempdir().expect("a directory");
    // pg_sleep(0.001) would sleep two milliseconds: it rounds up what floating point leaves over.
    for (name, seconds) in [("quick", "0.0009"), ("slow", "0.5")] {
        std::fs::write(graphs.path().join(format!("{name}.yaml")), flow(name, seconds)).expect("written");
    }
    let service = Process::serve(Some(graphs.path()), "", &fleet.environment(1));
    wait_ready(service.address, "/readyz").await;
    let quick = Target::new(service.address, "/flows/quick", 1_000);
    let slow = Target::new(service.address, "/flows/slow", 1_000);
    let mut out = String::from("Queries of 1 ms, alone and beside queries of 500 ms on the same database:\n\n");
    out.push_str("| clients | beside them | flows/s | p50 ms | p99 ms | p50 x alone | p99 x alone | errors |\n");
    out.push_str("|---:|---:|---:|---:|---:|---:|---:|---:|\n");
    for quick_clients in [1, 8] {
        // The first run tells the service how long the query takes.
        ask(&quick, quick_clients, Duration::from_secs(1)).await;
        let alone = ask(&quick, quick_clients, time).await;
        line(&mut out, (quick_clients, 0), &alone, &alone, 0);
        for (_, slow_clients) in CLIENTS.into_iter().filter(|(clients, _)| *clients == quick_clients) {
            let lead = Duration::from_millis(1_200);
            let (target, all) = (slow.clone(), time + lead);
            let burden = tokio::spawn(async move { ask(&target, slow_clients, all).await });
            tokio::time::sleep(lead).await;
            let beside = ask(&quick, quick_clients, time).await;
            let burden = burden.await.expect("the slow clients");
            line(&mut out, (quick_clients, slow_clients), &beside, &alone, burden.failures.total());
        }
    }
    out
}

fn line(out: &mut String, (quick, slow): (usize, usize), run: &Run, alone: &Run, slow_errors: usize) {
    let (p50, p99) = (run.quantile(0.5), run.quantile(0.99));
    let (p50_ratio, p99_ratio) = (p50 / alone.quantile(0.5), p99 / alone.quantile(0.99));
    let (rate, errors) = (run.rate(), run.failures.total() + slow_errors);
    writeln!(
        out,
        "| {quick} | {slow} | {rate:.0} | {p50:.2} | {p99:.2} | {p50_ratio:.2} | {p99_ratio:.2} | {errors} |"
    )
    .expect("text");
}

fn flow(name: &str, seconds: &str) -> String {
    format!(
        "flow: {name}
input: {{ product_id: {{ type: text }} }}
nodes:
  nap:
    type: DBNode
    database: d0_db
    query: \"SELECT $1::text AS product_id FROM pg_sleep({seconds})\"
outcomes:
  - {{ status: slept, when: nap.product_id == input.product_id }}
"
    )
}
