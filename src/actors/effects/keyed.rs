//! A decision with a key: made, written and answered once.
//!
//! The key is looked up while the decision is made. If it is free, the decision is written with its claim. What is undone is done again:
//! after a conflict up to twice, after a broken connection as long as there is time, each time with a new decision.

use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, select};
use tracing::Span;

use super::binding::{Claim, EffectBinding, Ending, Stored, StoredAnswer};
use super::place::{self, Once, PlaceError};
use super::retry::{Again, Attempts};
use crate::actors::coordinator::{BoundFlow, CoordinatorHandle, Request};
use crate::flow::{Conclusion, Decision, EffectError, FlowError, KeyTrace, QueryErrorKind, Report, RunOptions};
use crate::graph::Flow;
use crate::types::{Deadline, Digest, IdempotencyKey, NodeId, Value};

/// A request with a key.
pub struct KeyedRequest<'a> {
    /// The flow.
    pub flow: &'a Arc<BoundFlow>,
    /// The checked inputs.
    pub inputs: Value,
    /// The clock and the deadline.
    pub run: RunOptions,
    /// The name of the caller; empty for a caller without a token.
    pub caller: &'a str,
    /// The key.
    pub key: &'a IdempotencyKey,
    /// The id of the decision, a UUID.
    pub decision: &'a str,
    /// How long the key is kept, in seconds.
    pub lifetime: u32,
}

/// How a request with a key ended.
pub enum Keyed {
    /// The key was taken: this is the answer that it got. It is the request's own where its COMMIT was lost.
    Replayed {
        /// The answer.
        ending: Ending,
        /// The id of its decision.
        decision: String,
        /// Whether this request made it.
        is_own: bool,
    },
    /// The decision was made, and stored with its answer. An effect waits for approval where `pending`.
    Decided {
        /// The decision, with what its effect returned.
        report: Report,
        /// The answer.
        ending: Ending,
        /// Whether its effect was written, waits for an approval, or there is none.
        effect: Wrote,
    },
    /// There is no decision, or it was not written.
    Failed(Report),
}

/// What became of the effect of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrote {
    /// The outcome has none.
    Nothing,
    /// It was written.
    Effect,
    /// It waits for an approval.
    Pending,
}

impl Keyed {
    /// The word for it in metrics, logs, records and explanations.
    pub fn result(&self) -> &'static str {
        match self {
            Self::Decided { effect: Wrote::Effect, .. } | Self::Replayed { is_own: true, .. } => "placed",
            Self::Decided { effect: Wrote::Pending, .. } => "pending",
            Self::Decided { effect: Wrote::Nothing, .. } => "stored",
            Self::Replayed { .. } => "replayed",
            Self::Failed(report) => report.result.as_ref().err().map_or("failed", result_of),
        }
    }
}

/// The word for a request with a key, or an approval, that ended with this error.
pub fn result_of(error: &FlowError) -> &'static str {
    match error.code() {
        "conflict" => "conflicted",
        "effect_unknown" => "unknown",
        _ => "failed",
    }
}

/// Makes the answer of a decision, or of the row that was not found. The flag: the effect waits for an approval.
pub type Render<'a> = &'a dyn Fn(&Report, bool) -> Ending;

/// Why an attempt did not end.
struct Undone {
    report: Report,
    error: EffectError,
    again: Again,
    /// The answer that may have been stored.
    made: Option<(Ending, Wrote)>,
}

/// Decides, and writes the decision once.
pub async fn decide(coordinator: &CoordinatorHandle, request: &KeyedRequest<'_>, render: Render<'_>) -> Keyed {
    let mut keyed = attempts(coordinator, request, render).await;
    let result = keyed.result();
    if let Keyed::Failed(report) = &mut keyed {
        report.note(|trace| {
            trace.key = Some(KeyTrace::new(request.key.as_str(), result));
            // What the statements returned was undone, unless that is not known.
            let effect = trace.effect.iter_mut().filter(|_| result != "unknown");
            let statements = effect.flat_map(|effect| &mut effect.statements);
            statements.for_each(|statement| statement.returned = None);
        });
    }
    keyed
}

