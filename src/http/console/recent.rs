//! The last timings of each flow's nodes: of decisions that were explained and, while the console has listeners, of a sample
//! of the others. Flows are sampled independently, so that a quiet one shows beside a busy one. Values are never kept.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;

use crate::flow::{NodeEnd, NodeTrace, Report, micros};
use crate::graph::{Flow, Work};
use crate::types::{FlowName, NodeId, Value};

/// Decisions of a flow are traced for the console no more often than this, unless somebody asks for the explanation.
const PAUSE: Duration = Duration::from_millis(500);

/// The last timings of each flow.
#[derive(Debug, Default)]
pub(in crate::http) struct Recent {
    flows: Mutex<HashMap<FlowName, Seen>>,
    /// How many listen to the events.
    listeners: AtomicUsize,
}

/// What was seen of one decision. Times are in microseconds.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Seen {
    /// When this was noted.
    #[serde(skip)]
    noted: Instant,
    /// When it was made.
    at: Timestamp,
    /// How long it took.
    took_us: u64,
    /// How it ended: the status, or the code of the problem.
    ending: String,
    /// Whether it ended in a decision.
    decided: bool,
    nodes: Vec<NodeSeen>,
}

#[derive(Debug, Clone, Serialize)]
struct NodeSeen {
    node: NodeId,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_us: Option<u64>,
    took_us: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    query_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fired: Option<usize>,
}

impl Recent {
    /// Whether the next decision of `flow` should be traced for the listeners.
    pub(in crate::http) fn wants(&self, flow: &FlowName) -> bool {
        self.listeners() > 0 && self.is_due(flow)
    }

    /// Stores the timings of a traced decision. Those of an explained one are always stored, because somebody is looking at it.
    pub(in crate::http) fn note(&self, flow: &Flow, report: &Report, is_explained: bool) {
        let is_taken = |name| is_explained || self.is_due(name);
        let Some(trace) = report.trace.as_deref().filter(|_| is_taken(&flow.name)) else { return };
        let (ending, decided) = match &report.result {
            Ok(decision) => (decision.status.clone(), true),
            Err(error) => (error.code().to_owned(), false),
        };
        let nodes = flow.nodes.iter().zip(&trace.nodes);
        let seen = Seen {
            noted: Instant::now(),
            at: Timestamp::now(),
            took_us: micros(trace.took),
            ending,
            decided,
            nodes: nodes.map(|(node, trace)| NodeSeen::of(&node.id, &node.work, trace)).collect(),
        };
        self.flows().insert(flow.name.clone(), seen);
    }

    /// What was seen of a flow last.
    pub(super) fn of(&self, flow: &FlowName) -> Option<Seen> {
        self.flows().get(flow).cloned()
    }

    /// Counts a new listener.
    pub(super) fn listener_joined(&self) {
        self.listeners.fetch_add(1, Ordering::Relaxed);
    }

    /// A listener has gone.
    pub(super) fn listener_left(&self) {
        self.listeners.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many listen to the events.
    pub(super) fn listeners(&self) -> usize {
        self.listeners.load(Ordering::Relaxed)
    }

    fn is_due(&self, flow: &FlowName) -> bool {
        self.flows().get(flow).is_none_or(|seen| seen.noted.elapsed() >= PAUSE)
    }

    fn flows(&self) -> MutexGuard<'_, HashMap<FlowName, Seen>> {
        self.flows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// When the decision was made.
    pub(super) fn at(&self) -> Timestamp {
        self.at
    }
}

impl NodeSeen {
    fn of(id: &NodeId, work: &Work, trace: &NodeTrace) -> Self {
        let asked = matches!(work, Work::Query(_)) && trace.began.is_some();
        let rows = match &trace.end {
            NodeEnd::Value(Value::List(rows)) => Some(rows.len()),
            NodeEnd::Value(Value::Null) => Some(0),
            NodeEnd::Value(_) => Some(1),
            NodeEnd::WrongRows(found) => Some(*found),
            _ => None,
        };
        Self {
            node: id.clone(),
            state: trace.end.name(),
            start_us: trace.began.map(micros),
            took_us: micros(trace.took),
            wait_us: asked.then(|| micros(trace.waited)),
            query_us: asked.then(|| micros(trace.asked)),
            rows: rows.filter(|_| asked),
            fired: matches!(work, Work::Rules(_)).then_some(trace.fired.len()),
        }
    }
}
