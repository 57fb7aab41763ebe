//! The span of one node, within that of its decision.

use tracing::Span;
use tracing::field::Empty;

use super::error::FlowError;
use super::executor::Ended;
use crate::graph::{Node, Work};

/// The span of `node`. Nothing of its row is in it.
pub(super) fn of(node: &Node) -> Span {
    let kind = match &node.work {
        Work::Query(_) => "query",
        Work::Rules(_) => "rules",
    };
    tracing::debug_span!(
        "node",
        otel.name = %format_args!("node {}", node.id),
        otel.status_code = Empty,
        node.id = %node.id,
        node.kind = kind,
        node.degraded = Empty,
        error.type = Empty,
    )
}

/// How the node ended, where that is worth telling.
pub(super) fn ended(span: &Span, result: &Result<Ended, FlowError>) {
    match result {
        Ok(Ended::Value(..) | Ended::Skipped | Ended::Unknown) => {}
        Ok(Ended::Degraded(_, code)) => {
            span.record("node.degraded", code);
        }
        Err(error) => {
            span.record("error.type", error.code());
            if !matches!(error, FlowError::NotFound { .. }) {
                span.record("otel.status_code", "ERROR");
            }
        }
    }
}
