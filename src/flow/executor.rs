//! The walk: every node starts the moment the nodes it depends on have ended.
//!
//! The walk is one future. It holds a counter a node of what the node still waits for; when a node ends, the counters of
//! its dependents fall, and those that reach zero start. There is no layer barrier and no task a node: dropping the walk
//! drops, and so cancels, whatever is under way.

use std::future::Future;
use std::pin::pin;

use futures_util::future::{Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tracing::Instrument;

use super::decision::Decision;
use super::error::FlowError;
use super::facts::Known;
use super::outcome;
use super::ports::Ports;
use crate::graph::{Flow, Node, OnError, QueryNode, Rows, RuleNode, Work};
use crate::grl::{Facts, Lookup};
use crate::postgres::{Answer, QueryError, QueryErrorKind};
use crate::types::{Clock, Deadline, DomainName, NodeId, Value};

/// What one run is given beside its inputs.
#[derive(Debug, Clone)]
pub struct Run {
    /// The moment the decision is made at.
    pub clock: Clock,
    /// When the decision is due.
    pub deadline: Deadline,
}

/// Decides `flow` for `inputs` (a map with every input, as [`crate::graph::InputSchema`] makes it).
///
/// # Errors
/// [`FlowError`], by the deadline.
pub async fn run<P: Ports>(flow: &Flow, inputs: Value, ports: &P, run: &Run) -> Result<Decision, FlowError> {
    let given = run.deadline.remaining();
    let mut walk = Walk::new(flow, inputs, run);
    let ended = {
        let timer = pin!(tokio::time::sleep_until(run.deadline.instant().into()));
        match select(pin!(walk.through(ports)), timer).await {
            Either::Left((result, _)) => Some(result),
            Either::Right(_) => None,
        }
    };
    match ended {
        Some(result) => result?,
        None => return Err(FlowError::Deadline { nodes: walk.unfinished(), after: given }),
    }
    outcome::decide(&flow.outcomes, &walk.known, &run.clock, walk.degraded)
}

/// Which node ended, and how.
type Finished = (usize, Result<Ended, FlowError>);

/// How a node ended.
enum Ended {
    /// With a value.
    Value(Value),
    /// With its default in place of an answer.
    Degraded(Value),
    /// Not at all: a condition on the way to it does not hold, or a fact it needs will never be set.
    Skipped,
}

struct Walk<'a> {
    flow: &'a Flow,
    run: &'a Run,
    known: Known<'a>,
    /// By node: how many nodes it still waits for.
    waits_for: Vec<usize>,
    ended: Vec<bool>,
    degraded: Vec<NodeId>,
}

impl<'a> Walk<'a> {
    fn new(flow: &'a Flow, inputs: Value, run: &'a Run) -> Self {
        let waits_for = flow.nodes.iter().map(|node| node.depends_on.len()).collect();
        let ended = vec![false; flow.nodes.len()];
        Self { flow, run, known: Known::new(flow, inputs), waits_for, ended, degraded: Vec::new() }
    }

    /// Runs every node to its end.
    async fn through<P: Ports>(&mut self, ports: &P) -> Result<(), FlowError> {
        let mut running = FuturesUnordered::new();
        let mut ready: Vec<usize> =
            self.waits_for.iter().enumerate().filter(|(_, n)| **n == 0).map(|(i, _)| i).collect();
        let mut missing: Option<(usize, FlowError)> = None;
        loop {
            while let Some(index) = ready.pop() {
                match self.start(index, ports)? {
                    Some(work) => running.push(work),
                    None => self.end(index, Ended::Skipped, &mut ready),
                }
            }
            let Some((index, result)) = running.next().await else { break };
            match result {
                Ok(ended) => self.end(index, ended, &mut ready),
                // A missing row is reported for the first node of the graph that misses one, so that the same request
                // gets the same answer: nodes before it may still find theirs missing too, or fail.
                Err(error @ FlowError::NotFound { .. }) => {
                    self.mark_ended(index);
                    if missing.as_ref().is_none_or(|(first, _)| index < *first) {
                        missing = Some((index, error));
                    }
                }
                Err(error) => return Err(error),
            }
            if let Some((first, _)) = &missing {
                let undecided =
                    self.ended.iter().zip(&self.waits_for).take(*first).any(|(ended, waits)| !ended && *waits == 0);
                if !undecided {
                    break;
                }
            }
        }
        missing.map_or(Ok(()), |(_, error)| Err(error))
    }

