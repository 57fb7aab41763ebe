//! `POST {flow path}/batch`: many inputs in, a line for each out.

use std::convert::Infallible;

use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::StreamExt;

use super::asks_for;
use super::decide::{EXPLAIN, media_type, name};
use crate::http::batch::{Batch, Form, Line};
use crate::http::span::{TraceId, found_flow};
use crate::http::{Problem, Service};

/// What stands behind a flow's path for batches.
pub(super) const BATCH: &str = "/batch";
/// Lines that are ready at once leave together, so many at most.
const TOGETHER: usize = 64;
const LINES: &str = "application/x-ndjson";

/// Answers a batch as a stream; what can be refused at once is refused before it begins.
pub(super) async fn decide(
    request: &HttpRequest,
    payload: web::Payload,
    service: &Service,
) -> Result<HttpResponse, Problem> {
    let path = request.path();
    let release = service.releases.current();
    let flow = path.strip_suffix(BATCH).and_then(|path| release.flow_at(path));
    let flow = flow.ok_or_else(|| Problem::no_such_path(path))?;
    found_flow(request);
    if request.method() != Method::POST {
        return Err(Problem::method_not_allowed(request.method().as_str(), "POST"));
    }
    service.gate.admit(request, &flow.flow().name)?;
    let form = match media_type(request).as_deref() {
        Some("application/json") => Form::Array,
        Some(LINES | "application/ndjson" | "application/jsonl") => Form::Lines,
        sent => return Err(Problem::wrong_media_type("application/json` or `application/x-ndjson", sent)),
    };
    let batch = Batch {
        service: service.clone(),
        flow: flow.clone(),
        settings: release.settings().clone(),
        id: name(request),
        trace_id: TraceId::of(request),
        explains: asks_for(request.query_string(), EXPLAIN)?,
    };
    let lines = batch.begin(payload, form).await?.ready_chunks(TOGETHER).map(|lines| Ok::<_, Infallible>(text(&lines)));
    Ok(HttpResponse::Ok().content_type(LINES).streaming(lines))
}

fn text(lines: &[Line]) -> web::Bytes {
    let mut text = Vec::new();
    for line in lines {
        // Writing to memory fails only where a value cannot be written, and all that there are can.
        serde_json::to_writer(&mut text, line).unwrap_or_default();
        text.push(b'\n');
    }
    text.into()
}
