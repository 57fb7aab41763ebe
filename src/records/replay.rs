//! Records decided again.

use super::compare::{Change, changes};
use super::record::{Record, RecordedError};
use crate::flow::offline::{OfflineEngines, rows};
use crate::flow::{Detail, Report};
use crate::graph::Flow;
use crate::grl::Limits;
use crate::types::Value;

/// What a replay of a record shows.
#[derive(Debug, Clone, PartialEq)]
pub enum Replayed {
    /// The same answer, to the letter.
    Same,
    /// An answer that differs in these fields.
    Changed(Vec<Change>),
    /// The record cannot be replayed, for this reason.
    Impossible(String),
}

/// Decides records again with the present flows, on one thread.
pub struct Replay<'a> {
    flows: &'a [Flow],
    engines: OfflineEngines,
}

impl<'a> Replay<'a> {
    /// Replays with these flows, which records name.
    pub fn new(flows: &'a [Flow], limits: Limits) -> Self {
        Self { flows, engines: OfflineEngines::new(limits) }
    }

    /// Decides `record` again and compares the answers.
    pub fn replay(&self, record: &Record) -> Replayed {
        match self.decide(record) {
            Ok(report) => compare(record, &report, self.flow(record)),
            Err(why) => Replayed::Impossible(why),
        }
    }

    fn flow(&self, record: &Record) -> Option<&'a Flow> {
        self.flows.iter().find(|flow| flow.name.as_str() == record.flow)
    }

    /// Decides `record` again. It writes nothing: an effect that was written returns the recorded rows.
    ///
    /// # Errors
    /// Why it cannot be decided.
    pub fn decide(&self, record: &Record) -> Result<Report, String> {
        if !record.redacted.is_empty() {
            return Err(format!("redacted columns are not in the record: {}", record.redacted.join(", ")));
        }
        if let Some(error) = &record.error
            && (matches!(error.code.as_str(), "overloaded" | "internal_error" | "invalid_override")
                || was_not_written(record, error))
        {
            return Err(format!("it ended as `{}`, whose cause is not in the record", error.code));
        }
        let flow = self.flow(record).ok_or_else(|| format!("there is no flow `{}` now", record.flow))?;
        let case = record.case().map_err(|error| error.to_string())?;
        let mut report = case.decide(flow, Detail::Answers, &self.engines).map_err(|error| error.to_string())?;
        if let Some(write) = &record.write {
            write.repeat(flow, &mut report)?;
        }
        Ok(report)
    }
}

/// Whether there was a decision, which the database did not take. Such an error is at a domain, and at no node.
fn was_not_written(record: &Record, error: &RecordedError) -> bool {
    record.write.is_some() && error.domain.is_some() && error.node.is_none()
}

fn compare(record: &Record, report: &Report, flow: Option<&Flow>) -> Replayed {
    let before = match (&record.decision, &record.error) {
        (Some(decision), _) => decision.clone(),
        (None, Some(error)) => error_value(&error.code, error.node.as_deref()),
        (None, None) => return Replayed::Impossible("the record holds neither a decision nor an error".to_owned()),
    };
    let after = match &report.result {
        Ok(decision) => decision.to_value(),
        Err(error) => error_value(error.code(), error.node().map(|node| node.as_str())),
    };
    let mut changes = changes(&sorted(before), &sorted(after));
    if let (Some(write), Some(flow)) = (&record.write, flow) {
        changes.extend(write.changes(flow, report.trace.as_ref().and_then(|trace| trace.effect.as_deref())));
    }
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
