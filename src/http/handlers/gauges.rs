//! Gauges that are measured when a scrape is answered, from what the domains and the recorder published last.

use std::time::Duration;

use prometheus::proto::{Bucket, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{GaugeVec, IntCounterVec, Opts, Registry};

use crate::actors::domain::{Health, State};
use crate::metrics::MetricsError;
use crate::pool::PoolStatus;
use crate::records::RecorderStatus;

/// The states of a domain.
const STATES: [&str; 6] = ["starting", "ready", "degraded", "down", "draining", "stopped"];

/// The gauges of one scrape.
pub(super) struct Gauges(Registry);

impl Gauges {
    /// Only the build.
    pub(super) fn new() -> Result<Self, MetricsError> {
        let gauges = Self(Registry::new());
        gauges.gauge(
            "build_info",
            "The version that runs; always 1.",
            &["version"],
            [(vec![env!("CARGO_PKG_VERSION")], 1.0)],
        )?;
        Ok(gauges)
    }

    /// Adds the decisions in flight, and their limit.
    pub(super) fn decisions(&self, in_flight: usize, most: usize) -> Result<(), MetricsError> {
        self.gauge("decisions_in_flight", "Decisions in flight.", &[], [(vec![], count(in_flight))])?;
        self.gauge(
            "decisions_in_flight_limit",
            "Decisions that may be in flight at once.",
            &[],
            [(vec![], count(most))],
        )
    }

    /// Adds the domains.
    pub(super) fn domains(&self, domains: &[Health]) -> Result<(), MetricsError> {
        let each = |figure: fn(&Health) -> f64| {
            domains.iter().map(move |domain| (vec![domain.domain.as_str()], figure(domain))).collect::<Vec<_>>()
        };
        let states = domains.iter().flat_map(|domain| {
            STATES.map(|state| {
                (vec![domain.domain.as_str(), state], if state == domain.state.name() { 1.0 } else { 0.0 })
            })
        });
        let help = "1 for the state that the domain is in, 0 for the others.";
        self.gauge("domain_state", help, &["domain", "state"], states)?;
        let help = "How long until a domain that is down is probed again.";
        self.gauge("domain_retry_seconds", help, &["domain"], each(retry_seconds))?;
        self.gauge(
            "domain_in_flight",
            "Requests with the domain.",
            &["domain"],
            each(|domain| count(domain.in_flight)),
        )?;
        self.pools("pool", "", domains.iter().map(|domain| (domain.domain.as_str(), &domain.pool)))?;
        let writing = domains.iter().filter_map(|domain| Some((domain.domain.as_str(), domain.write_pool.as_ref()?)));
        self.pools("write_pool", " of the write role", writing)?;
        self.staleness(domains)?;
        let uncoalesced = domains.iter().map(|domain| (vec![domain.domain.as_str()], domain.batches.uncoalesced));
        let help = "Queries asked one by one because the statement that stands for several was refused.";
        self.counter("queries_uncoalesced_total", help, &["domain"], uncoalesced)?;
        let restarts = domains.iter().map(|domain| (vec![domain.domain.as_str()], domain.restarts));
        self.counter("domain_restarts_total", "How often the domain's actor was replaced.", &["domain"], restarts)
    }

    /// Adds pools; `whose` follows what is counted.
    fn pools<'a>(
        &self,
        prefix: &str,
        whose: &str,
        pools: impl Iterator<Item = (&'a str, &'a PoolStatus)> + Clone,
    ) -> Result<(), MetricsError> {
        let connections = pools.clone().flat_map(|(domain, pool)| {
            let used = pool.size.saturating_sub(pool.idle);
            [("idle", pool.idle), ("used", used)].map(|(state, number)| (vec![domain, state], count(number)))
        });
        let help = format!("Open connections{whose} by use.");
        self.gauge(&format!("{prefix}_connections"), &help, &["domain", "state"], connections)?;
        let limits = pools.clone().map(|(domain, pool)| (vec![domain], count(pool.max)));
        let help = format!("The most connections{whose} there may be.");
        self.gauge(&format!("{prefix}_connections_limit"), &help, &["domain"], limits)?;
        let waiting = pools.clone().map(|(domain, pool)| (vec![domain], count(pool.waiting)));
        let help = format!("Queries that wait for a connection{whose}.");
        self.gauge(&format!("{prefix}_waiting"), &help, &["domain"], waiting)?;
        let timeouts = pools.map(|(domain, pool)| (vec![domain], pool.timeouts));
        let help = format!("Queries whose wait for a connection{whose} timed out.");
        self.counter(&format!("{prefix}_timeouts_total"), &help, &["domain"], timeouts)
    }

    /// Adds how old the rows of a domain may be, where it limits that.
    fn staleness(&self, domains: &[Health]) -> Result<(), MetricsError> {
        let limited = || domains.iter().filter_map(|domain| Some((domain.domain.as_str(), domain.staleness.as_ref()?)));
        let limits = limited().map(|(domain, staleness)| (vec![domain], seconds(staleness.max_ms)));
        let help = "By how much rows may be older than their query, at most.";
        self.gauge("domain_staleness_limit_seconds", help, &["domain"], limits)?;
        let known = limited()
            .filter_map(|(domain, staleness)| Some((vec![domain], seconds(staleness.rows_may_be_older_by_ms?))));
        let help = "By how much rows of the server that was checked last may be older than their query.";
        self.gauge("domain_staleness_seconds", help, &["domain"], known)
    }

    /// Adds the approvals of each flow that wait: how many, and how many seconds the oldest has waited.
    pub(super) fn approvals(&self, waiting: &[(&str, (f64, f64))]) -> Result<(), MetricsError> {
        let each =
            |figure: fn((f64, f64)) -> f64| waiting.iter().map(move |(flow, waiting)| (vec![*flow], figure(*waiting)));
        let help = "Effects in the database that wait for an approval.";
        self.gauge("approvals_waiting", help, &["flow"], each(|(number, _)| number))?;
        let help = "How long the oldest of them has waited.";
        self.gauge("approvals_oldest_seconds", help, &["flow"], each(|(_, seconds)| seconds))
    }

    /// Adds the recorder.
    pub(super) fn records(&self, records: &RecorderStatus) -> Result<(), MetricsError> {
        let RecorderStatus { written, dropped, waited, failed, queued, .. } = *records;
        let counts = [("written", written), ("dropped", dropped), ("waited", waited), ("failed", failed)];
        let counts = counts.map(|(what, number)| (vec![what], number));
        self.counter("records_total", "Decision records by what became of them.", &["result"], counts)?;
        self.gauge("records_queued", "Records that wait to be written.", &[], [(vec![], count(queued))])
    }

    /// All gauges, and the batch sizes of these domains.
    pub(super) fn gather(&self, domains: &[Health]) -> Vec<MetricFamily> {
        let mut families = self.0.gather();
        if !domains.is_empty() {
            families.push(batches(domains));
        }
        families
    }

    fn gauge<'a>(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        values: impl IntoIterator<Item = (Vec<&'a str>, f64)>,
    ) -> Result<(), MetricsError> {
        let family = GaugeVec::new(Opts::new(format!("tributary_{name}"), help), labels)?;
        for (labels, value) in values {
            family.with_label_values(&labels).set(value);
        }
        self.0.register(Box::new(family))?;
        Ok(())
    }

    fn counter<'a>(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        values: impl IntoIterator<Item = (Vec<&'a str>, u64)>,
    ) -> Result<(), MetricsError> {
        let family = IntCounterVec::new(Opts::new(format!("tributary_{name}"), help), labels)?;
        for (labels, value) in values {
            family.with_label_values(&labels).inc_by(value);
        }
        self.0.register(Box::new(family))?;
        Ok(())
    }
}

