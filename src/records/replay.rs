//! A record decided again.

use super::compare::{Change, changes};
use super::record::Record;
use crate::flow::offline::{OfflineEngines, rows};
use crate::flow::{Detail, Report};
use crate::graph::Flow;
use crate::grl::Limits;
use crate::types::Value;

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

/// Decides records again with the flows of today. One thread's.
pub struct Replay<'a> {
    flows: &'a [Flow],
    engines: OfflineEngines,
}

impl<'a> Replay<'a> {
    /// Replays with these flows, found by the names in the records.
    pub fn new(flows: &'a [Flow], limits: Limits) -> Self {
        Self { flows, engines: OfflineEngines::new(limits) }
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
        let case = record.case().map_err(|error| error.to_string())?;
        case.decide(flow, Detail::Answers, &self.engines).map_err(|error| error.to_string())
    }
}

fn compare(record: &Record, report: &Report) -> Replayed {
    let before = match (&record.decision, &record.error) {
        (Some(decision), _) => decision.clone(),
        (None, Some(error)) => error_value(&error.code, error.node.as_deref()),
        (None, None) => return Replayed::Impossible("the record holds neither a decision nor an error".to_owned()),
    };
    let after = match &report.result {
        Ok(decision) => decision.to_value(),
        Err(error) => error_value(error.code(), error.node().map(|node| node.as_str())),
    };
    let changes = changes(&sorted(before), &sorted(after));
    if changes.is_empty() { Replayed::Same } else { Replayed::Changed(changes) }
}

/// The order of the nodes in `degraded` is no difference: earlier versions recorded the order in which they failed.
fn sorted(answer: Value) -> Value {
    let mut sort = |nodes: &Value| {
        let mut nodes = rows(nodes);
        nodes.sort_by_key(Value::to_string);
        Ok::<_, ()>(Value::list(nodes))
    };
    answer.replaced(&["degraded".into()], &mut sort).unwrap_or(answer)
}

fn error_value(code: &str, node: Option<&str>) -> Value {
    let text = node.map_or_else(|| code.to_owned(), |node| format!("{code} at {node}"));
    Value::map([("error".into(), Value::text(text))])
}
