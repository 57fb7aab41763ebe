//! A finished run on its way to the record: shared values and no text yet, so that making one costs a decision little.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::chain::Link;
use super::typed::hints;
use crate::flow::explain::{REDACTED, Redaction};
use crate::flow::offline::rows;
use crate::flow::{Decision, FlowError, NodeEnd, NodeTrace, Report, Trace, micros};
use crate::graph::{Flow, Node, Outcome, QueryNode, Work};
use crate::types::{Digest, DomainName, NodeId, Value};

/// The version of the format: another number for another meaning of its fields.
pub(super) const FORMAT: u32 = 1;

/// A finished run.
pub struct Entry {
    /// The flow that decided.
    pub flow: Arc<Flow>,
    /// The id of the decision, as its answer has it.
    pub id: String,
    /// The name of the caller, where callers have one.
    pub caller: Option<String>,
    /// What the run did.
    pub trace: Arc<Trace>,
    ended: Ended,
}

/// How the run ended.
enum Ended {
    Decided(Decision),
    Failed { code: &'static str, node: Option<NodeId>, domain: Option<DomainName>, detail: String },
}

impl Entry {
    /// The entry of a run that took notes; `None` where it took none.
    pub fn new(flow: &Arc<Flow>, id: impl Into<String>, caller: Option<&str>, report: &Report) -> Option<Self> {
        let trace = Arc::clone(report.trace.as_ref()?);
        let ended = match &report.result {
            Ok(decision) => Ended::Decided(decision.clone()),
            Err(error) => Ended::failed(error),
        };
        Some(Self { flow: Arc::clone(flow), id: id.into(), caller: caller.map(str::to_owned), trace, ended })
    }

    /// Its line, without a line break. With `redact` it lacks what the graph redacts, and cannot be replayed; with `link`
    /// it is part of a chain.
    ///
    /// # Errors
    /// Those of `serde_json`, which writes every value there is.
    pub fn line(&self, redact: bool, link: Option<&Link>) -> Result<String, serde_json::Error> {
        let redaction = redact.then(|| Redaction::of(&self.flow)).filter(|redaction| !redaction.is_empty());
        serde_json::to_string(&Line { entry: self, redaction: redaction.as_ref(), link })
    }

    /// The outcome that was decided.
    fn outcome(&self) -> Option<&Outcome> {
        self.flow.outcomes.get(self.trace.outcomes.len().checked_sub(1)?)
    }
}

impl Ended {
    fn failed(error: &FlowError) -> Self {
        Self::Failed {
            code: error.code(),
            node: error.node().cloned(),
            domain: error.domain().cloned(),
            detail: error.to_string(),
        }
    }
}

struct Line<'a> {
    entry: &'a Entry,
    /// What is not to be in it; `None` where everything is.
    redaction: Option<&'a Redaction>,
    link: Option<&'a Link>,
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Entry { flow, id, caller, trace, ended } = self.entry;
        let clock = &trace.clock;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("record", &FORMAT)?;
        if let Some(Link { n, prev, torn }) = self.link {
            map.serialize_entry("n", n)?;
            map.serialize_entry("prev", prev)?;
            if let Some(torn) = torn {
                map.serialize_entry("torn", torn)?;
            }
        }
        map.serialize_entry("id", id)?;
        if let Some(caller) = caller {
            map.serialize_entry("caller", caller)?;
        }
        map.serialize_entry("at", &clock.now().to_string())?;
        map.serialize_entry("time_zone", clock.time_zone().iana_name().unwrap_or("UTC"))?;
        map.serialize_entry("flow", &flow.name)?;
        map.serialize_entry("versions", &BTreeMap::from([("graph", &flow.graph_hash), ("rules", &flow.rules_hash)]))?;
        map.serialize_entry("took_us", &micros(trace.took))?;
        map.serialize_entry("input", &trace.inputs)?;
        if self.redaction.is_some() {
            map.serialize_entry("redacted", &redacted(flow))?;
        }
        map.serialize_entry("nodes", &Nodes { flow, trace, redaction: self.redaction })?;
        match (ended, self.redaction) {
            (Ended::Decided(decision), None) => map.serialize_entry("decision", decision)?,
            (Ended::Decided(decision), Some(redaction)) => {
                let kept = self.entry.outcome().map(|outcome| decision.redacted(redaction, outcome));
                map.serialize_entry("decision", &kept)?;
            }
            (Ended::Failed { code, node, domain, detail }, redaction) => {
                // What a rule or an expression stumbled over may be a value.
                let detail = if redaction.is_some() && *code == "rule_error" { REDACTED } else { detail };
                map.serialize_entry("error", &Failure { code, node, domain, detail })?;
            }
        }
        map.end()
    }
}

