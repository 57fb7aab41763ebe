//! `POST {flow path}/batch`: many inputs in, a line for each out.

use std::convert::Infallible;

use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::{Stream, StreamExt, stream};

use serde::Serialize;

use super::asks_for;
use super::decide::{label, media_type};
use super::wish::Wish;
use crate::http::batch::{Batch, Form, Line, Summary};
use crate::http::span::{TraceId, found_flow};
use crate::http::{Problem, Service};

/// What stands behind a flow's path for batches.
pub(super) const BATCH: &str = "/batch";
/// Lines that are ready at once leave together, so many at most.
const TOGETHER: usize = 64;
/// What the query string asks for a last line with, which counts how the decisions ended.
const SUMMARY: &str = "summary";
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
    let wish = Wish::read(request, service, &flow.flow().name, false)?;
    let form = match media_type(request).as_deref() {
        Some("application/json") => Form::Array,
        Some(LINES | "application/ndjson" | "application/jsonl") => Form::Lines,
        sent => return Err(Problem::wrong_media_type("application/json` or `application/x-ndjson", sent)),
    };
    let batch = Batch {
        service: service.clone(),
        flow: flow.clone(),
        settings: release.settings().clone(),
        label: label(request, flow, &wish),
        trace_id: TraceId::of(request),
        explains: wish.explains,
        as_of: wish.as_of,
    };
    let sums_up = asks_for(request.query_string(), SUMMARY)?;
    let lines = texts(batch.begin(payload, form).await?, sums_up).map(Ok::<_, Infallible>);
    Ok(HttpResponse::Ok().content_type(LINES).streaming(lines))
}

/// The lines, several at once where they are ready; then the summary, where it `sums_up`.
fn texts(lines: impl Stream<Item = Line>, sums_up: bool) -> impl Stream<Item = web::Bytes> {
    let lines = Box::pin(lines.ready_chunks(TOGETHER));
    stream::unfold(Some((lines, Summary::default())), move |state| async move {
        let (mut lines, mut summary) = state?;
        let mut text = Vec::new();
        let Some(ready) = lines.next().await else {
            return sums_up.then(|| {
                write(&Total { summary }, &mut text);
                (text.into(), None)
            });
        };
        for line in &ready {
            summary.add(line);
            write(line, &mut text);
        }
        Some((text.into(), Some((lines, summary))))
    })
}

/// The last line of a batch.
#[derive(Serialize)]
struct Total {
    summary: Summary,
}

fn write(line: &impl Serialize, text: &mut Vec<u8>) {
    // Every line serializes.
    serde_json::to_writer(&mut *text, line).unwrap_or_default();
    text.push(b'\n');
}
