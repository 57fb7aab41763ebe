//! A finished run on its way to its record: shared values only, so that the thread that decides does little work.

use std::sync::Arc;

use super::chain::Link;
use super::record::{Record, RecordedError};
use crate::flow::{Decision, Report, Trace};
use crate::graph::Flow;

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
    result: Result<Decision, RecordedError>,
}

impl Entry {
    /// The entry of a run that took notes; `None` where it took none.
    pub fn new(flow: &Arc<Flow>, id: impl Into<String>, caller: Option<&str>, report: &Report) -> Option<Self> {
        let trace = Arc::clone(report.trace.as_ref()?);
        let result = report.result.as_ref().map(Decision::clone).map_err(RecordedError::from);
        Some(Self { flow: Arc::clone(flow), id: id.into(), caller: caller.map(str::to_owned), trace, result })
    }

    /// Its line, without a line break. With `redact` it lacks what the graph redacts, and cannot be replayed; with `link`
    /// it is part of a chain.
    ///
    /// # Errors
    /// Those of `serde_json`, which writes every [`Record`].
    pub fn line(&self, redact: bool, link: Option<&Link>) -> Result<String, serde_json::Error> {
        let record = Record {
            n: link.map(|link| link.n),
            prev: link.map(|link| link.prev.clone()),
            torn: link.and_then(|link| link.torn.clone()),
            id: self.id.clone(),
            caller: self.caller.clone(),
            ..Record::of(&self.flow, &self.trace, self.result.as_ref(), redact)
        };
        serde_json::to_string(&record)
    }
}
