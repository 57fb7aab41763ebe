//! The walk: every node starts the moment the nodes it depends on have ended.
//!
//! The walk is one future. It holds a counter a node of what the node still waits for; when a node ends, the counters of
//! its dependents fall, and those that reach zero start. There is no layer barrier and no task a node: dropping the walk
//! drops, and so cancels, whatever is under way.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{Either, FutureExt, select};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tracing::{Instrument, Span};

use super::decision::Decision;
use super::error::FlowError;
use super::facts::Known;
use super::outcome;
use super::overrides::Overrides;
use super::ports::Ports;
use super::query::{QueryAnswer, QueryError, QueryErrorKind};
use super::span;
use super::trace::{Detail, NodeEnd, Notes, Skip, Trace};
use crate::graph::{Cause, Flow, Guard, Node, Outcome, QueryNode, Rows, RuleNode, Work};
use crate::grl::{Evaluation, Facts, Lookup, Owner, RulesTrace, Unknowns};
use crate::types::{Clock, Deadline, DomainName, NodeId, Value};

/// What one run is given beside its inputs.
#[derive(Debug, Clone)]
pub struct Run {
    /// The moment the decision is made at.
    pub clock: Clock,
    /// When the decision is due.
    pub deadline: Deadline,
    /// How much it notes of what it does.
    pub detail: Detail,
    /// Facts that are replaced.
    pub overrides: Overrides,
}

impl Run {
    /// A plain run: no notes, nothing replaced.
    pub fn new(clock: Clock, deadline: Deadline) -> Self {
        Self { clock, deadline, detail: Detail::Decision, overrides: Overrides::none() }
    }
}

/// What a run gives: a decision or why there is none, and what it did where it was asked to note that.
#[derive(Debug)]
pub struct Report {
    /// The decision.
    pub result: Result<Decision, FlowError>,
    /// What the run did.
    pub trace: Option<Arc<Trace>>,
}

/// Decides `flow` for `inputs` (a map with every input, as [`crate::graph::InputSchema`] makes it).
///
/// The result of the report is there by the deadline.
pub async fn run<P: Ports>(flow: &Flow, inputs: Value, ports: &P, run: &Run) -> Report {
    let given = run.deadline.remaining();
    let mut walk = match Walk::new(flow, inputs, run) {
        Ok(walk) => walk,
        Err(error) => return Report { result: Err(error), trace: None },
    };
    let ended = {
        let timer = pin!(tokio::time::sleep_until(run.deadline.instant().into()));
        match select(pin!(walk.through(ports)), timer).await {
            Either::Left((result, _)) => Some(result),
            Either::Right(_) => None,
        }
    };
    let ended = ended.unwrap_or_else(|| Err(FlowError::Deadline { nodes: walk.unfinished(), after: given }));
    walk.report(ended)
}

/// Decides `flow` over ports that answer at once or never: those of `offline`. There is no timer, and so no runtime is
/// needed. `None` where the decision depends on an answer that never comes.
pub(super) fn run_at_once<P: Ports>(flow: &Flow, inputs: Value, ports: &P, run: &Run) -> Option<Report> {
    match Walk::new(flow, inputs, run) {
        Ok(mut walk) => {
            let ended = walk.through(ports).now_or_never()?;
            Some(walk.report(ended))
        }
        Err(error) => Some(Report { result: Err(error), trace: None }),
    }
}

/// Which node ended, and how.
struct Finished {
    node: usize,
    result: Result<Ended, FlowError>,
    effort: Effort,
}

/// What a node's work took and told beside its value.
#[derive(Default)]
struct Effort {
    waited: Duration,
    asked: Duration,
    fired: Vec<usize>,
    rules: Option<Box<RulesTrace>>,
}

/// How a node ended.
pub(super) enum Ended {
    /// With a value, in which these facts are unknown.
    Value(Value, Option<Arc<Unknowns>>),
    /// With its default in place of an answer, and why.
    Degraded(Value, &'static str),
    /// Not at all: a condition on the way to it does not hold, or a fact it needs will never be set.
    Skipped,
    /// Not at all: a condition on the way to it, or a parameter, is unknown.
    Unknown,
}

/// How a node starts.
enum Start<'a> {
    /// It is not to run.
    Skip(Skip),
    /// Whether it is to run, or what to ask, is unknown.
    Unknown(Skip),
    /// It runs.
    Run(Task<'a>),
}

/// What a node that runs does.
enum Task<'a> {
    /// Ask, with these parameters.
    Ask(&'a QueryNode, Vec<Value>),
    /// Evaluate, over these facts.
    Evaluate(&'a RuleNode, Vec<Lookup>),
    /// Nothing: it is given.
    Given(Value),
}

struct Walk<'a> {
    flow: &'a Flow,
    run: &'a Run,
    known: Known<'a>,
    /// By node: how many nodes it still waits for.
    waits_for: Vec<usize>,
    ended: Vec<bool>,
    degraded: Vec<usize>,
    notes: Option<Box<Notes>>,
}

impl<'a> Walk<'a> {
    fn new(flow: &'a Flow, inputs: Value, run: &'a Run) -> Result<Self, FlowError> {
        let waits_for = flow.nodes.iter().map(|node| node.depends_on.len()).collect();
        let ended = vec![false; flow.nodes.len()];
        let inputs = run.overrides.inputs(flow, inputs)?;
        let notes = Notes::new(run.detail, flow.nodes.len(), &inputs, &run.clock);
        Ok(Self { flow, run, known: Known::new(flow, inputs), waits_for, ended, degraded: Vec::new(), notes })
    }

