//! One measurement of a server under load, and the median of several.

use std::time::Duration;

use crate::clients::{Failures, Target, ask, count};
use crate::process::Process;

/// What one load of a server found.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// Right answers a second.
    pub rate: f64,
    /// Latency in milliseconds, the median.
    pub p50: f64,
    /// Latency in milliseconds, the 99th percentile.
    pub p99: f64,
    /// Processor time of the server in microseconds, for each right answer.
    pub cpu: f64,
    /// Context switches of the server's threads, voluntary and involuntary, for each right answer.
    pub switches: f64,
    /// Resident memory of the server after the load, in megabytes.
    pub memory: f64,
    /// Right answers.
    pub answers: usize,
    /// Other answers, by their code.
    pub failures: Failures,
}

impl Sample {
    /// Loads the server `process` at `target` with so many clients for so long.
    pub async fn take(process: &Process, target: &Target, clients: usize, time: Duration) -> Self {
        let before = process.usage();
        let run = ask(target, clients, time).await;
        let usage = process.usage().since(&before);
        let answers = count(run.latencies.len().max(1));
        Self {
            rate: run.rate(),
            p50: run.quantile(0.5),
            p99: run.quantile(0.99),
            cpu: usage.cpu.as_secs_f64() * 1e6 / answers,
            switches: usage.switches / answers,
            memory: process.memory_mb(),
            answers: run.latencies.len(),
            failures: run.failures,
        }
    }

    /// The median of each figure; answers and failures are added up.
    pub fn median(samples: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| median(samples.iter().map(figure));
        let mut failures = Failures::default();
        samples.iter().for_each(|sample| failures.add(&sample.failures));
        Self {
            rate: of(|sample| sample.rate),
            p50: of(|sample| sample.p50),
            p99: of(|sample| sample.p99),
            cpu: of(|sample| sample.cpu),
            switches: of(|sample| sample.switches),
            memory: of(|sample| sample.memory),
            answers: samples.iter().map(|sample| sample.answers).sum(),
            failures,
        }
    }
}

/// The median; of an even number of values, the mean of the two in the middle. 0 if there are none.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    match (values.get(last / 2), values.get(last.div_ceil(2))) {
        (Some(lower), Some(upper)) => f64::midpoint(*lower, *upper),
        _ => 0.0,
    }
}
