//! Approvals: effects that wait until somebody approves them.
//!
//! An effect that waits is stored with its decision. Its approval makes the decision again, on the current rows, and writes it only where
//! the effect is the one that was approved: its version is the digest of its parameters. Where the decision has the effect no more, it is
//! dropped. State, effect and result are one transaction, so an approval is resolved once.

use std::sync::Arc;

use uuid::Uuid;

use super::binding::{EffectBinding, by};
use super::keyed::json;
use super::place::{self, Once, PlaceError};
use super::retry::{Again, Attempts};
use crate::actors::coordinator::{BoundFlow, CoordinatorHandle, Request};
use crate::flow::{Conclusion, Decision, EffectError, FlowError, KeyTrace, QueryErrorKind, Report, RunOptions};
use crate::postgres::Call;
use crate::types::{Deadline, Digest, Value};

/// An effect that waits, or waited, for an approval.
#[derive(Debug, Clone)]
pub struct Approval {
    /// Its id, which is that of the decision.
    pub id: String,
    /// Its state: pending, approved, rejected or dropped.
    pub state: String,
    /// Who asked for the decision; empty for a caller without a token.
    pub caller: String,
    /// The key of the request.
    pub key: String,
    /// The effect.
    pub effect: String,
    /// The inputs, as JSON.
    pub request: String,
    /// The parameters of its statements, as JSON; null for a statement that needs the rows of another one.
    pub params: String,
    /// The answer to the request, as JSON.
    pub answer: String,
    /// When it was asked for.
    pub at: String,
    /// How it was resolved, as JSON.
    pub resolution: Option<String>,
}

impl Approval {
    fn of(row: &Value) -> Option<Self> {
        let text = |name: &str| row.at([name]).filter(|value| !value.is_null()).map(|value| value.to_string());
        Some(Self {
            id: text("decision")?,
            state: text("approval").unwrap_or_else(|| "pending".to_owned()),
            caller: text("caller")?,
            key: text("key")?,
            effect: text("effect")?,
            request: text("request")?,
            params: text("params")?,
            answer: text("answer")?,
            at: text("claimed_at")?,
            resolution: text("resolution"),
        })
    }

    /// The version of the effect that was decided.
    pub fn version(&self) -> String {
        version(&self.effect, &self.params)
    }
}

fn version(effect: &str, params: &str) -> String {
    Digest::of(&format!("{effect} {params}"))
}

impl EffectBinding {
    /// The approvals of `flow` that wait, the oldest first, at most a thousand.
    ///
    /// # Errors
    /// [`FlowError::Effect`].
    pub async fn pending(&self, flow: &str, deadline: Deadline) -> Result<Vec<Approval>, FlowError> {
        let call = Call { statement: self.statements.pending.clone(), params: vec![Value::text(flow)] };
        let found = self.read(&call, deadline).await.map_err(|error| self.error(error))?;
        Ok(found.rows.iter().filter_map(Approval::of).collect())
    }

    /// How many approvals of `flow` wait, and how many seconds the oldest has waited.
    ///
    /// # Errors
    /// [`FlowError::Effect`].
    pub async fn waiting(&self, flow: &str, deadline: Deadline) -> Result<(f64, f64), FlowError> {
        let call = Call { statement: self.statements.waiting.clone(), params: vec![Value::text(flow)] };
        let found = self.read(&call, deadline).await.map_err(|error| self.error(error))?;
        let number = |name| found.rows.first().and_then(|row| row.at([name])?.to_string().parse().ok());
        Ok((number("approvals").unwrap_or_default(), number("seconds").unwrap_or_default()))
    }

    /// The approval of `flow` with this id, a UUID.
    ///
    /// # Errors
    /// [`FlowError::Effect`].
    pub async fn approval(&self, flow: &str, id: &str, deadline: Deadline) -> Result<Option<Approval>, FlowError> {
        let call = Call { statement: self.statements.approval.clone(), params: [flow, id].map(Value::text).to_vec() };
        let found = self.read(&call, deadline).await.map_err(|error| self.error(error))?;
        Ok(found.rows.first().and_then(Approval::of))
    }
}

/// The decision of an approval on the current rows.
#[derive(Debug)]
pub struct Fresh {
    /// The decision.
    pub report: Report,
    /// The parameters of the effect, as JSON, and its version. `None` where the decision has the effect no more.
    pub effect: Option<(String, String)>,
    conclusion: Option<Box<Conclusion>>,
}

