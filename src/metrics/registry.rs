//! The families of counters and histograms, and which labels they have at the moment.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry};

use super::flow::FlowMetrics;
use crate::graph::Flow;

/// Why there are no metrics: a fault of this module, since its names are fixed.
#[derive(Debug, thiserror::Error)]
#[error("the metrics cannot be set up: {0}")]
pub struct MetricsError(#[from] prometheus::Error);

/// Upper bounds for times, in seconds: from a query over a lane to the longest timeouts.
const SECONDS: [f64; 16] =
    [0.0002, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.125, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0];

/// The statuses there may be: 100 to 999.
const STATUSES: usize = 900;

/// What the service counts. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    families: Families,
    /// The counters of answers by status, from 100 on: made when a status is first answered.
    responses: [OnceLock<IntCounter>; STATUSES],
    /// The labels that are in use: of which family, and which values.
    labels: Mutex<BTreeSet<Labels>>,
}

/// The families by what they are of.
pub(super) struct Families {
    pub(super) decisions: IntCounterVec,
    pub(super) degraded: IntCounterVec,
    pub(super) decision_seconds: HistogramVec,
    pub(super) node_seconds: HistogramVec,
    pub(super) fired: IntCounterVec,
    pub(super) query_seconds: HistogramVec,
    pub(super) wait_seconds: HistogramVec,
    pub(super) query_errors: IntCounterVec,
    pub(super) responses: IntCounterVec,
}

/// The family of some labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    Decisions,
    Degraded,
    DecisionSeconds,
    NodeSeconds,
    Fired,
    QuerySeconds,
    WaitSeconds,
    QueryErrors,
}

pub(super) type Labels = (Family, Vec<String>);

impl Families {
    fn new() -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            IntCounterVec::new(Opts::new(format!("tributary_{name}"), help), labels)
        };
        let seconds = |name: &str, help: &str, labels: &[&str]| {
            let options = HistogramOpts::new(format!("tributary_{name}"), help);
            HistogramVec::new(options.buckets(SECONDS.to_vec()), labels)
        };
        Ok(Self {
            decisions: counter(
                "decisions_total",
                "Decisions by flow and how they ended: the outcome's status, or `error` and its code.",
                &["flow", "outcome", "code"],
            )?,
            degraded: counter(
                "decisions_degraded_total",
                "Decisions with a default in place of an answer.",
                &["flow"],
            )?,
            decision_seconds: seconds("decision_duration_seconds", "From a checked input to its decision.", &["flow"])?,
            node_seconds: seconds(
                "node_duration_seconds",
                "What a node took: its query with all waiting, or its rules.",
                &["flow", "node"],
            )?,
            fired: counter("rules_fired_total", "How often each rule fired.", &["flow", "node", "rule"])?,
            query_seconds: seconds(
                "query_duration_seconds",
                "From the sending of a query to its last row or its failure, as its flow saw it.",
                &["domain"],
            )?,
            wait_seconds: seconds(
                "query_wait_seconds",
                "How long a query waited for a connection, also in vain.",
                &["domain"],
            )?,
            query_errors: counter("query_errors_total", "Queries that gave no answer, by code.", &["domain", "code"])?,
            responses: counter("http_responses_total", "Answers by HTTP status.", &["status"])?,
        })
    }

    fn all(&self) -> [Box<dyn Collector>; 9] {
        [
            Box::new(self.decisions.clone()),
            Box::new(self.degraded.clone()),
            Box::new(self.decision_seconds.clone()),
            Box::new(self.node_seconds.clone()),
            Box::new(self.fired.clone()),
            Box::new(self.query_seconds.clone()),
            Box::new(self.wait_seconds.clone()),
            Box::new(self.query_errors.clone()),
            Box::new(self.responses.clone()),
        ]
    }

    fn forget(&self, (family, values): &Labels) {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let forgotten = match family {
            Family::Decisions => self.decisions.remove_label_values(&values),
            Family::Degraded => self.degraded.remove_label_values(&values),
            Family::DecisionSeconds => self.decision_seconds.remove_label_values(&values),
            Family::NodeSeconds => self.node_seconds.remove_label_values(&values),
            Family::Fired => self.fired.remove_label_values(&values),
            Family::QuerySeconds => self.query_seconds.remove_label_values(&values),
            Family::WaitSeconds => self.wait_seconds.remove_label_values(&values),
            Family::QueryErrors => self.query_errors.remove_label_values(&values),
        };
        if let Err(error) = forgotten {
            tracing::debug!(%error, "metrics.label.unknown");
        }
    }
}

impl Metrics {
    /// Nothing counted yet.
    ///
    /// # Errors
    /// [`MetricsError`].
    pub fn new() -> Result<Self, MetricsError> {
        let (registry, families) = (Registry::new(), Families::new()?);
        for family in families.all() {
            registry.register(family)?;
        }
        #[cfg(target_os = "linux")]
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(Self(Arc::new(Inner {
            registry,
            families,
            responses: [const { OnceLock::new() }; STATUSES],
            labels: Mutex::default(),
        })))
    }

    /// The counters of a release: one for each of `flows`, in their order. Labels of flows, nodes, rules and domains that are not
    /// among them any more are forgotten; those of before go on counting.
    pub fn of_release<'a>(&self, flows: impl IntoIterator<Item = &'a Flow>) -> Vec<FlowMetrics> {
        let mut used = BTreeSet::new();
        let metrics = flows.into_iter().map(|flow| FlowMetrics::of(flow, &self.0.families, &mut used)).collect();
        let mut labels = self.0.labels.lock().unwrap_or_else(PoisonError::into_inner);
        for gone in labels.difference(&used) {
            self.0.families.forget(gone);
        }
        *labels = used;
        metrics
    }

    /// Counts an answer of this status.
    pub fn answered(&self, status: u16) {
        let counter = status.checked_sub(100).and_then(|place| self.0.responses.get(usize::from(place)));
        if let Some(counter) = counter {
            counter.get_or_init(|| self.0.families.responses.with_label_values(&[status.to_string()])).inc();
        }
    }

    /// Everything that was counted.
    pub fn gather(&self) -> Vec<MetricFamily> {
        self.0.registry.gather()
    }
}
