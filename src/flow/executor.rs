//! The walk: every node starts as soon as the nodes it depends on have ended.
//!
//! The walk is one future. For each node it counts the nodes that the node still waits for. When a node ends, the counters
//! of its dependents fall, and those that reach zero start. There are no layers and no tasks: dropping the walk cancels
//! whatever is in flight.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, FutureExt, select};
use futures_util::stream::{FuturesUnordered, StreamExt};

use super::conclusion::Conclusion;
use super::error::FlowError;
use super::facts::Known;
use super::node::{self, NodeResult, Task};
use super::options::RunOptions;
use super::outcome;
use super::ports::Ports;
use super::report::Report;
use super::trace::{NodeEnd, NodeTrace, Notes, Skip};
use crate::graph::{Flow, Guard, Node, Outcome, QueryNode, Work};
use crate::grl::{Facts, Lookup, Owner, Unknowns};
use crate::types::{DomainName, NodeId, Value};

/// Decides `flow` for `inputs` (a map with every input, as [`crate::graph::InputSchema`] makes it).
///
/// The report is ready by the deadline.
pub async fn run<P: Ports>(flow: &Flow, inputs: Value, ports: &P, options: &RunOptions) -> Report {
    let given = options.deadline.remaining();
    let mut walk = match Walk::new(flow, inputs, options) {
        Ok(walk) => walk,
        Err(error) => return error.into(),
    };
    let ended = {
        let timer = pin!(tokio::time::sleep_until(options.deadline.instant().into()));
        match select(pin!(walk.through(ports)), timer).await {
            Either::Left((result, _)) => Some(result),
            Either::Right(_) => None,
        }
    };
    let ended = ended.unwrap_or_else(|| Err(FlowError::Deadline { nodes: walk.unfinished(), after: given }));
    walk.report(ended)
}

/// Decides `flow` over ports that answer at once or never, as those of `offline`. It sets no timer and needs no runtime. `None`
/// where the decision depends on an answer that never comes.
pub(super) fn run_at_once<P: Ports>(flow: &Flow, inputs: Value, ports: &P, options: &RunOptions) -> Option<Report> {
    match Walk::new(flow, inputs, options) {
        Ok(mut walk) => {
            let ended = walk.through(ports).now_or_never()?;
            Some(walk.report(ended))
        }
        Err(error) => Some(error.into()),
    }
}

/// How a node starts.
enum Start<'a> {
    /// It does not run: a condition on the way to it is false, or a fact that it needs is unset.
    Skip(Skip),
    /// It does not run: a condition on the way to it, or a parameter, is unknown.
    Unknown(Skip),
    /// It runs.
    Run(Task<'a>),
}

struct Walk<'a> {
    flow: &'a Flow,
    options: &'a RunOptions,
    known: Known<'a>,
    /// By node: how many nodes it still waits for.
    waits_for: Vec<usize>,
    ended: Vec<bool>,
    degraded: Vec<usize>,
    notes: Option<Box<Notes>>,
}

impl<'a> Walk<'a> {
    fn new(flow: &'a Flow, inputs: Value, options: &'a RunOptions) -> Result<Self, FlowError> {
        let waits_for = flow.nodes.iter().map(|node| node.depends_on.len()).collect();
        let ended = vec![false; flow.nodes.len()];
        let inputs = options.overrides.inputs(flow, inputs)?;
        let notes = Notes::new(options.detail, flow.nodes.len(), &inputs, &options.clock);
        Ok(Self { flow, options, known: Known::new(flow, inputs), waits_for, ended, degraded: Vec::new(), notes })
    }

    /// The decision, now that every node has ended, or the error that came before.
    fn report(mut self, ended: Result<(), FlowError>) -> Report {
        let result = ended.and_then(|()| {
            let mut tried = |outcome: &Outcome, holds: bool| {
                if let Some(notes) = &mut self.notes {
                    let reason = || outcome.when.as_ref()?.why_not(&self.known, &self.options.clock);
                    notes.tried(if holds { None } else { reason() });
                }
            };
            // As the graph lists them: the order in which they failed differs from run to run.
            let mut degraded: Vec<&Node> = self.degraded.iter().filter_map(|node| self.flow.nodes.get(*node)).collect();
            degraded.sort_by_key(|node| node.span.range().start);
            let degraded = degraded.into_iter().map(|node| node.id.clone()).collect();
            outcome::decide(self.flow, &self.known, &self.options.clock, degraded, &mut tried)
        });
        let mut conclusion = None;
        let result = result.map(|(outcome, decision)| {
            if self.options.concludes || self.notes.is_some() {
                let (clock, degraded) = (self.options.clock.clone(), decision.degraded.clone());
                let concluded = Conclusion::new(outcome, self.known, clock, degraded);
                if let Some(notes) = &mut self.notes {
                    notes.decided(outcome, concluded.notes(self.flow));
                }
                conclusion = self.options.concludes.then(|| Box::new(concluded));
            }
            decision
        });
        Report { result, trace: self.notes.map(|notes| Arc::new(notes.into_trace())), conclusion }
    }

