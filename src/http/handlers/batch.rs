//! `POST {flow path}/batch`: many inputs in, a line for each out.

use std::convert::Infallible;
use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::{Stream, StreamExt, stream};
use schemars::JsonSchema;
use serde::Serialize;

use super::body::media_type;
use super::key::key_of;
use super::options::DecisionOptions;
use super::query::flag;
use crate::actors::coordinator::BoundFlow;
use crate::http::batch::{Batch, Form, Line, Summary};
use crate::http::request::{Label, TraceId};
use crate::http::{Problem, Service, Settings};

/// The most lines that are sent together.
const TOGETHER: usize = 64;
/// The option for a last line that counts how the decisions ended.
const SUMMARY: &str = "summary";
const LINES: &str = "application/x-ndjson";

/// Answers a batch as a stream. Errors that are found at once are answered before the stream begins.
pub(super) async fn decide(
    request: &HttpRequest,
    payload: web::Payload,
    service: &Service,
    (flow, settings): (&Arc<BoundFlow>, &Settings),
) -> Result<HttpResponse, Problem> {
    let options = DecisionOptions::read(request, service, &flow.flow().name, false)?;
    if key_of(request, false)?.is_some() {
        return Err(Problem::key_of_batch());
    }
    let form = match media_type(request).as_deref() {
        Some("application/json") => Form::Array,
        Some(LINES | "application/ndjson" | "application/jsonl") => Form::Lines,
        sent => return Err(Problem::wrong_media_type("application/json` or `application/x-ndjson", sent)),
    };
    let batch = Batch {
        service: service.clone(),
        flow: Arc::clone(flow),
        settings: settings.clone(),
        label: Label::new(request, flow.flow(), options.asker.name()),
        trace_id: TraceId::of(request),
        explains: options.explains,
        as_of: options.as_of,
        shard: None,
    };
    let sums_up = flag(request.query_string(), SUMMARY)?;
    let lines = texts(batch.begin(payload, form).await?, sums_up).map(Ok::<_, Infallible>);
    Ok(HttpResponse::Ok().content_type(LINES).streaming(lines))
}

/// The lines, several together where they are ready. With `sums_up`, the summary follows.
fn texts(lines: impl Stream<Item = Line>, sums_up: bool) -> impl Stream<Item = web::Bytes> {
    let lines = Box::pin(lines.ready_chunks(TOGETHER));
    stream::unfold(Some((lines, Summary::default())), move |state| async move {
        let (mut lines, mut summary) = state?;
        let mut text = Vec::new();
        let Some(ready) = lines.next().await else {
            return sums_up.then(|| {
                write(&LastLine { summary }, &mut text);
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

/// The last line of a batch, if the request asks for it.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, rename = "BatchSummary")]
pub(in crate::http) struct LastLine {
    summary: Summary,
}

fn write(line: &impl Serialize, text: &mut Vec<u8>) {
    // Every line serializes.
    serde_json::to_writer(&mut *text, line).unwrap_or_default();
    text.push(b'\n');
}
