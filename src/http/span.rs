//! The root span of a request, to which the spans of its decisions, nodes and queries belong; by the names that
//! OpenTelemetry has for them (semantic conventions of HTTP servers).

use std::rc::Rc;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::HeaderMap;
use actix_web::{Error, HttpMessage, HttpRequest, web};
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing::field::Empty;
use tracing_actix_web::RootSpanBuilder;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::connection::Client;
use super::middleware::RequestSettings;
use super::problem::Problem;
use super::request::{RequestId, TraceId};

/// Where W3C trace context is.
const TRACEPARENT: &str = "traceparent";

/// Builds the root span: method, path and identity when the request comes, status when its answer goes.
pub struct RequestSpan;

impl RootSpanBuilder for RequestSpan {
    fn on_request_start(request: &ServiceRequest) -> Span {
        let span = {
            let extensions = request.extensions();
            let id = extensions.get::<RequestId>().map_or("", RequestId::as_str);
            // At the level of errors, so that no line is without it, whatever the log lets through.
            tracing::error_span!(
                "request",
                http.request.method = %request.method(),
                url.path = request.path(),
                request.id = id,
                caller = Empty,
                trace_id = Empty,
                http.route = Empty,
                http.response.status_code = Empty,
                error.type = Empty,
                otel.kind = Empty,
                otel.name = Empty,
                otel.status_code = Empty,
            )
        };
        if request.app_data::<web::Data<RequestSettings>>().is_some_and(|settings| settings.traces)
            && let Some(id) = begin(&span, request)
        {
            request.extensions_mut().insert(id);
        }
        span
    }

    fn on_request_end<B: MessageBody>(span: Span, outcome: &Result<ServiceResponse<B>, Error>) {
        let request = outcome.as_ref().ok().map(ServiceResponse::request);
        // Only a trace shows what is known at the end.
        if request.is_some_and(|request| TraceId::of(request).is_none()) {
            return;
        }
        let (status, error) = match outcome {
            Ok(response) => (response.status(), response.response().error()),
            Err(error) => (error.as_response_error().status_code(), Some(error)),
        };
        span.record("http.response.status_code", status.as_u16());
        if let Some((request, route)) = request.and_then(|request| Some((request, request.match_pattern()?))) {
            found_route(&span, request.method(), &route);
        }
        if status.is_server_error() {
            let code = error.and_then(|error| error.as_error::<Problem>()).map(Problem::code);
            span.record("error.type", code.unwrap_or(status.as_str()));
            span.record("otel.status_code", "ERROR");
        }
    }
}

/// The trace of a request, which may have begun elsewhere; `None` where nothing makes traces.
fn begin(span: &Span, request: &ServiceRequest) -> Option<TraceId> {
    span.record("otel.kind", "server");
    span.record("otel.name", request.method().as_str());
    if request.headers().contains_key(TRACEPARENT) {
        span.set_parent(TraceContextPropagator::new().extract(&Headers(request.headers()))).ok()?;
    }
    let secure = request.conn_data::<Rc<Client>>().is_some_and(|client| client.secure);
    span.set_attribute("url.scheme", if secure { "https" } else { "http" });
    let context = span.context();
    let context = context.span().span_context().clone();
    let id = context.is_valid().then(|| context.trace_id().to_string())?;
    span.record("trace_id", id.as_str());
    Some(TraceId(id))
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|name| name.as_str()).collect()
    }
}

/// Records the route of the request: the configured path, not that of the request.
fn found_route(span: &Span, method: &Method, route: &str) {
    span.record("http.route", route);
    // It has begun, so that its trace could be known; a field would come too late.
    span.context().span().update_name(format!("{method} {route}"));
}

/// The request is for a flow, whose path is a route of its own.
pub(super) fn found_flow(request: &HttpRequest) {
    if TraceId::of(request).is_some() {
        found_route(&Span::current(), request.method(), request.path());
    }
}
