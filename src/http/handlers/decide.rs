//! `POST {flow path}`: one decision; `POST {flow path}/what-if`: one with facts replaced.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::{Method, header};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::Value as Json;
use tokio::time::timeout;

use super::wish::Wish;
use super::{answering, batch};
use crate::actors::coordinator::BoundFlow;
use crate::flow::explain::Explanation;
use crate::flow::{Answer, Detail, FlowError, Overrides, Report, RunOptions};
use crate::graph::without_bom;
use crate::http::request_id::name_decision;
use crate::http::span::found_flow;
use crate::http::{Label, Problem, Release, Service, Settings};
use crate::types::{Deadline, FlowName, Value};

/// What stands behind a flow's path for decisions with facts replaced.
const WHAT_IF: &str = "/what-if";

/// Answers whatever no fixed route takes: a flow's path, or nothing.
pub(in crate::http) async fn decide(
    request: HttpRequest,
    payload: web::Payload,
    service: web::Data<Service>,
) -> Result<HttpResponse, Problem> {
    if request.path().ends_with(batch::BATCH) {
        return batch::decide(&request, payload, &service).await.map_err(|problem| answering(&request, problem));
    }
    match answer(&request, payload, &service).await {
        Ok(answer) => Ok(HttpResponse::Ok().json(answer)),
        Err(problem) => Err(answering(&request, problem)),
    }
}

async fn answer(request: &HttpRequest, payload: web::Payload, service: &Service) -> Result<Answer, Problem> {
    let release = service.releases.current();
    let (flow, replaces) = find(&release, request.path())?;
    found_flow(request);
    if request.method() != Method::POST {
        return Err(Problem::method_not_allowed(request.method().as_str(), "POST"));
    }
    let wish = Wish::read(request, service, &flow.flow().name, replaces)?;
    check_media_type(request)?;
    let settings = release.settings();
    let mut run = RunOptions::new(wish.clock(&settings.time_zone), Deadline::after(settings.request_timeout));
    run.detail = if wish.explains { Detail::Reasons } else { Detail::Decision };
    let body = read(payload, settings.max_body_bytes, settings.request_timeout).await?;
    let inputs = if replaces {
        let (inputs, set) = what_if(&body, true)?;
        run.overrides = overrides(flow, set)?;
        flow.flow().inputs.parse_json(inputs.to_string().as_bytes())
    } else {
        flow.flow().inputs.parse_json(&body)
    };
    let inputs = inputs.map_err(Problem::input)?;
    let replaced = run.overrides.facts().map(str::to_owned).collect();
    let label = label(request, flow, &wish);
    let report = service.decide(flow, inputs, run, &label).await;
    finish(flow, report, wish.explains, replaced)
}

/// What names the decision that a request leads to.
pub(super) fn label(request: &HttpRequest, flow: &BoundFlow, wish: &Wish) -> Label {
    Label { id: name_decision(request, flow.flow()), caller: wish.asker.name().map(str::to_owned) }
}

fn finish(flow: &BoundFlow, report: Report, explains: bool, replaced: Vec<String>) -> Result<Answer, Problem> {
    let Report { result, trace } = report;
    let explain = |decided| {
        let trace = trace.as_deref().filter(|_| explains)?;
        Some(Box::new(Explanation::of(flow.flow(), trace, decided)))
    };
    match result {
        Ok(decision) => Ok(Answer { decision, explain: explain(true), what_if: replaced }),
        Err(error) => {
            let name = &flow.flow().name;
            log(name, &error);
            Err(Problem::flow(name, &error).explained(explain(false)))
        }
    }
}

/// The flow at `path`, and whether its what-if is asked for.
fn find<'a>(release: &'a Release, path: &str) -> Result<(&'a Arc<BoundFlow>, bool), Problem> {
    let direct = release.flow_at(path).map(|flow| (flow, false));
    let found = direct.or_else(|| Some((release.flow_at(path.strip_suffix(WHAT_IF)?)?, true)));
    found.ok_or_else(|| Problem::no_such_path(path))
}

