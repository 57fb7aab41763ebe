//! `POST {flow path}`: one decision; `POST {flow path}/what-if`: one with facts replaced.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};

use super::body::{read_json, what_if};
use super::key::{key_of, response};
use super::options::DecisionOptions;
use crate::actors::coordinator::BoundFlow;
use crate::flow::explain::Explanation;
use crate::flow::{Answer, Detail, FlowError, RunOptions};
use crate::http::keyed::{KeyedAnswer, KeyedDecision};
use crate::http::request::Label;
use crate::http::{Problem, Service, Settings};
use crate::types::{Deadline, FlowName, Value};

/// Decides. `supposes`: the body replaces facts.
pub(super) async fn decide(
    request: &HttpRequest,
    payload: web::Payload,
    service: &Service,
    (flow, settings): (&Arc<BoundFlow>, &Settings),
    supposes: bool,
) -> Result<HttpResponse, Problem> {
    let options = DecisionOptions::read(request, service, &flow.flow().name, supposes)?;
    let key = key_of(request, supposes || options.as_of.is_some())?;
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
    let label = Label::new(request, flow.flow(), options.asker.name());
    // A flow without effects writes nothing, so its decisions can be repeated without a key.
    if let Some(key) = key.filter(|_| flow.effects().is_some()) {
        let decision = KeyedDecision {
            service,
            flow,
            label: &label,
            key: &key,
            lifetime: settings.key_lifetime,
            explains: options.explains,
            complete: &|problem| problem.answering(request),
        };
        return keyed(&decision, request, inputs, run).await;
    }
    let answer = answer(service, flow, (inputs, run, options.explains), &label).await?;
    Ok(HttpResponse::Ok().json(answer))
}

/// The answer of a decision without a key.
pub(in crate::http) async fn answer(
    service: &Service,
    flow: &Arc<BoundFlow>,
    (inputs, run, explains): (Value, RunOptions, bool),
    label: &Label,
) -> Result<Answer, Problem> {
    let replaced = run.overrides.facts().map(str::to_owned).collect();
    let report = service.decide(flow, inputs, run, label).await;
    let answer = report.answer(flow.flow(), explains, replaced);
    answer.map_err(|(error, explain)| problem(&flow.flow().name, &error, explain))
}

/// The response of a decision with a key.
async fn keyed(
    decision: &KeyedDecision<'_>,
    request: &HttpRequest,
    inputs: Value,
    run: RunOptions,
) -> Result<HttpResponse, Problem> {
    match decision.decide(inputs, run).await {
        Ok(KeyedAnswer { ending, repeats, .. }) => {
            if let Some(id) = repeats {
                Label::repeats(request, &id);
            }
            Ok(response(&ending))
        }
        Err((error, explain)) => Err(problem(&decision.flow.flow().name, &error, explain)),
    }
}

/// The problem of a flow that gave no decision, which is logged.
pub(in crate::http) fn problem(flow: &FlowName, error: &FlowError, explain: Option<Box<Explanation>>) -> Problem {
    log(flow, error);
    Problem::flow(flow, error).explained(explain)
}

/// A temporary error is a warning; an error that a client caused is information.
fn log(flow: &FlowName, error: &FlowError) {
    match error {
        FlowError::NotFound { .. } | FlowError::Override { .. } => tracing::info!(%flow, %error, "no decision"),
        error if error.is_retryable() => tracing::warn!(%flow, %error, "no decision"),
        error => tracing::error!(%flow, %error, detail = error.schema_detail(), "no decision"),
    }
}