async fn attempts(coordinator: &CoordinatorHandle, request: &KeyedRequest<'_>, render: Render<'_>) -> Keyed {
    let Some(binding) = request.flow.effects() else {
        return Keyed::Failed(FlowError::Broken.into());
    };
    let inputs = digest(&request.inputs);
    let claim = Claim {
        caller: request.caller,
        flow: request.flow.flow().name.as_str(),
        key: request.key,
        inputs: &inputs,
        decision: request.decision,
        lifetime: request.lifetime,
    };
    let decision = KeyedDecision { coordinator, request, binding, claim, render };
    let mut attempts = Attempts::new(request.run.deadline);
    // The attempts whose COMMIT was lost.
    let mut lost = Vec::new();
    loop {
        let Undone { mut report, error, again, made } = match decision.attempt().await {
            // The key may be taken by an attempt whose COMMIT was lost.
            Ok(Keyed::Failed(report)) if attempts.is_unknown() => {
                Undone { report, error: EffectError::Unknown, again: Again::Unknown, made: None }
            }
            Ok(Keyed::Replayed { ending, decision, is_own: true }) => return own(lost, ending, decision),
            Ok(keyed) => return keyed,
            Err(undone) => undone,
        };
        if let Some((ending, effect)) = made {
            let (result, trace) = (std::mem::replace(&mut report.result, Err(FlowError::Broken)), report.trace.clone());
            lost.push((Report { result, trace, conclusion: None }, ending, effect));
        }
        if let Err(error) = attempts.again(error, again).await {
            return Keyed::Failed(Report { result: Err(binding.error(error)), ..report });
        }
    }
}

/// The attempt that stored this answer, although its COMMIT was lost.
fn own(lost: Vec<(Report, Ending, Wrote)>, stored: Ending, decision: String) -> Keyed {
    match lost.into_iter().find(|(_, ending, _)| *ending == stored) {
        Some((report, ending, effect)) => Keyed::Decided { report, ending, effect },
        None => Keyed::Replayed { ending: stored, decision, is_own: true },
    }
}

/// A decision with a key.
struct KeyedDecision<'a> {
    coordinator: &'a CoordinatorHandle,
    request: &'a KeyedRequest<'a>,
    binding: &'a EffectBinding,
    claim: Claim<'a>,
    render: Render<'a>,
}