    /// The decision, now that every node has ended, or the error that came before.
    fn report(mut self, ended: Result<(), FlowError>) -> Report {
        let result = ended.and_then(|()| {
            let mut tried = |outcome: &Outcome, holds: bool| {
                if let Some(notes) = &mut self.notes {
                    let reason = || outcome.when.as_ref()?.why_not(&self.known, &self.run.clock);
                    notes.tried(if holds { None } else { reason() });
                }
            };
            // As the graph lists them: the order in which they failed differs from run to run.
            let mut degraded: Vec<&Node> = self.degraded.iter().filter_map(|node| self.flow.nodes.get(*node)).collect();
            degraded.sort_by_key(|node| node.span.range().start);
            let degraded = degraded.into_iter().map(|node| node.id.clone()).collect();
            outcome::decide(self.flow, &self.known, &self.run.clock, degraded, &mut tried)
        });
        Report { result, trace: self.notes.map(|notes| Arc::new(notes.into_trace())) }
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
                    Ok(work) => running.push(work),
                    Err(ended) => self.end(index, ended, &mut ready)?,
                }
            }
            let Some(Finished { node: index, result, effort }) = running.next().await else { break };
            self.note(index, &result, effort);
            match result {
                Ok(ended) => self.end(index, ended, &mut ready)?,
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

    /// The work of a node whose dependencies have ended, or how it ends without any.
    fn start<'p, P: Ports>(
        &mut self,
        index: usize,
        ports: &'p P,
    ) -> Result<Result<impl Future<Output = Finished> + use<'a, 'p, P>, Ended>, FlowError> {
        let flow = self.flow;
        let Some(node) = flow.nodes.get(index) else { return Ok(Err(Ended::Skipped)) };
        let task = match self.how_to_start(index, node)? {
            Start::Skip(skip) => {
                if let Some(notes) = &mut self.notes {
                    notes.ended(index, |node| node.end = NodeEnd::Skipped(skip));
                }
                return Ok(Err(Ended::Skipped));
            }
            Start::Unknown(skip) => {
                if let Some(notes) = &mut self.notes {
                    notes.ended(index, |node| node.end = NodeEnd::Unknown(skip));
                }
                return Ok(Err(Ended::Unknown));
            }
            Start::Run(task) => task,
        };
        if let Some(notes) = &mut self.notes {
            match &task {
                Task::Ask(_, params) => notes.started(index, params),
                Task::Evaluate(..) => notes.started(index, &[]),
                Task::Given(_) => {}
            }
        }
        let span = span::of(node);
        Ok(Ok(finish(ports, (index, node), task, self.run, span.clone()).instrument(span)))
    }

