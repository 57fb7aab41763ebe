//! `POST /console/flows/{flow}/test`: makes a decision and gives it back as a flow test, to be run by `tributary test`.
//!
//! The file holds the rows that the decision was made from, so a caller's token needs the right to explain. If the flow
//! redacts columns or facts are replaced, it takes the admin token.

use std::path::PathBuf;
use std::sync::Arc;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION};
use actix_web::{HttpRequest, HttpResponse, web};

use super::flows::redacts;
use crate::actors::coordinator::Request;
use crate::config::Right;
use crate::flow::{Detail, Report, RunOptions};
use crate::flowtests;
use crate::graph::Flow;
use crate::http::endpoint::Endpoint;
use crate::http::handlers::body::{read_json, what_if};
use crate::http::{Problem, Service};
use crate::types::{Clock, Deadline};

/// Decides, and writes the test.
pub(in crate::http) const TEST: Endpoint = Endpoint::post("/console/flows/{flow}/test", |route| route.to(test));

async fn test(
    request: HttpRequest,
    path: web::Path<String>,
    payload: web::Payload,
    service: web::Data<Service>,
) -> Result<HttpResponse, Problem> {
    let text = write(&request, &path, payload, &service).await?;
    let disposition = format!("attachment; filename=\"{}.test.yaml\"", file_stem(&path));
    Ok(HttpResponse::Ok()
        .content_type("application/yaml; charset=utf-8")
        .insert_header((CONTENT_DISPOSITION, disposition))
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(text))
}

async fn write(
    request: &HttpRequest,
    name_of_flow: &str,
    payload: web::Payload,
    service: &Service,
) -> Result<String, Problem> {
    let release = service.releases.current();
    let is_admin = service.authorize(request).is_ok();
    let ungated = release.flow_named(name_of_flow).filter(|_| is_admin).cloned();
    let flow = match ungated {
        Some(flow) => flow,
        None => {
            let flow = service.flow_named(request, name_of_flow)?;
            service.gate.admit(request, &flow.flow().name, Right::Decide)?.needs(Right::Explain)?;
            flow
        }
    };
    if redacts(flow.flow()) {
        service.authorize(request)?;
    }
    let settings = release.settings();
    let body = read_json(request, payload, settings).await?;
    let (inputs, overrides) = what_if(&body, &flow, false)?;
    if !overrides.is_empty() {
        service.authorize(request)?;
    }
    let clock = Clock::system(settings.time_zone.clone());
    let run = RunOptions {
        detail: Detail::Answers,
        overrides,
        ..RunOptions::new(clock, Deadline::after(settings.request_timeout))
    };
    // Nobody acts on this decision: it is put on no record.
    let Report { result, trace, .. } =
        service.coordinator.decide(Request { flow: Arc::clone(&flow), inputs, run }).await;
    match (trace, result) {
        (Some(trace), result) => Ok(flowtests::record(flow.flow(), &result, &trace, &file(flow.flow()))),
        (None, Err(error)) => Err(Problem::flow(&flow.flow().name, &error)),
        (None, Ok(_)) => Ok(String::new()),
    }
}

/// Where such a file belongs: a graph is named from there.
fn file(flow: &Flow) -> PathBuf {
    PathBuf::from("tests/flows").join(format!("{}.test.yaml", file_stem(flow.name.as_str())))
}

fn file_stem(flow: &str) -> String {
    flow.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '-' }).collect()
}
