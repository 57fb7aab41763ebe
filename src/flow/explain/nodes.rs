//! What each node of a run did.

use serde::Serialize;

use super::redact::Redaction;
use super::rules::{self, Fired, NotFired};
use crate::flow::trace::{NodeEnd, NodeTrace, Skip, Trace, micros};
use crate::graph::{Flow, Node, QueryNode, Work};
use crate::types::{DomainName, FieldName, NodeId, Value};

/// What one node did.
#[derive(Debug, Clone, Serialize)]
pub struct NodeExplanation {
    /// The node.
    pub node: NodeId,
    /// `query` or `rules`.
    pub kind: &'static str,
    /// The domain of its query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<DomainName>,
    /// `done`, `degraded`, `skipped`, `unknown` (whether it was to run, or a parameter, is unknown), `failed`, `unfinished`
    /// or `not_started`.
    pub state: &'static str,
    /// Why, where it is not done.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<String>,
    /// When it started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_us: Option<u64>,
    /// How long it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took_us: Option<u64>,
    /// How long its query waited for a connection, whether it got one or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_us: Option<u64>,
    /// How long its database took, whether it answered or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query_us: Option<u64>,
    /// By how much its rows may be older than its query, at most. Only where `max_staleness_ms` of the domain limits that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub staleness_us: Option<u64>,
    /// The parameters of its query.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Value>,
    /// How many rows its database found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<usize>,
    /// Its value: the row, the rows, or the facts of its rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// Its facts that are unknown because rules wait. Their values in `value` are not final.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<FieldName>,
    /// The rules that fired, in order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fired: Option<Vec<Fired>>,
    /// The rules that did not fire, in the order in which they are tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_fired: Option<Vec<NotFired>>,
    /// Of a decision table: how many further rows did not fire. `not_fired` has those with the fewest false cells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub further_rows: Option<usize>,
}

pub(super) fn explain(flow: &Flow, trace: &Trace, redaction: &Redaction) -> Vec<NodeExplanation> {
    let nodes = flow.nodes.iter().zip(&trace.nodes).enumerate();
    nodes.map(|(place, (node, trace))| one(place, node, trace, redaction)).collect()
}

fn one(place: usize, node: &Node, trace: &NodeTrace, redaction: &Redaction) -> NodeExplanation {
    let value = match &trace.end {
        NodeEnd::Value(value) | NodeEnd::Degraded { value, .. } => Some(redaction.value(place, value)),
        _ => None,
    };
    let mut explanation = NodeExplanation {
        node: node.id.clone(),
        kind: "rules",
        domain: None,
        state: trace.end.name(),
        because: because(&trace.end, redaction),
        start_us: trace.began.map(micros),
        took_us: trace.began.map(|_| micros(trace.took)),
        wait_us: None,
        query_us: None,
        staleness_us: None,
        params: Vec::new(),
        rows: None,
        value,
        unknown: trace.unknown.iter().flat_map(|unknown| unknown.facts().cloned()).collect(),
        fired: None,
        not_fired: None,
        further_rows: None,
    };
    match &node.work {
        Work::Query(query) => add_query(&mut explanation, query, trace, redaction),
        Work::Rules(rules) => {
            if let Some(trace) = &trace.rules {
                let (fired, not_fired) = rules::explain(place, &rules.ruleset, trace, redaction);
                (explanation.fired, explanation.not_fired) = (Some(fired), Some(not_fired));
                explanation.further_rows = Some(trace.further).filter(|further| *further > 0);
            }
        }
    }
    explanation
}

fn add_query(explanation: &mut NodeExplanation, query: &QueryNode, trace: &NodeTrace, redaction: &Redaction) {
    let has_ended =
        !matches!(trace.end, NodeEnd::NotStarted | NodeEnd::Unfinished | NodeEnd::Skipped(_) | NodeEnd::Unknown(_));
    let asked = has_ended && trace.began.is_some();
    explanation.kind = "query";
    explanation.domain = Some(query.domain.clone());
    explanation.wait_us = asked.then(|| micros(trace.waited));
    explanation.query_us = asked.then(|| micros(trace.asked));
    explanation.staleness_us = trace.staleness.map(micros);
    let params = query.params.iter().zip(&trace.params);
    explanation.params = params.map(|(fact, value)| redaction.parameter(fact, value)).collect();
    explanation.rows = rows(&trace.end);
}

fn rows(end: &NodeEnd) -> Option<usize> {
    match end {
        NodeEnd::Value(Value::List(rows)) => Some(rows.len()),
        NodeEnd::Value(Value::Null) => Some(0),
        NodeEnd::Value(_) => Some(1),
        NodeEnd::WrongRows(found) => Some(*found),
        _ => None,
    }
}

/// Why a node is not `done`.
fn because(end: &NodeEnd, redaction: &Redaction) -> Vec<String> {
    match end {
        NodeEnd::NotStarted | NodeEnd::Unfinished | NodeEnd::Value(_) => Vec::new(),
        NodeEnd::Degraded { code, .. } | NodeEnd::Failed(code) => vec![(*code).to_owned()],
        NodeEnd::WrongRows(0) => vec!["found 0 rows".to_owned()],
        NodeEnd::WrongRows(found) => vec![format!("found {found} rows or more")],
        NodeEnd::Skipped(Skip::Unset(fact)) => vec![format!("{} is unset", fact.written)],
        NodeEnd::Unknown(Skip::Unset(fact)) => vec![format!("{} is unknown", fact.written)],
        NodeEnd::Skipped(Skip::Edge { from, because }) | NodeEnd::Unknown(Skip::Edge { from, because }) => {
            let is = if matches!(end, NodeEnd::Unknown(_)) { "is unknown" } else { "does not hold" };
            let mut why = vec![format!("the condition of the edge from {from} {is}")];
            why.extend(because.iter().flat_map(|reason| redaction.sentences(None, reason)));
            why
        }
    }
}
