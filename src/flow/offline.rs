//! The same walk without databases, over recorded answers or those of a test.
//!
//! [`decide`] is the walk of `executor` over ports that answer at once, so it shows what the service would do after a change of
//! graph or rules. A node without an answer ends the run as [`Unanswered`]. It is never treated as an outage, which a
//! default could replace.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::error::RulesError;
use super::executor::run_at_once;
use super::options::RunOptions;
use super::ports::Ports;
use super::query::{QueryAnswer, QueryError, QueryErrorKind};
use super::report::Report;
use super::trace::{Detail, NodeEnd, Trace};
use crate::graph::{Flow, InputError, QueryNode, Work};
use crate::grl::{Engines, Evaluation, Limits, Lookup, Ruleset};
use crate::types::{Clock, Deadline, NodeId, Value};

/// How long a run without databases may take. Rules have a shorter limit of their own.
const RUN_LIMIT: Duration = Duration::from_secs(600);

/// What stands for the answer of a database to one node.
#[derive(Debug, Clone)]
pub enum StubResponse {
    /// These rows.
    Rows {
        /// The rows.
        rows: Vec<Value>,
        /// The only parameters that the rows answer, where they are known.
        params: Option<Vec<Value>>,
    },
    /// This failure.
    Failed(QueryErrorKind),
    /// No answer: the recorded run ended before it came.
    Never,
}

/// The answers of the databases, by node.
pub type Answers = BTreeMap<NodeId, StubResponse>;

/// What the databases answered in a traced run.
pub fn answers(flow: &Flow, trace: &Trace) -> Answers {
    let nodes = flow.nodes.iter().zip(&trace.nodes);
    let answers = nodes.filter_map(|(node, trace)| {
        let answer = match &trace.end {
            NodeEnd::Value(value) => StubResponse::Rows { rows: rows(value), params: Some(trace.params.clone()) },
            NodeEnd::WrongRows(found) => StubResponse::Rows { rows: vec![Value::map([]); *found], params: None },
            NodeEnd::Degraded { code, .. } | NodeEnd::Failed(code) => {
                StubResponse::Failed(QueryErrorKind::of_code(code)?)
            }
            NodeEnd::Unfinished | NodeEnd::NotStarted => StubResponse::Never,
            NodeEnd::Skipped(_) | NodeEnd::Unknown(_) => return None,
        };
        matches!(node.work, Work::Query(_)).then(|| (node.id.clone(), answer))
    });
    answers.collect()
}

/// The rows that the value of a query node stands for.
pub fn rows(value: &Value) -> Vec<Value> {
    match value {
        Value::List(rows) => rows.to_vec(),
        Value::Null => Vec::new(),
        row => vec![row.clone()],
    }
}

/// What a decision is made from: enough to make it without databases.
#[derive(Debug, Clone)]
pub struct Case {
    /// The inputs, as a request would send them.
    pub input: Value,
    /// The clock of the decision.
    pub clock: Clock,
    /// What the databases answer.
    pub answers: Answers,
}

/// Why a case cannot be decided.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// The flow does not take its inputs.
    #[error("its inputs do not fit the flow: {0}")]
    Inputs(#[from] InputError),
    /// A node needs an answer that it does not have.
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
}

impl Case {
    /// Decides `flow` for this case.
    ///
    /// # Errors
    /// [`CaseError`].
    pub fn decide(&self, flow: &Flow, detail: Detail, engines: &OfflineEngines) -> Result<Report, CaseError> {
        let inputs = flow.inputs.parse_kept(&self.input.to_string())?;
        let options = RunOptions::new(self.clock.clone(), Deadline::after(Duration::ZERO));
        let options = RunOptions { detail, concludes: true, ..options };
        Ok(decide(flow, inputs, &self.answers, &options, engines)?)
    }
}

/// Why a run cannot be decided without databases.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// No answer is given for a query that runs.
    #[error("node `{node}` runs its query, and no answer is given for it")]
    Node {
        /// The node.
        node: NodeId,
    },
    /// A query runs with other parameters than those of its answer.
    #[error("node `{node}` runs its query with other parameters than those of its answer")]
    Parameters {
        /// The node.
        node: NodeId,
    },
    /// The decision depends on an answer that was never recorded.
    #[error("the recorded run ended before every answer that this decision needs had come")]
    Never,
}

