//! The counters and histograms of the service, and the labels that are in use.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, Registry};

use super::families::{Families, Labels};
use super::flow::FlowMetrics;
use crate::graph::Flow;

/// Why there are no metrics: a fault of this module, since its names are fixed.
#[derive(Debug, thiserror::Error)]
#[error("the metrics cannot be set up: {0}")]
pub struct MetricsError(#[from] prometheus::Error);

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
