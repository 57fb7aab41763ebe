//! `POST {flow path}`: one decision.

use actix_web::http::{Method, header};
use actix_web::{HttpRequest, HttpResponse, web};

use super::answering;
use crate::actors::coordinator::Request;
use crate::flow::{Decision, FlowError, Run};
use crate::http::{Problem, Service};
use crate::types::{Clock, Deadline, FlowName};

/// Answers whatever no fixed route takes: a flow's path, or nothing.
pub(in crate::http) async fn decide(
    request: HttpRequest,
    payload: web::Payload,
    service: web::Data<Service>,
) -> Result<HttpResponse, Problem> {
    match decision(&request, payload, &service).await {
        Ok(decision) => Ok(HttpResponse::Ok().json(decision)),
        Err(problem) => Err(answering(&request, problem)),
    }
}

async fn decision(request: &HttpRequest, payload: web::Payload, service: &Service) -> Result<Decision, Problem> {
    let release = service.releases.current();
    let Some(flow) = release.flow_at(request.path()) else { return Err(Problem::no_such_path(request.path())) };
    if request.method() != Method::POST {
        return Err(Problem::method_not_allowed(request.method().as_str(), "POST"));
    }
    check_media_type(request)?;
    let settings = release.settings();
    let run =
        Run { clock: Clock::system(settings.time_zone.clone()), deadline: Deadline::after(settings.request_timeout) };
    let body = read(payload, settings.max_body_bytes).await?;
    let inputs = flow.flow().inputs.parse_json(&body).map_err(Problem::input)?;
    let name = flow.flow().name.clone();
    let asked = Request { flow: flow.clone(), inputs, run };
    service.coordinator.decide(asked).await.map_err(|error| {
        log(&name, &error);
        Problem::flow(&name, &error)
    })
}

/// What a client cannot do anything about is an error here; what may pass is a warning.
fn log(flow: &FlowName, error: &FlowError) {
    match error {
        FlowError::NotFound { .. } => tracing::info!(%flow, %error, "no decision"),
        error if error.is_retryable() => tracing::warn!(%flow, %error, "no decision"),
        error => tracing::error!(%flow, %error, detail = error.schema_detail(), "no decision"),
    }
}

fn check_media_type(request: &HttpRequest) -> Result<(), Problem> {
    let sent = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = sent.map(|sent| sent.split(';').next().unwrap_or("").trim().to_ascii_lowercase());
    match essence.as_deref() {
        Some(essence) if essence == "application/json" || essence.ends_with("+json") => Ok(()),
        _ => Err(Problem::wrong_media_type(sent)),
    }
}

async fn read(payload: web::Payload, limit: usize) -> Result<web::Bytes, Problem> {
    match payload.to_bytes_limited(limit).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(_)) => Err(Problem::unreadable_body()),
        Err(_) => Err(Problem::body_too_large(limit)),
    }
}
