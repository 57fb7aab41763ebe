//! A record decided again.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value as Json;

use super::record::{Ended, Record};
use crate::flow::offline::{self, Bench};
use crate::flow::{Detail, Report, Run};
use crate::graph::Flow;
use crate::grl::Limits;
use crate::types::Deadline;

/// What a record has become.
#[derive(Debug, Clone, PartialEq)]
pub enum Replayed {
    /// The same, to the letter.
    Same,
    /// Something else, in these fields.
    Changed(Vec<Change>),
    /// Nothing can be said, for this reason.
    Impossible(String),
}

/// A field of an answer that changes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Its path: `status`, `purchase_order.total_cost`; `error` where there was or is no decision.
    pub field: String,
    /// What it was; `None` where it was not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Json>,
    /// What it is; `None` where it is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Json>,
}

/// Decides records again with the flows of today. One thread's.
pub struct Replay<'a> {
    flows: &'a [Flow],
    bench: Bench,
}

impl<'a> Replay<'a> {
    /// Replays with these flows, found by the names in the records.
    pub fn new(flows: &'a [Flow], limits: Limits) -> Self {
        Self { flows, bench: Bench::new(limits) }
    }

    /// Decides `record` again.
    pub fn replay(&self, record: &Record) -> Replayed {
        match self.decide(record) {
            Ok(report) => compare(record, &report),
            Err(why) => Replayed::Impossible(why),
        }
    }

    /// The run of `record` with the flows of today.
    ///
    /// # Errors
    /// Why there can be none.
    pub fn decide(&self, record: &Record) -> Result<Report, String> {
        if !record.redacted.is_empty() {
            return Err(format!("redacted columns are not in the record: {}", record.redacted.join(", ")));
        }
        if let Some(error) = &record.error
            && matches!(error.code.as_str(), "overloaded" | "internal_error" | "invalid_override")
        {
            return Err(format!("it ended as `{}`, which the record does not explain", error.code));
        }
        let flow = self.flows.iter().find(|flow| flow.name.as_str() == record.flow);
        let flow = flow.ok_or_else(|| format!("there is no flow `{}` any more", record.flow))?;
        let inputs = flow.inputs.parse_json(record.input.to_string().as_bytes());
        let inputs = inputs.map_err(|error| format!("its inputs do not fit the flow of today: {error}"))?;
        let clock = record.clock().map_err(|error| error.to_string())?;
        let answers = record.answers().map_err(|error| error.to_string())?;
        let run = Run { detail: Detail::Answers, ..Run::new(clock, Deadline::after(std::time::Duration::ZERO)) };
        offline::decide(flow, inputs, &answers, &run, &self.bench).map_err(|error| error.to_string())
    }
}

fn compare(record: &Record, report: &Report) -> Replayed {
    let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
    match (&record.decision, &record.error) {
        (Some(decision), _) => decided(decision, &mut before),
        (None, Some(Ended { code, node })) => error(code, node.as_deref(), &mut before),
        (None, None) => return Replayed::Impossible("the record holds neither a decision nor an error".to_owned()),
    }
    match &report.result {
        Ok(decision) => match serde_json::to_value(decision) {
            Ok(decision) => decided(&decision, &mut after),
            Err(error) => return Replayed::Impossible(error.to_string()),
        },
        Err(failed) => error(failed.code(), failed.node().map(|node| node.as_str()), &mut after),
    }
    let mut changes = Vec::new();
    let fields: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for field in fields {
        let (was, is) = (before.get(field), after.get(field));
        if was != is {
            changes.push(Change { field: field.clone(), before: was.cloned(), after: is.cloned() });
        }
    }
    if changes.is_empty() { Replayed::Same } else { Replayed::Changed(changes) }
}

/// The values of a decision, by path. Earlier versions recorded `degraded` in the order in which the nodes failed: that is no
/// difference.
fn decided(decision: &Json, into: &mut BTreeMap<String, Json>) {
    let mut decision = decision.clone();
    if let Some(Json::Array(nodes)) = decision.get_mut("degraded") {
        nodes.sort_by_key(Json::to_string);
    }
    leaves("", &decision, into);
}

fn error(code: &str, node: Option<&str>, into: &mut BTreeMap<String, Json>) {
    let text = node.map_or_else(|| code.to_owned(), |node| format!("{code} at {node}"));
    into.insert("error".to_owned(), Json::String(text));
}

/// The values of a document, by path.
pub(crate) fn leaves(path: &str, json: &Json, into: &mut BTreeMap<String, Json>) {
    match json {
        Json::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                leaves(&path, value, into);
            }
        }
        Json::Array(items) if !items.is_empty() => {
            for (number, value) in items.iter().enumerate() {
                leaves(&format!("{path}[{number}]"), value, into);
            }
        }
        leaf => {
            into.insert(path.to_owned(), leaf.clone());
        }
    }
}
