//! Gauges that are measured when a scrape is answered.

use prometheus::proto::{Bucket, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{GaugeVec, IntCounterVec, Opts, Registry};

use super::registry::MetricsError;

/// One domain, as a scrape finds it.
#[derive(Debug, Clone)]
pub struct DomainFigures<'a> {
    /// Its name.
    pub domain: &'a str,
    /// The name of its state.
    pub state: &'static str,
    /// How often its actor was replaced.
    pub restarts: u64,
    /// Seconds until it is probed again; 0 while it is not down.
    pub retry_seconds: f64,
    /// The most connections it may have.
    pub most: usize,
    /// Connections it has.
    pub open: usize,
    /// Connections that nobody uses.
    pub idle: usize,
    /// Queries that wait for one.
    pub waiting: usize,
    /// Queries whose wait for one timed out.
    pub timeouts: u64,
    /// Requests with its actor.
    pub in_flight: usize,
    /// Statements that stood for several queries, by how many: the upper bound of each bucket, and how many statements were within
    /// it and above the one before.
    pub batches: &'a [(usize, u64)],
    /// Queries in all of them together.
    pub batched: u64,
    /// Queries that were asked one by one because the statement for several had been refused.
    pub uncoalesced: u64,
}

/// The recorder, as a scrape finds it.
#[derive(Debug, Clone, Copy)]
pub struct RecordFigures {
    /// Records written, dropped, that waited, and that failed.
    pub counts: [(&'static str, u64); 4],
    /// Records in the queue.
    pub queued: usize,
}

/// The states of a domain.
const STATES: [&str; 6] = ["starting", "ready", "degraded", "down", "draining", "stopped"];

/// The gauges of one scrape.
pub struct Gauges(Registry);

impl Gauges {
    /// Nothing but the build.
    ///
    /// # Errors
    /// [`MetricsError`].
    pub fn new() -> Result<Self, MetricsError> {
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
    ///
    /// # Errors
    /// [`MetricsError`].
    pub fn decisions(&self, in_flight: usize, most: usize) -> Result<(), MetricsError> {
        self.gauge("decisions_in_flight", "Decisions in flight.", &[], [(vec![], count(in_flight))])?;
        self.gauge(
            "decisions_in_flight_limit",
            "Decisions that may be in flight at once.",
            &[],
            [(vec![], count(most))],
        )
    }

    /// Adds the domains.
    ///
    /// # Errors
    /// [`MetricsError`].
    pub fn domains(&self, domains: &[DomainFigures<'_>]) -> Result<(), MetricsError> {
        let each = |figure: fn(&DomainFigures<'_>) -> f64| {
            domains.iter().map(move |domain| (vec![domain.domain], figure(domain))).collect::<Vec<_>>()
        };
        let states = domains.iter().flat_map(|domain| {
            STATES.map(|state| (vec![domain.domain, state], if state == domain.state { 1.0 } else { 0.0 }))
        });
        let help = "1 for the state that the domain is in, 0 for the others.";
        self.gauge("domain_state", help, &["domain", "state"], states)?;
        let help = "How long until a domain that is down is probed again.";
        self.gauge("domain_retry_seconds", help, &["domain"], each(|domain| domain.retry_seconds))?;
        self.gauge(
            "domain_in_flight",
            "Requests with the domain.",
            &["domain"],
            each(|domain| count(domain.in_flight)),
        )?;
        let connections = domains.iter().flat_map(|domain| {
            let used = domain.open.saturating_sub(domain.idle);
            [("idle", domain.idle), ("used", used)].map(|(state, number)| (vec![domain.domain, state], count(number)))
        });
        self.gauge("pool_connections", "Open connections by use.", &["domain", "state"], connections)?;
        let help = "The most connections there may be.";
        self.gauge("pool_connections_limit", help, &["domain"], each(|domain| count(domain.most)))?;
        self.gauge(
            "pool_waiting",
            "Queries that wait for a connection.",
            &["domain"],
            each(|domain| count(domain.waiting)),
        )?;
        let timeouts = domains.iter().map(|domain| (vec![domain.domain], domain.timeouts));
        let help = "Queries whose wait for a connection timed out.";
        self.counter("pool_timeouts_total", help, &["domain"], timeouts)?;
        let uncoalesced = domains.iter().map(|domain| (vec![domain.domain], domain.uncoalesced));
        let help = "Queries asked one by one because the statement that stands for several was refused.";
        self.counter("queries_uncoalesced_total", help, &["domain"], uncoalesced)?;
        let restarts = domains.iter().map(|domain| (vec![domain.domain], domain.restarts));
        self.counter("domain_restarts_total", "How often the domain's actor was replaced.", &["domain"], restarts)
    }

    /// Adds how records go.
    ///
    /// # Errors
    /// [`MetricsError`].
    pub fn records(&self, records: &RecordFigures) -> Result<(), MetricsError> {
        let counts = records.counts.iter().map(|(what, number)| (vec![*what], *number));
        self.counter("records_total", "Decision records by what became of them.", &["result"], counts)?;
        self.gauge("records_queued", "Records that wait to be written.", &[], [(vec![], count(records.queued))])
    }

    /// All of it, and the sizes of the batches of these domains.
    pub fn gather(&self, domains: &[DomainFigures<'_>]) -> Vec<MetricFamily> {
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

/// A histogram of what was counted elsewhere, which the crate has no constructor for.
fn batches(domains: &[DomainFigures<'_>]) -> MetricFamily {
    let metrics = domains.iter().map(|domain| {
        let mut label = LabelPair::default();
        label.set_name("domain".to_owned());
        label.set_value(domain.domain.to_owned());
        let (mut seen, mut buckets) = (0, Vec::with_capacity(domain.batches.len()));
        for (bound, number) in domain.batches {
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
        histogram.set_sample_sum(domain.batched as f64);
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

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn count(number: usize) -> f64 {
    number as f64
}