/// Makes the decision of an approval again.
///
/// # Errors
/// Why there is no decision.
pub async fn fresh(
    coordinator: &CoordinatorHandle,
    flow: &Arc<BoundFlow>,
    approval: &Approval,
    run: &RunOptions,
) -> Result<Fresh, FlowError> {
    let plan = flow.flow();
    let inputs = plan.inputs.parse_kept(&approval.request);
    let inputs = inputs.map_err(|error| FlowError::Override { fact: "input".to_owned(), why: error.to_string() })?;
    let run = RunOptions { concludes: true, ..run.clone() };
    let mut report = coordinator.decide(Request { flow: Arc::clone(flow), inputs, run }).await;
    let conclusion = report.conclusion.take();
    let report = match report {
        Report { result: Err(error), .. } => return Err(error),
        report => report,
    };
    let kept =
        conclusion.filter(|conclusion| conclusion.effect(plan).is_some_and(|now| now.name.as_str() == approval.effect));
    let params = kept.as_ref().map(|conclusion| conclusion.first_params(plan)).transpose()?.map(|params| json(&params));
    let effect = params.map(|params| {
        let version = version(&approval.effect, &params);
        (params, version)
    });
    Ok(Fresh { report, effect, conclusion: kept })
}

/// What is asked of an approval.
#[derive(Debug, Clone, Default)]
pub struct Resolution {
    /// Whether it is approved; rejected otherwise.
    pub approves: bool,
    /// The version that is approved; the one that was decided if there is none.
    pub version: Option<String>,
    /// Who resolves it.
    pub by: String,
    /// What is noted with it.
    pub note: Option<String>,
    /// How long its key is kept from now on, in seconds.
    pub lifetime: u32,
}

/// How an approval was resolved.
#[derive(Debug)]
pub enum Resolved {
    /// The effect was written. The report has the decision with what it returned.
    Approved(Report),
    /// The decision has the effect no more.
    Dropped(Report),
    /// It was rejected.
    Rejected,
    /// This resolution was stored by an attempt whose answer was lost: the approval has its result.
    Own,
    /// The effect is another one now. It still waits.
    Changed(Box<Fresh>),
    /// It waits no more.
    Already,
}

/// Resolves an approval.
///
/// # Errors
/// Why it was not resolved; it still waits, unless that is not known.
pub async fn resolve(
    coordinator: &CoordinatorHandle,
    flow: &Arc<BoundFlow>,
    approval: &Approval,
    resolution: &Resolution,
    run: &RunOptions,
) -> Result<Resolved, FlowError> {
    let Some(binding) = flow.effects() else { return Err(FlowError::Broken) };
    let resolving = Resolving { coordinator, flow, binding, approval, resolution, run, id: Uuid::new_v4().to_string() };
    let mut attempts = Attempts::new(run.deadline);
    loop {
        let attempt = match resolving.attempt().await {
            Err(PlaceError::Taken) => Ok(Resolved::Already),
            attempt => attempt,
        };
        let (error, again) = match attempt {
            // It may have been resolved by an attempt whose COMMIT was lost.
            Ok(Resolved::Already) if attempts.is_unknown() => match resolving.own().await {
                Ok(resolved) => return Ok(resolved),
                Err(error) => (error, Again::Unknown),
            },
            Ok(Resolved::Changed(_)) | Err(PlaceError::Flow(_)) if attempts.is_unknown() => {
                match resolving.own().await {
                    Ok(Resolved::Own) => return Ok(Resolved::Own),
                    _ => (EffectError::Unknown, Again::Unknown),
                }
            }
            Ok(resolved) => return Ok(resolved),
            Err(PlaceError::Flow(error)) => return Err(error),
            Err(PlaceError::InProgress | PlaceError::Taken) => (EffectError::KeyInProgress, Again::No),
            Err(PlaceError::Conflict { statement, why }) => {
                let effect = flow.flow().effects.iter().find(|effect| effect.name.as_str() == approval.effect);
                let Some(effect) = effect.map(|effect| effect.name.clone()) else { return Err(FlowError::Broken) };
                (EffectError::Conflict { effect, statement, why, times: 1 }, Again::Conflict)
            }
            Err(PlaceError::Undone(error)) => {
                let again = Again::after(&error);
                (error, again)
            }
            Err(PlaceError::Unknown(kind)) => (EffectError::Query(kind), Again::Unknown),
        };
        attempts.again(error, again).await.map_err(|error| binding.error(error))?;
    }
}

struct Resolving<'a> {
    coordinator: &'a CoordinatorHandle,
    flow: &'a Arc<BoundFlow>,
    binding: &'a EffectBinding,
    approval: &'a Approval,
    resolution: &'a Resolution,
    run: &'a RunOptions,
    /// Tells this resolution from those of others after a lost COMMIT.
    id: String,
}

