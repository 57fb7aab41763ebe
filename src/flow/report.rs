//! What a run gives, and what a client receives of it.

use std::sync::Arc;

use serde::Serialize;

use super::conclusion::Conclusion;
use super::decision::Decision;
use super::error::FlowError;
use super::explain::Explanation;
use super::trace::Trace;
use crate::graph::Flow;

/// A decision, or the error of the run.
#[derive(Debug)]
pub struct Report {
    /// The decision.
    pub result: Result<Decision, FlowError>,
    /// What the run did, where its options ask for that.
    pub trace: Option<Arc<Trace>>,
    /// What the effect of the decision is written from, where its options ask for that.
    pub conclusion: Option<Box<Conclusion>>,
}

impl From<FlowError> for Report {
    fn from(error: FlowError) -> Self {
        Self { result: Err(error), trace: None, conclusion: None }
    }
}

impl Report {
    /// Adds to the notes of the run, where it took some.
    pub fn note(&mut self, note: impl FnOnce(&mut Trace)) {
        if let Some(trace) = &mut self.trace {
            note(Arc::make_mut(trace));
        }
    }

    /// What a client receives, with an explanation where it `explains`. `what_if` names the facts that were replaced.
    ///
    /// # Errors
    /// The error of the run, with the explanation of the run.
    pub fn answer(
        self,
        flow: &Flow,
        explains: bool,
        what_if: Vec<String>,
    ) -> Result<Answer, (FlowError, Option<Box<Explanation>>)> {
        let explain = self.explanation(flow, explains);
        match self.result {
            Ok(decision) => Ok(Answer { decision, approval: None, what_if, explain }),
            Err(error) => Err((error, explain)),
        }
    }

    /// The explanation of the run, where it `explains`.
    pub fn explanation(&self, flow: &Flow, explains: bool) -> Option<Box<Explanation>> {
        let trace = self.trace.as_deref().filter(|_| explains);
        trace.map(|trace| Box::new(Explanation::of(flow, trace)))
    }
}

/// What a client receives: a decision, and what explains it.
#[derive(Debug, Clone, Serialize)]
pub struct Answer {
    /// The decision.
    #[serde(flatten)]
    pub decision: Decision,
    /// The approval that its effect waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<PendingApproval>,
    /// The facts that were replaced.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub what_if: Vec<String>,
    /// The explanation, where the client asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explain: Option<Box<Explanation>>,
}

/// An approval that an effect waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PendingApproval {
    /// Its id, which is that of the decision.
    pub id: String,
    /// Its state.
    pub state: &'static str,
}

impl PendingApproval {
    /// The approval of the decision of this id.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), state: "pending" }
    }
}
