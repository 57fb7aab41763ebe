//! `POST {flow path}/flip`: what changes a decision.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};

use super::body::{flip, read_json};
use super::decide::problem;
use super::key::key_of;
use super::options::DecisionOptions;
use crate::actors::coordinator::BoundFlow;
use crate::flow::explain::Redaction;
use crate::flow::flip::{Flips, Question};
use crate::flow::{Detail, FlowError, RunOptions};
use crate::http::request::Label;
use crate::http::{Problem, Service, Settings};
use crate::types::{Deadline, Value};

/// Decides, and searches around the decision until its deadline.
pub(super) async fn search(
    request: &HttpRequest,
    payload: web::Payload,
    service: &Service,
    (flow, settings): (&Arc<BoundFlow>, &Settings),
) -> Result<HttpResponse, Problem> {
    let options = DecisionOptions::read(request, service, &flow.flow().name, true)?;
    if options.explains {
        return Err(Problem::bad_query("a search is not explained; ask for the decision with ?explain=true"));
    }
    key_of(request, true)?;
    let run = RunOptions::new(options.clock(&settings.time_zone), Deadline::after(settings.request_timeout));
    let body = read_json(request, payload, settings).await?;
    let (inputs, overrides, question) = flip(&body, flow)?;
    let label = Label::new(request, flow.flow(), options.asker.name());
    let run = RunOptions { overrides, ..run };
    Ok(HttpResponse::Ok().json(flips(service, (flow, settings), (inputs, run, &question), &label).await?))
}

/// What changes the decision of `inputs`.
pub(in crate::http) async fn flips(
    service: &Service,
    (flow, settings): (&Arc<BoundFlow>, &Settings),
    (inputs, run, question): (Value, RunOptions, &Question),
    label: &Label,
) -> Result<Flips, Problem> {
    let name = &flow.flow().name;
    let redaction = Redaction::of(flow.flow());
    if let Some(fact) = question.facts.iter().find(|fact| redaction.hides_named(flow.flow(), fact)) {
        let why = "it is redacted by the graph, and so is where the decision changes; search another fact".to_owned();
        return Err(refused(flow, question, &FlowError::Override { fact: fact.clone(), why }));
    }
    let run = RunOptions { detail: Detail::Answers, ..run };
    let report = service.suppose(flow, inputs, run.clone(), label).await;
    let trace = match (&report.result, report.trace.as_deref()) {
        (Ok(_), Some(trace)) => trace,
        (Ok(_), None) => return Err(problem(name, &FlowError::Broken, None)),
        (Err(error), _) => return Err(problem(name, error, None)),
    };
    let found = service.flips((flow, &settings.rule_limits), (&run, trace), question, label).await;
    found.map_err(|error| refused(flow, question, &error))
}

/// The problem of a search, with the place of the fact in the body.
fn refused(flow: &BoundFlow, question: &Question, error: &FlowError) -> Problem {
    let problem = problem(&flow.flow().name, error, None);
    let FlowError::Override { fact, why } = error else { return problem };
    match question.facts.iter().rposition(|asked| asked == fact) {
        Some(place) => problem.at(format!("/facts/{place}"), why),
        None if question.field.as_ref() == Some(fact) => problem.at("/field".to_owned(), why),
        None => problem,
    }
}