    /// The work of a node whose dependencies have ended; `None` where it is skipped.
    fn start<'p, P: Ports>(
        &self,
        index: usize,
        ports: &'p P,
    ) -> Result<Option<impl Future<Output = Finished> + use<'a, 'p, P>>, FlowError> {
        let Some(node) = self.flow.nodes.get(index) else { return Ok(None) };
        if !self.is_open(node)? {
            return Ok(None);
        }
        let work = match &node.work {
            Work::Query(query) => {
                let Some(params) = self.params(node, query)? else { return Ok(None) };
                Either::Left(ask(ports, node, query, params, self.run.deadline))
            }
            Work::Rules(rules) => {
                let reads = rules.ruleset.reads().iter().map(|fact| self.known.read(fact)).collect();
                Either::Right(evaluate(ports, node, rules, reads, self.run))
            }
        };
        let span = tracing::debug_span!("node", node.id = %node.id);
        Ok(Some(async move { (index, work.await) }.instrument(span)))
    }

    /// Whether all conditions on the edges to `node` are true. One that depends on an unset fact is not.
    fn is_open(&self, node: &Node) -> Result<bool, FlowError> {
        for guard in &node.guards {
            let value = guard.rule.evaluate(&self.known, &self.run.clock).map_err(|source| {
                let from = self.flow.nodes.get(guard.from).map_or("", |from| from.id.as_str());
                FlowError::Expression { place: format!("edge `{from}` -> `{}`", node.id), source }
            })?;
            if value != Some(Value::Boolean(true)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The parameters of a query; `None` where one will never be set.
    fn params(&self, node: &Node, query: &QueryNode) -> Result<Option<Vec<Value>>, FlowError> {
        let mut params = Vec::with_capacity(query.params.len());
        for fact in &query.params {
            match self.known.read(fact) {
                Lookup::Value(value) => params.push(value),
                Lookup::Unset => return Ok(None),
                Lookup::Missing => {
                    return Err(FlowError::MissingParameter { node: node.id.clone(), fact: fact.written.to_string() });
                }
            }
        }
        Ok(Some(params))
    }

    fn end(&mut self, index: usize, ended: Ended, ready: &mut Vec<usize>) {
        self.mark_ended(index);
        let Some(node) = self.flow.nodes.get(index) else { return };
        match ended {
            Ended::Value(value) => self.known.set(index, value),
            Ended::Degraded(value) => {
                self.known.set(index, value);
                self.degraded.push(node.id.clone());
            }
            Ended::Skipped => tracing::debug!(node.id = %node.id, "node skipped"),
        }
        for dependent in &node.dependents {
            if let Some(waits) = self.waits_for.get_mut(*dependent) {
                *waits = waits.saturating_sub(1);
                if *waits == 0 {
                    ready.push(*dependent);
                }
            }
        }
    }

    fn mark_ended(&mut self, index: usize) {
        if let Some(ended) = self.ended.get_mut(index) {
            *ended = true;
        }
    }

    fn unfinished(&self) -> Vec<(NodeId, Option<DomainName>)> {
        let started = self.flow.nodes.iter().zip(&self.ended).zip(&self.waits_for);
        let under_way = started.filter(|((_, ended), waits)| !**ended && **waits == 0);
        under_way
            .map(|((node, _), _)| match &node.work {
                Work::Query(query) => (node.id.clone(), Some(query.domain.clone())),
                Work::Rules(_) => (node.id.clone(), None),
            })
            .collect()
    }
}

async fn ask<P: Ports>(
    ports: &P,
    node: &Node,
    query: &QueryNode,
    params: Vec<Value>,
    deadline: Deadline,
) -> Result<Ended, FlowError> {
    match ports.query(query, params, deadline).await {
        Ok(answer) => value_of(node, query, answer).map(Ended::Value),
        Err(error) => match &query.on_error {
            OnError::Default(value) if is_outage(&error) => {
                tracing::warn!(node.id = %node.id, domain = %query.domain, error = %error, "default used in place of an answer");
                Ok(Ended::Degraded(value.clone()))
            }
            OnError::Default(_) | OnError::Fail => Err(FlowError::Query { node: node.id.clone(), source: error }),
        },
    }
}

/// Whether the database gave no answer, as against a question that makes no sense.
fn is_outage(error: &QueryError) -> bool {
    match error.kind {
        QueryErrorKind::Unavailable { .. }
        | QueryErrorKind::Overloaded { .. }
        | QueryErrorKind::Timeout { .. }
        | QueryErrorKind::ConnectionLost { .. }
        | QueryErrorKind::Sql { .. } => true,
        QueryErrorKind::Parameter { .. } | QueryErrorKind::Column { .. } | QueryErrorKind::ParameterCount { .. } => {
            false
        }
    }
}

fn value_of(node: &Node, query: &QueryNode, answer: Answer) -> Result<Value, FlowError> {
    let mut rows = answer.rows;
    match (query.rows, rows.len()) {
        (Rows::Many, _) => Ok(Value::List(rows.into())),
        (Rows::One, 0) => Err(FlowError::NotFound { node: node.id.clone(), domain: query.domain.clone() }),
        (Rows::Optional, 0) => Ok(Value::Null),
        (Rows::One | Rows::Optional, 1) => Ok(rows.pop().unwrap_or_default()),
        (Rows::One | Rows::Optional, found) => {
            Err(FlowError::TooManyRows { node: node.id.clone(), domain: query.domain.clone(), found })
        }
    }
}

async fn evaluate<P: Ports>(
    ports: &P,
    node: &Node,
    rules: &RuleNode,
    reads: Vec<Lookup>,
    run: &Run,
) -> Result<Ended, FlowError> {
    match ports.evaluate(&rules.ruleset, reads, &run.clock, run.deadline).await {
        Ok(evaluation) => Ok(Ended::Value(evaluation.facts)),
        Err(source) => Err(FlowError::Rules { node: node.id.clone(), source }),
    }
}