/// Rule engines without actors, for one thread.
pub struct OfflineEngines {
    limits: Limits,
    engines: RefCell<Engines>,
}

impl OfflineEngines {
    /// Engines with these limits.
    pub fn new(limits: Limits) -> Self {
        Self { limits, engines: RefCell::default() }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) fn evaluate(
        &self,
        ruleset: &Arc<Ruleset>,
        reads: &[Lookup],
        run: &RunOptions,
    ) -> Result<Evaluation, RulesError> {
        let mut engines = self.engines.borrow_mut();
        let engine = engines.of(ruleset, &self.limits)?;
        let evaluation = match run.detail {
            Detail::Reasons => engine.explain(reads, &run.clock, run.deadline),
            Detail::Decision | Detail::Answers => engine.evaluate(reads, &run.clock, run.deadline),
        };
        Ok(evaluation?)
    }
}

/// Decides `flow` for checked `inputs` over `answers`. The deadline of the options is ignored.
///
/// # Errors
/// [`Unanswered`] where a node needs an answer that is not given.
pub fn decide(
    flow: &Flow,
    inputs: Value,
    answers: &Answers,
    run: &RunOptions,
    engines: &OfflineEngines,
) -> Result<Report, Unanswered> {
    let ports = Offline { answers, engines, unanswered: RefCell::new(None) };
    let run = RunOptions { deadline: Deadline::after(RUN_LIMIT), ..run.clone() };
    let report = run_at_once(flow, inputs, &ports, &run);
    match ports.unanswered.into_inner() {
        Some(unanswered) => Err(unanswered),
        None => report.ok_or(Unanswered::Never),
    }
}

struct Offline<'a> {
    answers: &'a Answers,
    engines: &'a OfflineEngines,
    unanswered: RefCell<Option<Unanswered>>,
}

impl Offline<'_> {
    /// Ends the run. Its report is not used.
    fn end(&self, why: Unanswered) -> QueryErrorKind {
        self.unanswered.borrow_mut().get_or_insert(why);
        QueryErrorKind::ParameterCount { expected: 0, given: 0 }
    }

    async fn answer(&self, node: &NodeId, params: &[Value]) -> Result<QueryAnswer, QueryErrorKind> {
        match self.answers.get(node) {
            None => Err(self.end(Unanswered::Node { node: node.clone() })),
            Some(StubResponse::Never) => std::future::pending().await,
            Some(StubResponse::Failed(kind)) => Err(kind.clone()),
            Some(StubResponse::Rows { params: Some(known), .. }) if !are_same(known, params) => {
                Err(self.end(Unanswered::Parameters { node: node.clone() }))
            }
            Some(StubResponse::Rows { rows, .. }) => {
                let (rows, waited, took) = (rows.clone(), Duration::ZERO, Duration::ZERO);
                Ok(QueryAnswer { rows, waited, took, together: 1, staleness: None })
            }
        }
    }
}

/// Whether written parameters are those of the query. A date is written as text.
fn are_same(written: &[Value], asked: &[Value]) -> bool {
    let is_same = |(written, asked): (&Value, &Value)| written == asked || written.to_string() == asked.to_string();
    written.len() == asked.len() && written.iter().zip(asked).all(is_same)
}

impl Ports for Offline<'_> {
    async fn query(&self, node: &QueryNode, params: Vec<Value>, _: Deadline) -> Result<QueryAnswer, QueryError> {
        let id = node.query.node();
        let failed = |kind| QueryError { domain: node.domain.clone(), node: Some(id.clone()), kind };
        self.answer(id, &params).await.map_err(failed)
    }

    async fn evaluate(
        &self,
        ruleset: &Arc<Ruleset>,
        reads: Vec<Lookup>,
        run: &RunOptions,
    ) -> Result<Evaluation, RulesError> {
        self.engines.evaluate(ruleset, &reads, run)
    }
}
