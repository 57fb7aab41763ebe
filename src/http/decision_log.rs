//! The span and the log line of a decision.

use std::time::Duration;

use tracing::Span;
use tracing::field::Empty;

use super::request::Label;
use crate::flow::{FlowError, Report, micros};
use crate::types::FlowName;

/// What became of the key of a request.
pub(super) struct Write<'a> {
    /// The key.
    pub(super) key: &'a str,
    /// The word for it.
    pub(super) result: &'static str,
}

/// The span of one decision.
pub(super) fn span(flow: &FlowName, label: &Label) -> Span {
    tracing::debug_span!(
        "decision",
        otel.name = %format_args!("decide {flow}"),
        otel.status_code = Empty,
        flow = %flow,
        decision.id = label.id,
        caller = label.caller,
        outcome = Empty,
        effect.name = Empty,
        effect.result = Empty,
        error.type = Empty,
    )
}

/// Records how it ended.
pub(super) fn end(span: &Span, report: &Report, write: Option<&Write<'_>>) {
    if span.is_disabled() {
        return;
    }
    if let Some(write) = write {
        span.record("effect.result", write.result);
    }
    match &report.result {
        Ok(decision) => {
            span.record("outcome", decision.status.as_str());
        }
        Err(error) => {
            span.record("error.type", error.code());
            // A client that asks for something that does not exist is no fault of this service.
            if !matches!(error, FlowError::NotFound { .. } | FlowError::Override { .. }) {
                span.record("otel.status_code", "ERROR");
            }
        }
    }
}

/// Writes the line of a decision. `supposes`: facts were replaced.
pub(super) fn write(
    flow: &FlowName,
    report: &Report,
    (label, write): (&Label, Option<&Write<'_>>),
    took: Duration,
    supposes: bool,
) {
    let Label { id, caller } = label;
    let (key, result) = (write.map(|write| write.key), write.map(|write| write.result));
    let took_us = micros(took);
    let what_if = supposes.then_some(true);
    match &report.result {
        Ok(decision) => {
            tracing::info!(
                %flow, outcome = decision.status, decision.id = id, caller, key, effect.result = result, took_us, what_if,
                "decided"
            );
        }
        Err(error) => {
            let code = error.code();
            tracing::info!(
                %flow, error.code = code, decision.id = id, caller, key, effect.result = result, took_us, what_if,
                "not decided"
            );
        }
    }
}

/// Writes the line of a request that got the stored answer of the decision of this id.
pub(super) fn replayed(flow: &FlowName, decision: &str, (label, write): (&Label, &Write<'_>), took: Duration) {
    let (took_us, caller) = (micros(took), label.caller.as_deref());
    tracing::info!(%flow, decision.id = decision, caller, key = write.key, effect.result = write.result, took_us, "replayed");
}