impl KeyedDecision<'_> {
    fn flow(&self) -> &Flow {
        self.request.flow.flow()
    }

    fn deadline(&self) -> Deadline {
        self.request.run.deadline
    }

    /// Looks the key up while the decision is made, and claims it.
    async fn attempt(&self) -> Result<Keyed, Undone> {
        let run = RunOptions { concludes: true, ..self.request.run.clone() };
        let request = Request { flow: Arc::clone(self.request.flow), inputs: self.request.inputs.clone(), run };
        let (find, decide) =
            (pin!(self.binding.find(&self.claim, self.deadline())), pin!(self.coordinator.decide(request)));
        let (found, report) = match select(find, decide).await {
            Either::Left((Ok(Some(stored)), _)) => return self.replay(stored).await,
            Either::Left((found, decide)) => (found, decide.await),
            Either::Right((report, find)) => (find.await, report),
        };
        match found {
            Ok(Some(stored)) => self.replay(stored).await,
            Ok(None) => self.write(report).await,
            Err(error) => Err(undone(report, error)),
        }
    }

    /// The answer that the key got before.
    async fn replay(&self, stored: StoredAnswer) -> Result<Keyed, Undone> {
        let refuse = |error, again| Err(Undone { report: FlowError::Broken.into(), error, again, made: None });
        if stored.inputs != self.claim.inputs {
            return refuse(EffectError::KeyReused, Again::No);
        }
        match self.binding.confirm(&self.claim, self.deadline()).await {
            Ok(true) => {}
            Ok(false) => return refuse(EffectError::KeyInProgress, Again::Retry),
            Err(error) => return Err(undone(FlowError::Broken.into(), error)),
        }
        let is_own = stored.decision == self.claim.decision;
        Ok(Keyed::Replayed { ending: stored.ending, decision: stored.decision, is_own })
    }

    /// Claims the key with the decision.
    async fn write(&self, mut report: Report) -> Result<Keyed, Undone> {
        let conclusion = report.conclusion.take();
        match (&report.result, conclusion) {
            (Ok(_), Some(conclusion)) => match conclusion.effect(self.flow()) {
                None => self.store(report, None).await,
                Some(effect) => match conclusion.needs_approval(self.flow()) {
                    Ok(false) => self.place(report, *conclusion, effect.name.clone()).await,
                    Ok(true) => self.store(report, Some(&conclusion)).await,
                    Err(error) => Ok(Keyed::Failed(Report { result: Err(error), ..report })),
                },
            },
            (Err(FlowError::NotFound { .. }), _) => self.store(report, None).await,
            _ => Ok(Keyed::Failed(report)),
        }
    }

    /// Stores the answer of a decision that writes nothing now.
    async fn store(&self, mut report: Report, pending: Option<&Conclusion>) -> Result<Keyed, Undone> {
        let mut stored = Stored::default();
        if let Some(conclusion) = pending {
            match conclusion.first_params(self.flow()) {
                Ok(params) => stored.pending = Some((json(conclusion.inputs()), json(&params))),
                Err(error) => return Ok(Keyed::Failed(Report { result: Err(error), ..report })),
            }
            stored.effect = conclusion.effect(self.flow()).map(|effect| effect.name.as_str());
        }
        let effect = if pending.is_some() { Wrote::Pending } else { Wrote::Nothing };
        self.note(&mut report, if pending.is_some() { "pending" } else { "stored" });
        let ending = (self.render)(&report, pending.is_some());
        stored.ending = Some(&ending);
        let call = self.claim.call(&self.binding.statements, &stored);
        let kind = match self.binding.write(&call, self.deadline()).await {
            Ok(_) => {
                self.binding.expire();
                return Ok(Keyed::Decided { report, ending, effect });
            }
            Err(EffectError::Query(kind)) => kind,
            Err(error) => return Err(undone(report, error)),
        };
        // The statement may have been committed. So may its answer be found at the next attempt.
        if matches!(kind, QueryErrorKind::ConnectionLost { .. }) {
            let error = EffectError::Query(kind);
            return Err(Undone { report, error, again: Again::Unknown, made: Some((ending, effect)) });
        }
        match PlaceError::of_claim(kind) {
            PlaceError::Taken => self.taken(report).await,
            PlaceError::Undone(error) => Err(undone(report, error)),
            _ => Err(Undone { report, error: EffectError::KeyInProgress, again: Again::No, made: None }),
        }
    }

    /// Writes the effect.
    async fn place(&self, mut report: Report, mut conclusion: Conclusion, effect: NodeId) -> Result<Keyed, Undone> {
        Span::current().record("effect.name", effect.as_str());
        let mut made = None;
        let mut answer = |decision: &Decision, conclusion: &Conclusion, event: Option<String>| {
            report.result = Ok(decision.clone());
            self.note(&mut report, "placed");
            report.note(|trace| {
                trace.effect = conclusion.notes(self.flow());
                trace.key.iter_mut().for_each(|key| key.event.clone_from(&event));
            });
            let ending = made.insert((self.render)(&report, false));
            let stored = Stored { effect: Some(effect.as_str()), ending: Some(ending), ..Stored::default() };
            self.claim.call(&self.binding.statements, &stored)
        };
        let once = Once { claim: None, answer: &mut answer };
        let placed = place::place(self.binding, self.flow(), &mut conclusion, once, self.deadline()).await;
        let (error, again) = match placed {
            Ok(_) => {
                self.binding.expire();
                return Ok(match made {
                    Some(ending) => Keyed::Decided { report, ending, effect: Wrote::Effect },
                    None => Keyed::Failed(FlowError::Broken.into()),
                });
            }
            Err(PlaceError::Taken) => return self.taken(report).await,
            Err(PlaceError::Flow(error)) => return Ok(Keyed::Failed(Report { result: Err(error), ..report })),
            Err(PlaceError::InProgress) => (EffectError::KeyInProgress, Again::No),
            Err(PlaceError::Conflict { statement, why }) => {
                (EffectError::Conflict { effect, statement, why, times: 1 }, Again::Conflict)
            }
            Err(PlaceError::Undone(error)) => return Err(undone(report, error)),
            Err(PlaceError::Unknown(kind)) => (EffectError::Query(kind), Again::Unknown),
        };
        let made = made.filter(|_| again == Again::Unknown).map(|ending| (ending, Wrote::Effect));
        Err(Undone { report, error, again, made })
    }

    fn note(&self, report: &mut Report, result: &'static str) {
        report.note(|trace| trace.key = Some(KeyTrace::new(self.request.key.as_str(), result)));
    }

    /// Somebody else has claimed the key meanwhile.
    async fn taken(&self, report: Report) -> Result<Keyed, Undone> {
        match self.binding.find(&self.claim, self.deadline()).await {
            Ok(Some(stored)) => self.replay(stored).await,
            // It has expired and been deleted between the two statements.
            Ok(None) => Err(Undone { report, error: EffectError::KeyInProgress, again: Again::Retry, made: None }),
            Err(error) => Err(undone(report, error)),
        }
    }
}

/// An attempt after which nothing is written.
fn undone(report: Report, error: EffectError) -> Undone {
    let again = Again::after(&error);
    Undone { report, error, again, made: None }
}

/// The digest of checked inputs. Absent ones do not count: a later version of the flow may have more of them.
fn digest(inputs: &Value) -> String {
    let mut digest = Digest::default();
    if let Value::Map(record) = inputs {
        for (name, value) in record.iter().filter(|(_, value)| !value.is_null()) {
            digest.add(&**name);
            digest.add(json(value));
        }
    }
    digest.long()
}

pub(super) fn json(value: &impl serde::Serialize) -> String {
    // Every value serializes.
    serde_json::to_string(value).unwrap_or_default()
}
