//! The families of counters and histograms: names, help and labels.

use prometheus::core::Collector;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts};

/// Upper bounds for times, in seconds: from a pipelined query to the longest timeouts.
const SECONDS: [f64; 16] =
    [0.0002, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.125, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0];

/// The families.
pub(super) struct Families {
    pub(super) decisions: IntCounterVec,
    pub(super) degraded: IntCounterVec,
    pub(super) decision_seconds: HistogramVec,
    pub(super) node_seconds: HistogramVec,
    pub(super) fired: IntCounterVec,
    pub(super) query_seconds: HistogramVec,
    pub(super) wait_seconds: HistogramVec,
    pub(super) query_errors: IntCounterVec,
    pub(super) effects: IntCounterVec,
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
    Effects,
}

pub(super) type Labels = (Family, Vec<String>);

impl Families {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
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
                "How long a query waited for a connection, whether or not it got one.",
                &["domain"],
            )?,
            query_errors: counter("query_errors_total", "Queries that gave no answer, by code.", &["domain", "code"])?,
            effects: counter(
                "effects_total",
                "Requests with a key by what became of them: placed, pending, stored (nothing to write), replayed, conflicted, unknown, \
                 failed; approvals: approved, rejected, dropped.",
                &["flow", "result"],
            )?,
            responses: counter("http_responses_total", "Answers by HTTP status.", &["status"])?,
        })
    }

    pub(super) fn all(&self) -> [Box<dyn Collector>; 10] {
        [
            Box::new(self.decisions.clone()),
            Box::new(self.degraded.clone()),
            Box::new(self.decision_seconds.clone()),
            Box::new(self.node_seconds.clone()),
            Box::new(self.fired.clone()),
            Box::new(self.query_seconds.clone()),
            Box::new(self.wait_seconds.clone()),
            Box::new(self.query_errors.clone()),
            Box::new(self.effects.clone()),
            Box::new(self.responses.clone()),
        ]
    }

    pub(super) fn forget(&self, (family, values): &Labels) {
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
            Family::Effects => self.effects.remove_label_values(&values),
        };
        if let Err(error) = forgotten {
            tracing::debug!(%error, "metrics.label.unknown");
        }
    }
}