    fn how_to_start(&self, index: usize, node: &'a Node) -> Result<Start<'a>, FlowError> {
        if let Some(start) = self.closed(node)? {
            return Ok(start);
        }
        if let Some(whole) = self.run.overrides.whole(index) {
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
                let because = self.notes.as_ref().and_then(|_| guard.rule.why_not(&self.known, &self.run.clock));
                Skip::Edge { from: from(), because }
            };
            match guard.rule.evaluate(&self.known, &self.run.clock) {
                Ok(Some(Value::Boolean(true))) => {}
                Ok(None) if self.is_unknown(guard) => unknown = unknown.or_else(|| Some(skip())),
                Ok(_) => return Ok(Some(Start::Skip(skip()))),
                // As in a condition, an error counts only where what stands before it is known.
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
        let lacked = guard.rule.lacks(&self.known, &self.run.clock);
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
        Ok(unknown.map_or(Start::Run(Task::Ask(query, params)), Start::Unknown))
    }

    fn note(&mut self, index: usize, result: &Result<Ended, FlowError>, effort: Effort) {
        let Some(notes) = &mut self.notes else { return };
        notes.ended(index, |node| {
            let Effort { waited, asked, fired, rules } = effort;
            (node.waited, node.asked, node.fired, node.rules) = (waited, asked, fired, rules);
            if let Ok(Ended::Value(_, unknown)) = result {
                node.unknown.clone_from(unknown);
            }
            node.end = match result {
                Ok(Ended::Value(value, _)) => NodeEnd::Value(value.clone()),
                Ok(Ended::Degraded(value, code)) => NodeEnd::Degraded { value: value.clone(), code },
                Ok(Ended::Skipped | Ended::Unknown) => NodeEnd::NotStarted,
                Err(FlowError::NotFound { .. }) => NodeEnd::WrongRows(0),
                Err(FlowError::TooManyRows { found, .. }) => NodeEnd::WrongRows(*found),
                Err(error) => NodeEnd::Failed(error.code()),
            };
        });
    }

    fn end(&mut self, index: usize, ended: Ended, ready: &mut Vec<usize>) -> Result<(), FlowError> {
        self.mark_ended(index);
        let Some(node) = self.flow.nodes.get(index) else { return Ok(()) };
        match ended {
            Ended::Value(value, unknown) => self.set(index, value, unknown)?,
            Ended::Degraded(value, _) => {
                self.set(index, value, None)?;
                self.degraded.push(index);
            }
            Ended::Skipped => tracing::debug!(node.id = %node.id, "node skipped"),
            Ended::Unknown => {
                tracing::debug!(node.id = %node.id, "node not run: a condition on the way to it, or a parameter, is unknown");
                self.known.set_unknown(index);
            }
        }
        for dependent in &node.dependents {
            if let Some(waits) = self.waits_for.get_mut(*dependent) {
                *waits = waits.saturating_sub(1);
                if *waits == 0 {
                    ready.push(*dependent);
                }
            }
        }
        Ok(())
    }

    fn set(&mut self, index: usize, value: Value, unknown: Option<Arc<Unknowns>>) -> Result<(), FlowError> {
        let overrides = &self.run.overrides;
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

/// The work of a node, to its end.
async fn finish<P: Ports>(ports: &P, (index, node): (usize, &Node), task: Task<'_>, run: &Run, span: Span) -> Finished {
    let (result, effort) = match task {
        Task::Ask(query, params) => ask(ports, node, query, params, run).await,
        Task::Evaluate(rules, reads) => evaluate(ports, node, rules, reads, run).await,
        Task::Given(value) => (Ok(Ended::Value(value, None)), Effort::default()),
    };
    span::ended(&span, &result);
    Finished { node: index, result, effort }
}

async fn ask<P: Ports>(
    ports: &P,
    node: &Node,
    query: &QueryNode,
    params: Vec<Value>,
    run: &Run,
) -> (Result<Ended, FlowError>, Effort) {
    let begun = (run.detail > Detail::Decision).then(Instant::now);
    match ports.query(query, params, run.deadline).await {
        Ok(answer) => {
            let effort = Effort { waited: answer.waited, asked: answer.took, ..Effort::default() };
            (value_of(node, query, answer).map(|value| Ended::Value(value, None)), effort)
        }
        Err(error) => {
            let effort = vain(&error, begun.map_or(Duration::ZERO, |begun| begun.elapsed()));
            let default = cause(&error, run.deadline).and_then(|cause| query.on_error.default_for(cause));
            let ended = match default {
                Some(value) => {
                    tracing::warn!(node.id = %node.id, domain = %query.domain, error = %error, "default used in place of an answer");
                    Ok(Ended::Degraded(value.clone(), error.kind.code()))
                }
                None => Err(FlowError::Query { node: node.id.clone(), source: error }),
            };
            (ended, effort)
        }
    }
}

/// What a query took that had no answer: for want of a connection it has only waited, all else is its database's.
fn vain(error: &QueryError, took: Duration) -> Effort {
    match error.kind {
        QueryErrorKind::Overloaded { .. } => Effort { waited: took, ..Effort::default() },
        _ => Effort { asked: took, ..Effort::default() },
    }
}

/// The failure of the database that a default may replace. A query that the run's own deadline cut short may have been
/// given too little time: that says nothing of its database.
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
    run: &Run,
) -> (Result<Ended, FlowError>, Effort) {
    match ports.evaluate(&rules.ruleset, reads, run).await {
        Ok(Evaluation { facts, fired, trace, unknown, .. }) => {
            let unknown = unknown.filter(|_| rules.allows_waiting.is_none());
            (Ok(Ended::Value(facts, unknown)), Effort { fired, rules: trace, ..Effort::default() })
        }
        Err(source) => (Err(FlowError::Rules { node: node.id.clone(), source }), Effort::default()),
    }
}