    /// Runs every node to its end.
    async fn through<P: Ports>(&mut self, ports: &P) -> Result<(), FlowError> {
        let mut running = FuturesUnordered::new();
        let mut ready: Vec<usize> =
            self.waits_for.iter().enumerate().filter(|(_, n)| **n == 0).map(|(i, _)| i).collect();
        let mut missing: Option<(usize, FlowError)> = None;
        loop {
            while let Some(index) = ready.pop() {
                running.extend(self.start(index, ports, &mut ready)?);
            }
            let Some((index, mut result)) = running.next().await else { break };
            self.note_result(index, &mut result);
            match result.value {
                Ok(value) => {
                    self.set(index, value, result.unknown)?;
                    self.degraded.extend(result.degraded.map(|_| index));
                    self.end(index, &mut ready);
                }
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
            if missing.as_ref().is_some_and(|(first, _)| !self.is_running(*first)) {
                break;
            }
        }
        missing.map_or(Ok(()), |(_, error)| Err(error))
    }

    /// The work of a node whose dependencies have ended. A node that does not run ends here.
    fn start<'p, P: Ports>(
        &mut self,
        index: usize,
        ports: &'p P,
        ready: &mut Vec<usize>,
    ) -> Result<Option<impl Future<Output = (usize, NodeResult)> + use<'a, 'p, P>>, FlowError> {
        let Some(node) = self.flow.nodes.get(index) else { return Ok(None) };
        match self.how_to_start(index, node)? {
            Start::Run(task) => {
                self.note_start(index, &task);
                return Ok(Some(node::work(ports, (index, node), task, self.options)));
            }
            Start::Skip(skip) => {
                tracing::debug!(node.id = %node.id, "node skipped");
                self.note_end(index, |node| node.end = NodeEnd::Skipped(skip));
            }
            Start::Unknown(skip) => {
                tracing::debug!(node.id = %node.id, "node not run: a condition on the way to it, or a parameter, is unknown");
                self.note_end(index, |node| node.end = NodeEnd::Unknown(skip));
                self.known.set_unknown(index);
            }
        }
        self.end(index, ready);
        Ok(None)
    }

    /// Whether a node before `place` runs.
    fn is_running(&self, place: usize) -> bool {
        self.ended.iter().zip(&self.waits_for).take(place).any(|(ended, waits)| !ended && *waits == 0)
    }

    fn how_to_start(&self, index: usize, node: &'a Node) -> Result<Start<'a>, FlowError> {
        if let Some(start) = self.closed(node)? {
            return Ok(start);
        }
        if let Some(whole) = self.options.overrides.whole(index) {
            return Ok(Start::Run(Task::Given(whole.as_answer(node)?)));
        }
        match &node.work {
            Work::Query(query) => self.params(node, query),
            Work::Rules(rules) => {
                let reads = rules.ruleset.reads().iter().map(|fact| self.known.read(fact)).collect();
                Ok(Start::Run(Task::Evaluate(rules, reads)))
            }
        }
    }

    /// Whether an edge keeps `node` from running: one whose condition is false, or depends on an unset fact; or else one whose
    /// condition is unknown.
    fn closed(&self, node: &Node) -> Result<Option<Start<'a>>, FlowError> {
        let mut unknown = None;
        for guard in &node.guards {
            let from = || self.flow.nodes.get(guard.from).map_or(&node.id, |from| &from.id).clone();
            let skip = || {
                let because = self.notes.as_ref().and_then(|_| guard.rule.why_not(&self.known, &self.options.clock));
                Skip::Edge { from: from(), because }
            };
            match guard.rule.evaluate(&self.known, &self.options.clock) {
                Ok(Some(Value::Boolean(true))) => {}
                Ok(None) if self.is_unknown(guard) => unknown = unknown.or_else(|| Some(skip())),
                Ok(_) => return Ok(Some(Start::Skip(skip()))),
                // As in a condition, an error counts only where everything before it is known.
                Err(_) if unknown.is_some() => {}
                Err(source) => {
                    let place = format!("edge `{}` -> `{}`", from(), node.id);
                    return Err(FlowError::Expression { place, source });
                }
            }
        }
        Ok(unknown.map(Start::Unknown))
    }

