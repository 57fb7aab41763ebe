//! What a run did: when each node started, how long it waited and asked, how it ended, which rules fired.
//!
//! A run notes nothing unless its options ask for it ([`Detail`]). A trace shares the values of the run. `explain` makes it
//! readable, and the rooms above record it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::FlowError;
use crate::grl::{FactRef, Reason, RulesTrace, Unknowns};
use crate::types::{Clock, NodeId, Value};

/// How much a run notes beside its decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Detail {
    /// Nothing.
    #[default]
    Decision,
    /// What each node queried and received, and when: enough to decide again without databases.
    Answers,
    /// Also why each rule fired or did not.
    Reasons,
}

/// What a run did.
#[derive(Debug, Clone)]
pub struct Trace {
    /// The inputs, checked.
    pub inputs: Value,
    /// The moment the decision was made at.
    pub clock: Clock,
    /// Its nodes, in the order of the plan.
    pub nodes: Vec<NodeTrace>,
    /// For each outcome that was tried: why it does not hold.
    pub outcomes: Vec<Option<Reason>>,
    /// The outcome that the decision was made of, by its position in the flow.
    pub chosen: Option<usize>,
    /// The effect of that outcome.
    pub effect: Option<Box<EffectTrace>>,
    /// What became of the key of its request.
    pub key: Option<KeyTrace>,
    /// From the first node's start to the decision.
    pub took: Duration,
}

/// What the effect of a decision writes, or would write if its request had a key.
#[derive(Debug, Clone, Default)]
pub struct EffectTrace {
    /// The effect, by its position in the flow.
    pub effect: usize,
    /// Its statements, in order.
    pub statements: Vec<StatementTrace>,
    /// Whether it waits for an approval.
    pub needs_approval: bool,
    /// The key of its event, as far as it is known.
    pub event_key: Option<String>,
    /// Why it cannot be written: an expression of it has no value.
    pub failed: Option<Arc<FlowError>>,
}

/// What became of the key of a request.
#[derive(Debug, Clone)]
pub struct KeyTrace {
    /// The key.
    pub key: String,
    /// `placed`, `pending`, `stored`, `conflicted`, `unknown` or `failed`; of an approval `approved` or `dropped`.
    pub result: &'static str,
    /// The id of the event in the outbox.
    pub event: Option<String>,
}

impl KeyTrace {
    /// A key without an event.
    pub fn new(key: &str, result: &'static str) -> Self {
        Self { key: key.to_owned(), result, event: None }
    }
}

impl EffectTrace {
    /// The parameters as flow tests write them: those of the only statement, or a list for each statement.
    pub fn params(&self) -> Value {
        let params = |statement: &StatementTrace| statement.params.clone().map_or(Value::Null, Value::list);
        match self.statements.as_slice() {
            [statement] => params(statement),
            statements => Value::list(statements.iter().map(params)),
        }
    }
}

/// What one statement of an effect is given and returns.
#[derive(Debug, Clone, Default)]
pub struct StatementTrace {
    /// Its parameters; `None` where they need the row of a statement that did not run.
    pub params: Option<Vec<Value>>,
    /// The first row that it returned, where it ran and returned one.
    pub returned: Option<Value>,
}

/// What one node did.
#[derive(Debug, Clone, Default)]
pub struct NodeTrace {
    /// When it started, since the run began; `None` where it did not.
    pub began: Option<Duration>,
    /// From its start to its end.
    pub took: Duration,
    /// How long its query waited for a connection.
    pub waited: Duration,
    /// How long its database took.
    pub asked: Duration,
    /// By how much the rows of its query may be older than the query.
    pub staleness: Option<Duration>,
    /// The parameters of its query.
    pub params: Vec<Value>,
    /// How it ended.
    pub end: NodeEnd,
    /// The rules that fired, in order, by their position in the ruleset.
    pub fired: Vec<usize>,
    /// What its rules did and why, with [`Detail::Reasons`].
    pub rules: Option<Box<RulesTrace>>,
    /// Its facts that are unknown because rules wait.
    pub unknown: Option<Arc<Unknowns>>,
}

/// How a node ended.
#[derive(Debug, Clone, Default)]
pub enum NodeEnd {
    /// It still waited for other nodes when the run ended.
    #[default]
    NotStarted,
    /// It was still running when the run ended.
    Unfinished,
    /// It did not run: the condition of an edge is false, or a parameter is unset.
    Skipped(Skip),
    /// It did not run: the condition of an edge, or a parameter, is unknown.
    Unknown(Skip),
    /// It has this value.
    Value(Value),
    /// Its default replaced the answer of its database.
    Degraded {
        /// The default.
        value: Value,
        /// Why: the code of the error.
        code: &'static str,
    },
    /// Its query found no row, or more than one.
    WrongRows(usize),
    /// It failed.
    Failed(&'static str),
}

impl NodeEnd {
    /// Its stable name, as programs read it in explanations and records.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NotStarted => "not_started",
            Self::Unfinished => "unfinished",
            Self::Skipped(_) => "skipped",
            Self::Unknown(_) => "unknown",
            Self::Value(_) => "done",
            Self::Degraded { .. } => "degraded",
            Self::WrongRows(_) | Self::Failed(_) => "failed",
        }
    }
}

/// A time in microseconds, as explanations and records write it.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Why a node did not run.
#[derive(Debug, Clone)]
pub enum Skip {
    /// The condition of an edge does not hold or is unknown.
    Edge {
        /// The node the edge comes from.
        from: NodeId,
        /// Why it does not.
        because: Option<Reason>,
    },
    /// A parameter of its query is unset or unknown.
    Unset(FactRef),
}

/// Takes the notes of a run.
pub(super) struct Notes {
    began: Instant,
    trace: Trace,
}

impl Notes {
    pub(super) fn new(detail: Detail, nodes: usize, inputs: &Value, clock: &Clock) -> Option<Box<Self>> {
        if detail == Detail::Decision {
            return None;
        }
        let trace = Trace {
            inputs: inputs.clone(),
            clock: clock.clone(),
            nodes: vec![NodeTrace::default(); nodes],
            outcomes: Vec::new(),
            chosen: None,
            effect: None,
            key: None,
            took: Duration::ZERO,
        };
        Some(Box::new(Self { began: Instant::now(), trace }))
    }

    pub(super) fn started(&mut self, node: usize, params: &[Value]) {
        let now = self.began.elapsed();
        if let Some(node) = self.trace.nodes.get_mut(node) {
            node.began = Some(now);
            node.params = params.to_vec();
            node.end = NodeEnd::Unfinished;
        }
    }

    pub(super) fn ended(&mut self, node: usize, note: impl FnOnce(&mut NodeTrace)) {
        let now = self.began.elapsed();
        if let Some(node) = self.trace.nodes.get_mut(node) {
            node.took = now.saturating_sub(node.began.unwrap_or(now));
            note(node);
        }
    }

    pub(super) fn tried(&mut self, because: Option<Reason>) {
        self.trace.outcomes.push(because);
    }

    pub(super) fn decided(&mut self, outcome: usize, effect: Option<Box<EffectTrace>>) {
        (self.trace.chosen, self.trace.effect) = (Some(outcome), effect);
    }

    pub(super) fn into_trace(self) -> Trace {
        Trace { took: self.began.elapsed(), ..self.trace }
    }
}
