//! The work of one node: a query or an evaluation, under its span.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::field::Empty;
use tracing::{Instrument, Span};

use super::error::FlowError;
use super::options::RunOptions;
use super::ports::Ports;
use super::query::{QueryAnswer, QueryError, QueryErrorKind};
use super::trace::Detail;
use crate::graph::{Cause, Node, QueryNode, Rows, RuleNode, Work};
use crate::grl::{Lookup, RulesTrace, Unknowns};
use crate::types::{Deadline, Value};

/// What a node does once its dependencies have ended.
pub(super) enum Task<'a> {
    /// Runs its query with these parameters.
    Query(&'a QueryNode, Vec<Value>),
    /// Evaluates its rules over these facts.
    Evaluate(&'a RuleNode, Vec<Lookup>),
    /// Nothing: an override is its value.
    Given(Value),
}

/// What came of a node's work.
pub(super) struct NodeResult {
    /// Its value: an answer, a default or facts.
    pub(super) value: Result<Value, FlowError>,
    /// The code of the failure that its default replaced.
    pub(super) degraded: Option<&'static str>,
    /// The facts of its value that are unknown.
    pub(super) unknown: Option<Arc<Unknowns>>,
    /// How long its query waited for a connection.
    pub(super) waited: Duration,
    /// How long its database took.
    pub(super) asked: Duration,
    /// By how much its rows may be older than its query.
    pub(super) staleness: Option<Duration>,
    /// The rules that fired.
    pub(super) fired: Vec<usize>,
    /// Why rules fired or did not.
    pub(super) rules: Option<Box<RulesTrace>>,
}

impl NodeResult {
    fn of(value: Result<Value, FlowError>) -> Self {
        let (waited, asked) = (Duration::ZERO, Duration::ZERO);
        Self { value, degraded: None, unknown: None, waited, asked, staleness: None, fired: Vec::new(), rules: None }
    }
}

/// Does the work of the node at `index`.
pub(super) fn work<'a, 'p, P: Ports>(
    ports: &'p P,
    (index, node): (usize, &'a Node),
    task: Task<'a>,
    options: &'a RunOptions,
) -> impl Future<Output = (usize, NodeResult)> + use<'a, 'p, P> {
    let span = span(node);
    let recorded = span.clone();
    let work = async move {
        let result = match task {
            Task::Query(query, params) => ask(ports, node, query, params, options).await,
            Task::Evaluate(rules, reads) => evaluate(ports, node, rules, reads, options).await,
            Task::Given(value) => NodeResult::of(Ok(value)),
        };
        record(&recorded, &result);
        (index, result)
    };
    work.instrument(span)
}

/// The span of `node`, within that of its decision. It shows no value.
fn span(node: &Node) -> Span {
    let kind = match &node.work {
        Work::Query(_) => "query",
        Work::Rules(_) => "rules",
    };
    tracing::debug_span!(
        "node",
        otel.name = %format_args!("node {}", node.id),
        otel.status_code = Empty,
        node.id = %node.id,
        node.kind = kind,
        node.degraded = Empty,
        error.type = Empty,
    )
}

/// Records a default or an error in the node's span.
fn record(span: &Span, result: &NodeResult) {
    if let Some(code) = result.degraded {
        span.record("node.degraded", code);
    }
    if let Err(error) = &result.value {
        span.record("error.type", error.code());
        if !matches!(error, FlowError::NotFound { .. }) {
            span.record("otel.status_code", "ERROR");
        }
    }
}

async fn ask<P: Ports>(
    ports: &P,
    node: &Node,
    query: &QueryNode,
    params: Vec<Value>,
    options: &RunOptions,
) -> NodeResult {
    let begun = (options.detail > Detail::Decision).then(Instant::now);
    match ports.query(query, params, options.deadline).await {
        Ok(answer) => {
            let (waited, asked, staleness) = (answer.waited, answer.took, answer.staleness);
            NodeResult { waited, asked, staleness, ..NodeResult::of(value_of(node, query, answer)) }
        }
        Err(error) => {
            let took = begun.map_or(Duration::ZERO, |begun| begun.elapsed());
            let (waited, asked) = match error.kind {
                // The query has only waited for a connection.
                QueryErrorKind::Overloaded { .. } => (took, Duration::ZERO),
                _ => (Duration::ZERO, took),
            };
            let default = cause(&error, options.deadline).and_then(|cause| query.on_error.default_for(cause));
            let Some(default) = default else {
                let failed = Err(FlowError::Query { node: node.id.clone(), source: error });
                return NodeResult { waited, asked, ..NodeResult::of(failed) };
            };
            if let Some(times) = query.defaults.count(Instant::now()) {
                tracing::warn!(node.id = %node.id, domain = %query.domain, times, error = %error, "default used in place of an answer");
            }
            NodeResult { waited, asked, degraded: Some(error.kind.code()), ..NodeResult::of(Ok(default.clone())) }
        }
    }
}

/// The failure that a default may replace. A timeout that the run's own deadline caused is none: the query may have been
/// given too little time.
fn cause(error: &QueryError, deadline: Deadline) -> Option<Cause> {
    error.kind.cause().filter(|cause| *cause != Cause::Timeout || !deadline.has_passed())
}

fn value_of(node: &Node, query: &QueryNode, answer: QueryAnswer) -> Result<Value, FlowError> {
    let mut rows = answer.rows;
    let max = query.query.max_rows();
    let too_many =
        |found, max| Err(FlowError::TooManyRows { node: node.id.clone(), domain: query.domain.clone(), found, max });
    match (query.rows, rows.len()) {
        (Rows::Many, found) if found > max => too_many(found, Some(max)),
        (Rows::Many, _) => Ok(Value::List(rows.into())),
        (Rows::One, 0) => Err(FlowError::NotFound { node: node.id.clone(), domain: query.domain.clone() }),
        (Rows::Optional, 0) => Ok(Value::Null),
        (Rows::One | Rows::Optional, 1) => Ok(rows.pop().unwrap_or_default()),
        (Rows::One | Rows::Optional, found) => too_many(found, None),
    }
}

async fn evaluate<P: Ports>(
    ports: &P,
    node: &Node,
    rules: &RuleNode,
    reads: Vec<Lookup>,
    options: &RunOptions,
) -> NodeResult {
    match ports.evaluate(&rules.ruleset, reads, options).await {
        Ok(evaluation) => {
            let unknown = evaluation.unknown.filter(|_| rules.allows_waiting.is_none());
            let (fired, rules) = (evaluation.fired, evaluation.trace);
            NodeResult { unknown, fired, rules, ..NodeResult::of(Ok(evaluation.facts)) }
        }
        Err(source) => NodeResult::of(Err(FlowError::Rules { node: node.id.clone(), source })),
    }
}
