//! A decision record: one line of JSON that holds what a decision was made from and what it was.
//!
//! Rows are kept as plain JSON, with a hint for each column whose type JSON loses (`typed`).

use std::collections::BTreeMap;

use indexmap::IndexMap;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::typed::{hints, restore};
use super::write::RecordedWrite;
use crate::flow::explain::{REDACTED, Redaction};
use crate::flow::offline::{Answers, Case, StubResponse, rows};
use crate::flow::{Decision, FlowError, NodeEnd, NodeTrace, QueryErrorKind, Trace, micros};
use crate::graph::{Flow, Node, QueryNode, Work};
use crate::types::{Clock, Digest, NodeId, Value};

/// The version of the format: another number for another meaning of its fields.
const FORMAT: u32 = 1;

/// A line that is not a record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It is not JSON of the right shape.
    #[error("this is not a decision record: {source}")]
    Shape {
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// It is of a format that this version does not know.
    #[error("the record is of format {found}; this version reads format {FORMAT}")]
    Format {
        /// Its format.
        found: u32,
    },
    /// A value in it is not what the record itself says.
    #[error("{what}")]
    Value {
        /// Which, and what it should be.
        what: String,
    },
}

/// A record. Times are in microseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// The version of the format.
    pub record: u32,
    /// The number of the line in its hash chain, where the file has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<u64>,
    /// The digest of the line before, as in [`super::Link::prev`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prev: Option<String>,
    /// The digest of a line that a crash cut off, as in [`super::Link::torn`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub torn: Option<String>,
    /// The id of the decision.
    pub id: String,
    /// The name of the caller, where callers have one. A replay ignores it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// The clock of the decision.
    pub at: Timestamp,
    /// The zone of its days, by its IANA name.
    pub time_zone: String,
    /// The flow that decided.
    pub flow: String,
    /// The hashes of graph and rules.
    pub versions: BTreeMap<String, String>,
    /// How long the run took.
    pub took_us: u64,
    /// The inputs.
    pub input: Value,
    /// The columns whose values are not in the record, as `node.column`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redacted: Vec<String>,
    /// By node: what it was asked and what it answered.
    pub nodes: IndexMap<String, RecordedNode>,
    /// The decision, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Value>,
    /// The error of the run otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<RecordedError>,
    /// What became of the key of its request, where it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write: Option<RecordedWrite>,
}

/// Why a run gave no decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedError {
    /// The code of the problem.
    pub code: String,
    /// The node it happened at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The domain it happened at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The message.
    #[serde(default)]
    pub detail: String,
}

impl From<&FlowError> for RecordedError {
    fn from(error: &FlowError) -> Self {
        Self {
            code: error.code().to_owned(),
            node: error.node().map(ToString::to_string),
            domain: error.domain().map(ToString::to_string),
            detail: error.to_string(),
        }
    }
}

/// What one node was asked and answered.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RecordedNode {
    /// How it ended: [`NodeEnd::name`].
    pub state: String,
    /// The hash of its query; `None` for a rule node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The parameters of its query.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Value>,
    /// The rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<Vec<Value>>,
    /// By column: the type that its JSON loses.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub types: BTreeMap<String, String>,
    /// How many rows it found, where that is why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<usize>,
    /// The code of its failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// How long its query waited for a connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_us: Option<u64>,
    /// How long its database took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_us: Option<u64>,
    /// The rules that fired, in order; `None` for a query node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fired: Option<Vec<String>>,
    /// When it started, since the run began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_us: Option<u64>,
    /// How long it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_us: Option<u64>,
}

impl Record {
    /// The record of a run of `flow`. With `redact` it lacks the values that the graph redacts, and cannot be replayed.
    pub fn of(flow: &Flow, trace: &Trace, result: Result<&Decision, &RecordedError>, redact: bool) -> Self {
        let redaction = redact.then(|| Redaction::of(flow)).filter(|redaction| !redaction.is_empty());
        let redaction = redaction.as_ref();
        let versions = [("graph", &flow.graph_hash), ("rules", &flow.rules_hash)];
        let outcome = trace.chosen.and_then(|chosen| flow.outcomes.get(chosen));
        let decision = result.ok().and_then(|decision| match redaction {
            None => Some(decision.to_value()),
            Some(redaction) => outcome.map(|outcome| decision.redacted(redaction, outcome).to_value()),
        });
        let mut error = result.err().cloned();
        if let Some(error) = error.as_mut().filter(|error| redaction.is_some() && error.code == "rule_error") {
            // The message of an expression's error may quote a value.
            REDACTED.clone_into(&mut error.detail);
        }
        let nodes = flow.nodes.iter().zip(&trace.nodes).enumerate();
        Self {
            record: FORMAT,
            n: None,
            prev: None,
            torn: None,
            id: String::new(),
            caller: None,
            at: trace.clock.now(),
            time_zone: trace.clock.time_zone().iana_name().unwrap_or("UTC").to_owned(),
            flow: flow.name.to_string(),
            versions: versions.map(|(name, hash)| (name.to_owned(), hash.clone())).into(),
            took_us: micros(trace.took),
            input: trace.inputs.clone(),
            redacted: if redaction.is_some() { redacted(flow) } else { Vec::new() },
            nodes: nodes
                .map(|(place, (node, trace))| (node.id.to_string(), RecordedNode::of(place, node, trace, redaction)))
                .collect(),
            decision,
            error,
            write: RecordedWrite::of(flow, trace, redaction),
        }
    }

