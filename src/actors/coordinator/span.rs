//! The spans of queries and transactions, with the attributes of OpenTelemetry (semantic conventions for database clients).

use std::collections::HashMap;
use std::sync::Arc;

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::actors::domain::DomainHandle;
use crate::config::Protocol;
use crate::flow::{QueryAnswer, QueryError};
use crate::graph::QueryNode;

/// The span of a query to `domain`. It has the name of the node, and neither SQL nor parameters.
pub(super) fn of_query(node: &QueryNode, domain: &DomainHandle) -> Span {
    let span = tracing::debug_span!(
        "query",
        otel.kind = "client",
        otel.name = %format_args!("{} {}", node.query.node(), node.domain),
        otel.status_code = Empty,
        domain = %node.domain,
        db.system.name = Empty,
        db.namespace = Empty,
        // Sessions are read only.
        db.operation.name = "SELECT",
        db.query.summary = %node.query.node(),
        db.operation.batch.size = Empty,
        db.response.returned_rows = Empty,
        db.response.status_code = Empty,
        query.waited_seconds = Empty,
        server.address = Empty,
        server.port = Empty,
        error.type = Empty,
    );
    add_domain(&span, domain);
    span
}

/// The span of a transaction that writes to `domain`: of an effect, or of a key alone.
pub(in crate::actors) fn of_transaction(what: &str, domain: &DomainHandle) -> Span {
    let span = tracing::debug_span!(
        "transaction",
        otel.kind = "client",
        otel.name = %format_args!("{what} {}", domain.name()),
        otel.status_code = Empty,
        domain = %domain.name(),
        db.system.name = Empty,
        db.namespace = Empty,
        db.query.summary = what,
        db.response.status_code = Empty,
        server.address = Empty,
        server.port = Empty,
        error.type = Empty,
    );
    add_domain(&span, domain);
    span
}

fn add_domain(span: &Span, domain: &DomainHandle) {
    if span.is_disabled() {
        return;
    }
    domain.config(|config| {
        if config.connection.protocol == Protocol::Postgres {
            span.record("db.system.name", "postgresql");
            span.record("db.namespace", config.connection.database.as_str());
        }
        // Of several hosts it is not known which one answers.
        if let [(host, port)] = config.connection.hosts.as_slice() {
            span.record("server.address", host.as_str()).record("server.port", *port);
        }
    });
}

/// The span as W3C trace context, for a domain that is a service. `None` where no traces are made.
pub(super) fn traceparent(span: &Span, domain: &DomainHandle) -> Option<Arc<str>> {
    if span.is_disabled() || domain.config(|config| config.connection.protocol == Protocol::Postgres) {
        return None;
    }
    let mut headers: HashMap<String, String> = HashMap::new();
    TraceContextPropagator::new().inject_context(&span.context(), &mut headers);
    headers.get("traceparent").map(|value| Arc::from(value.as_str()))
}

/// Records the result, and for a coalesced query the number of queries of its statement.
pub(super) fn record_result(span: &Span, result: &Result<QueryAnswer, QueryError>) {
    if span.is_disabled() {
        return;
    }
    match result {
        Ok(answer) => {
            span.record("db.response.returned_rows", answer.rows.len());
            span.record("query.waited_seconds", answer.waited.as_secs_f64());
            if answer.together > 1 {
                span.record("db.operation.batch.size", answer.together);
            }
        }
        Err(error) => record_error(span, error.kind.code(), error.kind.sqlstate()),
    }
}

/// Records why a query or a transaction failed.
pub(in crate::actors) fn record_error(span: &Span, code: &str, sqlstate: Option<&str>) {
    span.record("error.type", code).record("otel.status_code", "ERROR");
    if let Some(sqlstate) = sqlstate {
        span.record("db.response.status_code", sqlstate);
    }
}
