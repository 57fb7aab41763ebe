//! `POST {flow path}`: one decision; `POST {flow path}/what-if`: one with facts replaced.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};

use super::body::{read_json, what_if};
use super::options::DecisionOptions;
use crate::actors::coordinator::BoundFlow;
use crate::flow::{Detail, FlowError, RunOptions};
use crate::http::request::Label;
use crate::http::{Problem, Service, Settings};
use crate::types::{Deadline, FlowName};

/// Decides. `supposes`: the body replaces facts.
pub(super) async fn decide(
    request: &HttpRequest,
    payload: web::Payload,
    service: &Service,
    (flow, settings): (&Arc<BoundFlow>, &Settings),
    supposes: bool,
) -> Result<HttpResponse, Problem> {
    let options = DecisionOptions::read(request, service, &flow.flow().name, supposes)?;
    let mut run = RunOptions::new(options.clock(&settings.time_zone), Deadline::after(settings.request_timeout));
    run.detail = if options.explains { Detail::Reasons } else { Detail::Decision };
    let body = read_json(request, payload, settings).await?;
    let inputs = if supposes {
        let (inputs, overrides) = what_if(&body, flow, true)?;
        run.overrides = overrides;
        inputs
    } else {
        flow.flow().inputs.parse_json(&body).map_err(Problem::input)?
    };
    let replaced = run.overrides.facts().map(str::to_owned).collect();
    let label = Label::new(request, flow.flow(), options.asker.name());
    let report = service.decide(flow, inputs, run, &label).await;
    match report.answer(flow.flow(), options.explains, replaced) {
        Ok(answer) => Ok(HttpResponse::Ok().json(answer)),
        Err((error, explain)) => {
            let name = &flow.flow().name;
            log(name, &error);
            Err(Problem::flow(name, &error).explained(explain))
        }
    }
}

/// A temporary error is a warning; an error that a client caused is information.
fn log(flow: &FlowName, error: &FlowError) {
    match error {
        FlowError::NotFound { .. } | FlowError::Override { .. } => tracing::info!(%flow, %error, "no decision"),
        error if error.is_retryable() => tracing::warn!(%flow, %error, "no decision"),
        error => tracing::error!(%flow, %error, detail = error.schema_detail(), "no decision"),
    }
}
