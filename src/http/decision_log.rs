//! The span and the log line of a decision.

use std::time::Duration;

use tracing::Span;
use tracing::field::Empty;

use super::request::Label;
use crate::flow::{FlowError, Report, micros};
use crate::types::FlowName;

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
        error.type = Empty,
    )
}

/// Records how it ended.
pub(super) fn end(span: &Span, report: &Report) {
    if span.is_disabled() {
        return;
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
pub(super) fn write(flow: &FlowName, report: &Report, label: &Label, took: Duration, supposes: bool) {
    let Label { id, caller } = label;
    let took_us = micros(took);
    let what_if = supposes.then_some(true);
    match &report.result {
        Ok(decision) => {
            tracing::info!(%flow, outcome = decision.status, decision.id = id, caller, took_us, what_if, "decided");
        }
        Err(error) => {
            let code = error.code();
            tracing::info!(%flow, error.code = code, decision.id = id, caller, took_us, what_if, "not decided");
        }
    }
}
