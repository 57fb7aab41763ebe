//! A decision with a key: of a single request, of a line of a batch, or of the command line.

use std::sync::Arc;

use super::problem::Problem;
use super::request::Label;
use super::service::Service;
use crate::actors::coordinator::BoundFlow;
use crate::actors::effects::{Ending, Keyed, KeyedRequest, Wrote};
use crate::flow::explain::Explanation;
use crate::flow::{Answer, FlowError, PendingApproval, Report, RunOptions};
use crate::graph::{KEY_MEMBER, KeyedInputs};
use crate::types::{IdempotencyKey, Value};

/// A decision with a key.
pub struct KeyedDecision<'a> {
    /// What decides.
    pub service: &'a Service,
    /// The flow, which has effects.
    pub flow: &'a Arc<BoundFlow>,
    /// The id, a UUID, and the caller of the decision.
    pub label: &'a Label,
    /// The key.
    pub key: &'a IdempotencyKey,
    /// How long the key is kept, in seconds.
    pub lifetime: u32,
    /// Whether the answer says why.
    pub explains: bool,
    /// Completes the problem that is stored where a row was not found.
    pub complete: &'a dyn Fn(Problem) -> Problem,
}

/// The answer that is stored with a key.
pub struct KeyedAnswer {
    /// The answer.
    pub ending: Ending,
    /// What was written with it; `None` where it was stored before.
    pub wrote: Option<Wrote>,
    /// The id of its decision, where another request made it.
    pub repeats: Option<String>,
    /// The run, where the decision was made now.
    pub report: Option<Report>,
}

/// The inputs and the key of an element of a batch, or of the arguments of a tool. A flow without effects writes nothing, so its
/// decisions can be repeated without a key. `supposes`: as in [`super::handlers::key::key_of`].
///
/// # Errors
/// A [`Problem`] for what is no key, and for a key of a decision that is never written.
pub(super) fn key_of_element(
    KeyedInputs { inputs, key }: KeyedInputs,
    flow: &BoundFlow,
    supposes: bool,
) -> Result<(Value, Option<IdempotencyKey>), Problem> {
    let Some(key) = key else { return Ok((inputs, None)) };
    let key = key.map_err(|error| Problem::bad_key(format!("{KEY_MEMBER}: {error}")))?;
    if supposes {
        return Err(Problem::key_of_nothing());
    }
    Ok((inputs, Some(key).filter(|_| flow.effects().is_some())))
}

impl KeyedDecision<'_> {
    /// Decides, and writes the decision once.
    ///
    /// # Errors
    /// The error of the run or of its effect, with the explanation of the run. Nothing is stored with the key then.
    pub async fn decide(
        &self,
        inputs: Value,
        run: RunOptions,
    ) -> Result<KeyedAnswer, (FlowError, Option<Box<Explanation>>)> {
        let request = KeyedRequest {
            flow: self.flow,
            inputs,
            run,
            caller: self.label.caller.as_deref().unwrap_or_default(),
            key: self.key,
            decision: &self.label.id,
            lifetime: self.lifetime,
        };
        let render = |report: &Report, is_pending: bool| self.render(report, is_pending);
        match self.service.decide_keyed(request, self.label, &render).await {
            Keyed::Decided { report, ending, effect } => {
                Ok(KeyedAnswer { ending, wrote: Some(effect), repeats: None, report: Some(report) })
            }
            Keyed::Replayed { ending, decision, is_own } => {
                let repeats = (!is_own).then_some(decision);
                Ok(KeyedAnswer { ending, wrote: None, repeats, report: None })
            }
            Keyed::Failed(report) => {
                let explain = self.explanation(&report);
                Err((report.result.err().unwrap_or(FlowError::Broken), explain))
            }
        }
    }

    fn explanation(&self, report: &Report) -> Option<Box<Explanation>> {
        report.explanation(self.flow.flow(), self.explains)
    }

    /// The answer that is stored with the key.
    fn render(&self, report: &Report, is_pending: bool) -> Ending {
        let explain = self.explanation(report);
        match &report.result {
            Ok(decision) => {
                let approval = is_pending.then(|| PendingApproval::new(&self.label.id));
                let answer = Answer { decision: decision.clone(), approval, what_if: Vec::new(), explain };
                let status = if is_pending { 202 } else { 200 };
                // Every answer serializes.
                Ending { status, body: serde_json::to_string(&answer).unwrap_or_default() }
            }
            Err(error) => {
                let problem = (self.complete)(Problem::flow(&self.flow.flow().name, error).explained(explain));
                Ending { status: problem.status().as_u16(), body: problem.to_json() }
            }
        }
    }
}
