//! Whether slow queries hold up quick ones on the same database: the latency of a flow of queries of 1 ms, alone and
//! beside a flow of queries of 500 ms. `MIXED_SECONDS` for each measurement (default 4), `LOAD_ROUNDS` measurements of each
//! line (default 3); the report is in `target/mixed-report/`. Twice the p99 of the flow alone is the most that is asked for.

use std::fmt::Write;
use std::time::Duration;

use crate::clients::{Target, ask};
use crate::growth::Fleet;
use crate::process::{Process, wait_ready};
use crate::sample::Sample;
use crate::{number, report, rounds};

/// Clients of the slow flow: none, fewer than the pool has connections, and more.
const BESIDE: [usize; 3] = [0, 8, 32];

/// Measures and writes the report.
pub async fn measure() {
    report::write("mixed", &table(Duration::from_secs(number("MIXED_SECONDS", 4) as u64)).await);
}

/// The figures as a table, `time` for each measurement.
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
        let mut runs = BESIDE.map(|_| Vec::new());
        for _ in 0..rounds() {
            // The first run tells the service how long the query takes.
            ask(&quick, quick_clients, Duration::from_secs(1)).await;
            for (slow_clients, samples) in BESIDE.into_iter().zip(&mut runs) {
                samples.push(beside(&service, (&quick, quick_clients), (&slow, slow_clients), time).await);
            }
        }
        let runs = runs.map(|samples| Sample::median(&samples));
        for (slow_clients, sample) in BESIDE.into_iter().zip(&runs) {
            line(&mut out, (quick_clients, slow_clients), sample, &runs[0]);
        }
    }
    out
}

/// The quick flow beside the slow one, whose failures count as well.
async fn beside(
    service: &Process,
    (quick, quick_clients): (&Target, usize),
    (slow, slow_clients): (&Target, usize),
    time: Duration,
) -> Sample {
    if slow_clients == 0 {
        return Sample::take(service, quick, quick_clients, time).await;
    }
    let lead = Duration::from_millis(1_200);
    let (target, all) = (slow.clone(), time + lead);
    let burden = tokio::spawn(async move { ask(&target, slow_clients, all).await });
    tokio::time::sleep(lead).await;
    let mut sample = Sample::take(service, quick, quick_clients, time).await;
    sample.failures.add(&burden.await.expect("the slow clients").failures);
    sample
}

fn line(out: &mut String, (quick, slow): (usize, usize), sample: &Sample, alone: &Sample) {
    let Sample { rate, p50, p99, failures, .. } = sample;
    let (p50_ratio, p99_ratio, errors) = (p50 / alone.p50, p99 / alone.p99, failures.total());
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