#[derive(Serialize)]
struct Failure<'a> {
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: &'a Option<NodeId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: &'a Option<DomainName>,
    detail: &'a str,
}

/// The columns that are not to be shown, as `node.column`.
fn redacted(flow: &Flow) -> Vec<String> {
    let columns = |node: &Node| match &node.work {
        Work::Query(query) => query.redact.iter().map(|column| format!("{}.{column}", node.id)).collect(),
        Work::Rules(_) => Vec::new(),
    };
    flow.nodes.iter().flat_map(columns).collect()
}

struct Nodes<'a> {
    flow: &'a Flow,
    trace: &'a Trace,
    redaction: Option<&'a Redaction>,
}

impl Serialize for Nodes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let nodes = self.flow.nodes.iter().zip(&self.trace.nodes).enumerate();
        let redaction = self.redaction;
        serializer.collect_map(nodes.map(|(place, (node, trace))| (&node.id, One { place, node, trace, redaction })))
    }
}

struct One<'a> {
    place: usize,
    node: &'a Node,
    trace: &'a NodeTrace,
    redaction: Option<&'a Redaction>,
}

impl Serialize for One<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match &self.node.work {
            Work::Query(query) => self.query(query, &mut map)?,
            Work::Rules(rules) => {
                let names: Vec<&str> = rules.ruleset.rules().map(|rule| rule.name).collect();
                let fired: Vec<&str> = self.trace.fired.iter().filter_map(|rule| names.get(*rule).copied()).collect();
                map.serialize_entry("state", self.trace.end.name())?;
                map.serialize_entry("fired", &fired)?;
            }
        }
        if let Some(began) = self.trace.began {
            map.serialize_entry("start_us", &micros(began))?;
            map.serialize_entry("took_us", &micros(self.trace.took))?;
        }
        map.end()
    }
}

impl One<'_> {
    fn query<M: SerializeMap>(&self, query: &QueryNode, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("state", self.trace.end.name())?;
        map.serialize_entry("query", &Digest::of(query.query.text()))?;
        match self.redaction {
            _ if self.trace.params.is_empty() => {}
            None => map.serialize_entry("params", &self.trace.params)?,
            Some(redaction) => {
                let params = query.params.iter().zip(&self.trace.params);
                let params: Vec<Value> = params.map(|(fact, value)| redaction.parameter(fact, value)).collect();
                map.serialize_entry("params", &params)?;
            }
        }
        match &self.trace.end {
            NodeEnd::Value(value) => self.rows(value, map)?,
            NodeEnd::WrongRows(found) => map.serialize_entry("found", found)?,
            NodeEnd::Degraded { code, .. } | NodeEnd::Failed(code) => map.serialize_entry("failed", code)?,
            NodeEnd::NotStarted | NodeEnd::Unfinished | NodeEnd::Skipped(_) | NodeEnd::Unknown(_) => {}
        }
        if self.trace.began.is_some() {
            map.serialize_entry("wait_us", &micros(self.trace.waited))?;
            map.serialize_entry("query_us", &micros(self.trace.asked))?;
        }
        Ok(())
    }

    fn rows<M: SerializeMap>(&self, value: &Value, map: &mut M) -> Result<(), M::Error> {
        let kept = self.redaction.map(|redaction| redaction.value(self.place, value));
        let rows = rows(kept.as_ref().unwrap_or(value));
        map.serialize_entry("rows", &rows)?;
        let hints = hints(&rows);
        if hints.is_empty() { Ok(()) } else { map.serialize_entry("types", &hints) }
    }
}