impl Resolving<'_> {
    async fn attempt(&self) -> Result<Resolved, PlaceError> {
        if !self.resolution.approves {
            return self.end("rejected", None, Resolved::Rejected).await;
        }
        let Fresh { report, effect, conclusion } =
            fresh(self.coordinator, self.flow, self.approval, self.run).await.map_err(PlaceError::Flow)?;
        let mut report = report;
        let (Some((params, version)), Some(mut conclusion)) = (effect, conclusion) else {
            let decision = report.result.as_ref().ok().cloned();
            report.note(|trace| trace.key = Some(KeyTrace::new(&self.approval.key, "dropped")));
            return self.end("dropped", decision.as_ref(), Resolved::Dropped(report)).await;
        };
        let approved = self.resolution.version.clone().unwrap_or_else(|| self.approval.version());
        if version != approved {
            let fresh = Fresh { report, effect: Some((params, version)), conclusion: Some(conclusion) };
            return Ok(Resolved::Changed(Box::new(fresh)));
        }
        let claim = self.call("approved", None);
        let (flow, deadline) = (self.flow.flow(), self.run.deadline);
        let mut answer = |decision: &Decision, conclusion: &Conclusion, event: Option<String>| {
            report.note(|trace| {
                trace.effect = conclusion.notes(flow);
                trace.key = Some(KeyTrace { event, ..KeyTrace::new(&self.approval.key, "approved") });
            });
            let params = vec![Value::text(self.name()), Value::text(&self.approval.id), self.outcome(Some(decision))];
            Call { statement: self.binding.statements.resolved.clone(), params }
        };
        let once = Once { claim: Some(claim), answer: &mut answer };
        let decision = place::place(self.binding, flow, &mut conclusion, once, deadline).await?;
        Ok(Resolved::Approved(Report { result: Ok(decision), ..report }))
    }

    /// Resolves it without an effect.
    async fn end(&self, state: &str, decision: Option<&Decision>, resolved: Resolved) -> Result<Resolved, PlaceError> {
        let call = self.call(state, Some(self.outcome(decision)));
        let open = self.binding.session(self.run.deadline).await.map_err(PlaceError::Undone)?;
        match by(self.run.deadline, open.session.write(&call)).await {
            Ok(written) if written.count == 1 => Ok(resolved),
            Ok(_) => Ok(Resolved::Already),
            Err(kind) if place::is_lock_timeout(&kind) => Err(PlaceError::InProgress),
            Err(kind @ QueryErrorKind::ConnectionLost { .. }) => Err(PlaceError::Unknown(kind)),
            Err(kind) => Err(PlaceError::Undone(EffectError::Query(kind))),
        }
    }

    fn name(&self) -> &str {
        self.flow.flow().name.as_str()
    }

    fn call(&self, state: &str, resolution: Option<Value>) -> Call {
        let params = vec![
            Value::text(self.name()),
            Value::text(&self.approval.id),
            Value::text(state),
            resolution.unwrap_or_default(),
            Value::Integer(self.resolution.lifetime.into()),
        ];
        Call { statement: self.binding.statements.resolve.clone(), params }
    }

    /// What is stored of the resolution.
    fn outcome(&self, decision: Option<&Decision>) -> Value {
        let Resolution { by, note, .. } = self.resolution;
        let at = self.run.clock.now().to_string();
        Value::text(json(&serde_json::json!({ "id": self.id, "by": by, "at": at, "note": note, "decision": decision })))
    }

    /// Whether this resolution is the one that was stored, after a COMMIT whose answer was lost.
    async fn own(&self) -> Result<Resolved, EffectError> {
        let call = Call {
            statement: self.binding.statements.confirmed_approval.clone(),
            params: [self.name(), self.approval.id.as_str()].map(Value::text).to_vec(),
        };
        let written = self.binding.write(&call, self.run.deadline).await?;
        let stored = written.rows.first().and_then(Approval::of);
        let resolution = stored.as_ref().and_then(|stored| stored.resolution.as_deref());
        let resolution: Option<serde_json::Value> = resolution.and_then(|text| serde_json::from_str(text).ok());
        let is_own =
            resolution.is_some_and(|resolution| resolution.get("id").and_then(|id| id.as_str()) == Some(&self.id));
        Ok(match stored.filter(|_| is_own) {
            Some(_) => Resolved::Own,
            None => Resolved::Already,
        })
    }
}