    /// Whether the condition, which has no value, lacks a fact that is unknown, and not only unset ones.
    fn is_unknown(&self, guard: &Guard) -> bool {
        let lacked = guard.rule.lacks(&self.known, &self.options.clock);
        lacked.iter().any(|fact| matches!(self.known.read(fact), Lookup::Unknown { .. }))
    }

    /// The parameters of a query, unless one has no value.
    fn params(&self, node: &Node, query: &'a QueryNode) -> Result<Start<'a>, FlowError> {
        let mut params = Vec::with_capacity(query.params.len());
        let mut unknown = None;
        for fact in &query.params {
            match self.known.read(fact) {
                Lookup::Value(value) => params.push(value),
                Lookup::Unset => return Ok(Start::Skip(Skip::Unset(fact.clone()))),
                Lookup::Unknown { .. } => unknown = unknown.or_else(|| Some(Skip::Unset(fact.clone()))),
                Lookup::Missing => {
                    return Err(FlowError::MissingParameter { node: node.id.clone(), fact: fact.written.to_string() });
                }
                Lookup::NoKey { of, key } => {
                    return Err(FlowError::MissingKey {
                        node: node.id.clone(),
                        fact: fact.written.to_string(),
                        of,
                        key,
                    });
                }
            }
        }
        Ok(unknown.map_or(Start::Run(Task::Query(query, params)), Start::Unknown))
    }

    fn note_start(&mut self, index: usize, task: &Task<'_>) {
        let Some(notes) = &mut self.notes else { return };
        match task {
            Task::Query(_, params) => notes.started(index, params),
            Task::Evaluate(..) => notes.started(index, &[]),
            Task::Given(_) => {}
        }
    }

    fn note_end(&mut self, index: usize, note: impl FnOnce(&mut NodeTrace)) {
        if let Some(notes) = &mut self.notes {
            notes.ended(index, note);
        }
    }

    fn note_result(&mut self, index: usize, result: &mut NodeResult) {
        self.note_end(index, |node| {
            (node.waited, node.asked, node.staleness) = (result.waited, result.asked, result.staleness);
            (node.fired, node.rules) = (std::mem::take(&mut result.fired), result.rules.take());
            node.unknown.clone_from(&result.unknown);
            node.end = match (&result.value, result.degraded) {
                (Ok(value), None) => NodeEnd::Value(value.clone()),
                (Ok(value), Some(code)) => NodeEnd::Degraded { value: value.clone(), code },
                (Err(FlowError::NotFound { .. }), _) => NodeEnd::WrongRows(0),
                (Err(FlowError::TooManyRows { found, .. }), _) => NodeEnd::WrongRows(*found),
                (Err(error), _) => NodeEnd::Failed(error.code()),
            };
        });
    }

    /// The node has ended: its dependents wait for one node less.
    fn end(&mut self, index: usize, ready: &mut Vec<usize>) {
        self.mark_ended(index);
        let Some(node) = self.flow.nodes.get(index) else { return };
        for dependent in &node.dependents {
            if let Some(waits) = self.waits_for.get_mut(*dependent) {
                *waits = waits.saturating_sub(1);
                if *waits == 0 {
                    ready.push(*dependent);
                }
            }
        }
    }

    fn set(&mut self, index: usize, value: Value, unknown: Option<Arc<Unknowns>>) -> Result<(), FlowError> {
        let overrides = &self.options.overrides;
        if overrides.is_empty() {
            self.known.set(index, value, unknown);
            return Ok(());
        }
        let owner = Owner::Node(index);
        let is_replaced = |fact: &str| overrides.replaces(owner, fact);
        let unknown = unknown.and_then(|unknown| Arc::unwrap_or_clone(unknown).without(is_replaced)).map(Arc::new);
        self.known.set(index, overrides.apply(index, value)?, unknown);
        Ok(())
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