/// What a request asks for that may replace facts: checked inputs, and what is replaced.
pub(in crate::http) async fn supposed(
    request: &HttpRequest,
    payload: web::Payload,
    settings: &Settings,
    flow: &BoundFlow,
) -> Result<(Value, Overrides), Problem> {
    check_media_type(request)?;
    let (inputs, set) = what_if(&read(payload, settings.max_body_bytes, settings.request_timeout).await?, false)?;
    let overrides = overrides(flow, set)?;
    let inputs = flow.flow().inputs.parse_json(inputs.to_string().as_bytes()).map_err(Problem::input)?;
    Ok((inputs, overrides))
}

/// The two parts of a what-if's body; whether the second has to be there.
fn what_if(body: &[u8], needs_set: bool) -> Result<(Json, Vec<(String, Json)>), Problem> {
    const SHAPE: &str = "the body of a what-if is {\"input\": {...}, \"set\": {\"node.column\": value}}";
    let json: Json =
        serde_json::from_slice(without_bom(body)).map_err(|error| Problem::malformed(format!("{SHAPE}; {error}")))?;
    let Json::Object(mut fields) = json else { return Err(Problem::malformed(SHAPE.to_owned())) };
    let inputs = fields.shift_remove("input").unwrap_or_else(|| Json::Object(serde_json::Map::new()));
    let set = match fields.shift_remove("set") {
        Some(Json::Object(set)) if !set.is_empty() || !needs_set => set.into_iter().collect(),
        None if !needs_set => Vec::new(),
        _ => return Err(Problem::malformed(format!("{SHAPE}; `set` names at least one fact"))),
    };
    match fields.keys().next() {
        Some(stray) => Err(Problem::malformed(format!("{SHAPE}; there is no key `{stray}`"))),
        None => Ok((inputs, set)),
    }
}

fn overrides(flow: &BoundFlow, set: Vec<(String, Json)>) -> Result<Overrides, Problem> {
    let mut overrides = Overrides::none();
    let name = &flow.flow().name;
    for (fact, value) in set {
        let refused = |why| FlowError::Override { fact: fact.clone(), why };
        let value = Value::from_json(&value).map_err(|error| refused(error.to_string()));
        let done = value.and_then(|value| overrides.set(flow.flow(), &fact, value));
        done.map_err(|error| Problem::flow(name, &error))?;
    }
    Ok(overrides)
}

/// What a client cannot do anything about is an error here; what may pass is a warning.
fn log(flow: &FlowName, error: &FlowError) {
    match error {
        FlowError::NotFound { .. } | FlowError::Override { .. } => tracing::info!(%flow, %error, "no decision"),
        error if error.is_retryable() => tracing::warn!(%flow, %error, "no decision"),
        error => tracing::error!(%flow, %error, detail = error.schema_detail(), "no decision"),
    }
}

fn check_media_type(request: &HttpRequest) -> Result<(), Problem> {
    match media_type(request).as_deref() {
        Some(essence) if essence == "application/json" || essence.ends_with("+json") => Ok(()),
        sent => Err(Problem::wrong_media_type("application/json", sent)),
    }
}

/// The type of the body, without its parameters.
pub(super) fn media_type(request: &HttpRequest) -> Option<String> {
    let sent = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok())?;
    Some(sent.split(';').next().unwrap_or("").trim().to_ascii_lowercase())
}

async fn read(payload: web::Payload, limit: usize, time: Duration) -> Result<web::Bytes, Problem> {
    match timeout(time, payload.to_bytes_limited(limit)).await {
        Ok(Ok(Ok(body))) => Ok(body),
        Ok(Ok(Err(_))) => Err(Problem::unreadable_body()),
        Ok(Err(_)) => Err(Problem::body_too_large(limit)),
        Err(_) => Err(Problem::slow_body(time)),
    }
}
