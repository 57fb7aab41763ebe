//! What the effect of a decision wrote, or would write.

use serde::Serialize;

use super::redact::Redaction;
use crate::flow::trace::{KeyTrace, StatementTrace, Trace};
use crate::graph::Flow;
use crate::types::{DomainName, NodeId, Value};

/// The effect of the chosen outcome.
#[derive(Debug, Clone, Serialize)]
pub struct EffectExplanation {
    /// Its name.
    pub effect: NodeId,
    /// The domain that it writes to.
    pub domain: DomainName,
    /// `placed`, `pending` (it waits for an approval), `approved`, `conflicted`, `unknown` or `failed`. Absent where the request had no key:
    /// nothing was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<&'static str>,
    /// Whether it needs an approval.
    pub needs_approval: bool,
    /// Why it cannot be written: the code of the error of one of its expressions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<&'static str>,
    /// Its statements, in order.
    pub statements: Vec<StatementExplanation>,
    /// Its event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<EventExplanation>,
}

/// A statement of an effect.
#[derive(Debug, Clone, Serialize)]
pub struct StatementExplanation {
    /// Its parameters; null where they need the row of a statement that did not run.
    pub params: Option<Vec<Value>>,
    /// The first row that it returned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub returned: Option<Value>,
}

/// The event of an effect.
#[derive(Debug, Clone, Serialize)]
pub struct EventExplanation {
    /// The id of its row in the outbox, where it was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its type.
    #[serde(rename = "type")]
    pub ty: String,
    /// What it is about, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

pub(super) fn explain(flow: &Flow, trace: &Trace, redaction: &Redaction) -> Option<EffectExplanation> {
    let notes = trace.effect.as_deref()?;
    let effect = flow.effects.get(notes.effect)?;
    let shown = redaction.effect(effect, notes);
    let statement = |known: StatementTrace| StatementExplanation { params: known.params, returned: known.returned };
    let key: Option<&KeyTrace> = trace.key.as_ref();
    let event = effect.event.as_ref().map(|event| EventExplanation {
        id: key.and_then(|key| key.event.clone()),
        ty: event.ty.clone(),
        key: shown.event_key,
    });
    Some(EffectExplanation {
        effect: effect.name.clone(),
        domain: effect.domain.clone(),
        result: key.map(|key| key.result),
        needs_approval: shown.needs_approval,
        failed: shown.failed.as_ref().map(|error| error.code()),
        statements: shown.statements.into_iter().map(statement).collect(),
        event,
    })
}