/// A histogram from counts. The crate has no constructor for this.
fn batches(domains: &[Health]) -> MetricFamily {
    let metrics = domains.iter().map(|domain| {
        let mut label = LabelPair::default();
        label.set_name("domain".to_owned());
        label.set_value(domain.domain.to_string());
        let (mut seen, mut buckets) = (0, Vec::with_capacity(domain.batches.sizes.len()));
        for (bound, number) in &domain.batches.sizes {
            seen += number;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(count(*bound));
            bucket.set_cumulative_count(seen);
            buckets.push(bucket);
        }
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets);
        histogram.set_sample_count(seen);
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
        histogram.set_sample_sum(domain.batches.queries as f64);
        let mut metric = Metric::from_label(vec![label]);
        metric.set_histogram(histogram);
        metric
    });
    let mut family = MetricFamily::default();
    family.set_name("tributary_query_batch_size".to_owned());
    family.set_help("Queries that one statement stood for, where it was more than one.".to_owned());
    family.set_field_type(MetricType::HISTOGRAM);
    family.set_metric(metrics.collect());
    family
}

/// Seconds until a domain that is down is probed again; 0 for the others.
fn retry_seconds(domain: &Health) -> f64 {
    let is_down = matches!(domain.state, State::Down { .. });
    domain.retry_in.filter(|_| is_down).unwrap_or_default().as_secs_f64()
}

fn seconds(milliseconds: u64) -> f64 {
    Duration::from_millis(milliseconds).as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn count(number: usize) -> f64 {
    number as f64
}
