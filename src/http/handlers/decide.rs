//! `POST {flow path}`: one decision; `POST {flow path}/what-if`: one with facts replaced.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};

use super::body::{read_json, what_if};
use super::key::{key_of, response};
use super::options::DecisionOptions;
use crate::actors::coordinator::BoundFlow;
use crate::actors::effects::{Ending, Keyed, KeyedRequest};
use crate::flow::{Answer, Decision, Detail, FlowError, PendingApproval, Report, RunOptions};
use crate::http::request::Label;
use crate::http::{Problem, Service, Settings};
use crate::types::{Deadline, FlowName, IdempotencyKey, Value};

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
        let decision = KeyedDecision { request, service, flow, explains: options.explains, label };
        return decision.answer(inputs, run, &key, settings.key_lifetime).await;
    }
    let replaced = run.overrides.facts().map(str::to_owned).collect();
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

/// A decision with a key.
struct KeyedDecision<'a> {
    request: &'a HttpRequest,
    service: &'a Service,
    flow: &'a Arc<BoundFlow>,
    explains: bool,
    label: Label,
}

impl KeyedDecision<'_> {
    async fn answer(
        &self,
        inputs: Value,
        run: RunOptions,
        key: &IdempotencyKey,
        lifetime: u32,
    ) -> Result<HttpResponse, Problem> {
        let request = KeyedRequest {
            flow: self.flow,
            inputs,
            run,
            caller: self.label.caller.as_deref().unwrap_or_default(),
            key,
            decision: &self.label.id,
            lifetime,
        };
        let render = |result: &Result<Decision, FlowError>, report: &Report, is_pending: bool| {
            self.render(result, report, is_pending)
        };
        match self.service.decide_keyed(request, &self.label, &render).await {
            Keyed::Decided { ending, .. } => Ok(response(&ending)),
            Keyed::Replayed { ending, decision, is_own } => {
                if !is_own {
                    Label::repeats(self.request, &decision);
                }
                Ok(response(&ending))
            }
            Keyed::Failed(report) => {
                let (name, explain) = (&self.flow.flow().name, report.explanation(self.flow.flow(), self.explains));
                let error = report.result.err().unwrap_or(FlowError::Broken);
                log(name, &error);
                Err(Problem::flow(name, &error).explained(explain))
            }
        }
    }

    /// The answer that is stored with the key.
    fn render(&self, result: &Result<Decision, FlowError>, report: &Report, is_pending: bool) -> Ending {
        let explain = report.explanation(self.flow.flow(), self.explains);
        match result {
            Ok(decision) => {
                let approval = is_pending.then(|| PendingApproval::new(&self.label.id));
                let answer = Answer { decision: decision.clone(), approval, what_if: Vec::new(), explain };
                let status = if is_pending { 202 } else { 200 };
                // Every answer serializes.
                Ending { status, body: serde_json::to_string(&answer).unwrap_or_default() }
            }
            Err(error) => {
                let problem = Problem::flow(&self.flow.flow().name, error).explained(explain).answering(self.request);
                Ending { status: problem.status().as_u16(), body: problem.to_json() }
            }
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