    /// Whether a line holds no record by design: it is empty, or the seal at the end of a file.
    pub fn is_absent(line: &str) -> bool {
        line.trim().is_empty() || line.starts_with("{\"seal\":")
    }

    /// Reads a line.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn parse(line: &str) -> Result<Self, RecordError> {
        let record: Self = serde_json::from_str(line.trim_start_matches('\u{feff}'))
            .map_err(|source| RecordError::Shape { source })?;
        if record.record == FORMAT { Ok(record) } else { Err(RecordError::Format { found: record.record }) }
    }

    /// The status of the decision, where there is one.
    pub fn status(&self) -> Option<String> {
        self.decision.as_ref()?.at(["status"]).map(|status| status.to_string())
    }

    /// What the decision was made from.
    ///
    /// # Errors
    /// [`RecordError::Value`] where the time zone is not known here, or a row is not what its types say.
    pub fn case(&self) -> Result<Case, RecordError> {
        let zone = TimeZone::get(&self.time_zone)
            .map_err(|_| RecordError::Value { what: format!("there is no time zone `{}`", self.time_zone) })?;
        let mut answers = Answers::new();
        for (name, node) in &self.nodes {
            let bad = |what: String| RecordError::Value { what: format!("node `{name}`: {what}") };
            let Some(answer) = node.answer().map_err(bad)? else { continue };
            let id = NodeId::parse(name).map_err(|error| bad(error.to_string()))?;
            answers.insert(id, answer);
        }
        Ok(Case { input: self.input.clone(), clock: Clock::fixed(self.at, zone), answers })
    }
}

/// The columns that the graph redacts, as `node.column`.
fn redacted(flow: &Flow) -> Vec<String> {
    let columns = |node: &Node| match &node.work {
        Work::Query(query) => query.redact.iter().map(|column| format!("{}.{column}", node.id)).collect(),
        Work::Rules(_) => Vec::new(),
    };
    flow.nodes.iter().flat_map(columns).collect()
}

impl RecordedNode {
    fn of(place: usize, node: &Node, trace: &NodeTrace, redaction: Option<&Redaction>) -> Self {
        let mut recorded = Self {
            state: trace.end.name().to_owned(),
            start_us: trace.began.map(micros),
            took_us: trace.began.map(|_| micros(trace.took)),
            ..Self::default()
        };
        match &node.work {
            Work::Query(query) => recorded.add_query(place, query, trace, redaction),
            Work::Rules(rules) => {
                let fired = trace.fired.iter().filter_map(|rule| rules.ruleset.rule_name(*rule));
                recorded.fired = Some(fired.map(str::to_owned).collect());
            }
        }
        recorded
    }

    fn add_query(&mut self, place: usize, query: &QueryNode, trace: &NodeTrace, redaction: Option<&Redaction>) {
        self.query = Some(Digest::of(query.query.text()));
        self.params = match redaction {
            None => trace.params.clone(),
            Some(redaction) => {
                let params = query.params.iter().zip(&trace.params);
                params.map(|(fact, value)| redaction.parameter(fact, value)).collect()
            }
        };
        match &trace.end {
            NodeEnd::Value(value) => {
                let kept = redaction.map(|redaction| redaction.value(place, value));
                let rows = rows(kept.as_ref().unwrap_or(value));
                self.types = hints(&rows);
                self.rows = Some(rows);
            }
            NodeEnd::WrongRows(found) => self.found = Some(*found),
            NodeEnd::Degraded { code, .. } | NodeEnd::Failed(code) => self.failed = Some((*code).to_owned()),
            NodeEnd::NotStarted | NodeEnd::Unfinished | NodeEnd::Skipped(_) | NodeEnd::Unknown(_) => {}
        }
        self.wait_us = trace.began.map(|_| micros(trace.waited));
        self.query_us = trace.began.map(|_| micros(trace.asked));
    }

    /// What its database answered; `None` where it is a rule node or was not asked.
    fn answer(&self) -> Result<Option<StubResponse>, String> {
        if let Some(rows) = &self.rows {
            let rows = rows.iter().map(|row| restore(row, &self.types)).collect::<Result<_, _>>()?;
            return Ok(Some(StubResponse::Rows { rows, params: Some(self.params.clone()) }));
        }
        Ok(match (self.found, self.failed.as_deref().and_then(QueryErrorKind::of_code)) {
            (Some(found), _) => Some(StubResponse::Rows { rows: vec![Value::map([]); found], params: None }),
            (None, Some(kind)) => Some(StubResponse::Failed(kind)),
            // The run ended before this node did, or before it began. Decided again, the nodes may end in another order.
            (None, None) if self.query.is_some() && matches!(self.state.as_str(), "unfinished" | "not_started") => {
                Some(StubResponse::Never)
            }
            (None, None) => None,
        })
    }
}
