//! Health: of the process, of the service, of each domain. Everything here is read from what the domain actors last
//! published; asking costs the databases nothing.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::{answering, asks_for};
use crate::actors::coordinator::BoundFlow;
use crate::actors::domain::{Health, State};
use crate::http::{Problem, Service};

/// What `application/health+json` calls a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Pass,
    Warn,
    Fail,
}

/// The process lives. Touches no database.
pub(in crate::http) async fn live() -> HttpResponse {
    health(StatusCode::OK, &json!({ "status": Status::Pass }))
}

/// Answers any method but GET and HEAD on a path that takes only those.
pub(in crate::http) async fn only_get(request: HttpRequest) -> Result<HttpResponse, Problem> {
    Err(answering(&request, Problem::method_not_allowed(request.method().as_str(), "GET, HEAD")))
}

/// Whether any flow can be served; `?verbose` tells which cannot, and why.
pub(in crate::http) async fn ready(request: HttpRequest, service: web::Data<Service>) -> Result<HttpResponse, Problem> {
    let in_detail = asks_for(request.query_string(), "verbose").map_err(|problem| answering(&request, problem))?;
    let release = service.releases.current();
    let flows = release.flows();
    let servable = flows.iter().filter(|flow| obstacles(flow).is_empty()).count();
    let (status, code) = match servable {
        0 => (Status::Fail, StatusCode::SERVICE_UNAVAILABLE),
        all if all == flows.len() => (Status::Pass, StatusCode::OK),
        _ => (Status::Warn, StatusCode::OK),
    };
    let mut answer = json!({ "status": status, "flows_ready": servable, "flows": flows.len() });
    if in_detail {
        let detail: Vec<Json> = flows
            .iter()
            .map(|flow| {
                let obstacles = obstacles(flow);
                json!({ "flow": flow.flow().name, "ready": obstacles.is_empty(), "because": obstacles })
            })
            .collect();
        answer = json!({ "status": status, "flows": detail });
    }
    Ok(health(code, &answer))
}

/// The domains that keep a flow from being served.
fn obstacles(flow: &BoundFlow) -> Vec<Json> {
    let needed = flow.required_domains();
    let unserved = needed.into_iter().map(|domain| domain.health()).filter(|health| status_of(health) == Status::Fail);
    unserved
        .map(|health| {
            let why = health.last_error.as_ref().map(|error| error.message.to_string());
            json!({ "domain": health.domain, "state": health.state.name(), "why": why })
        })
        .collect()
}

/// Every domain, and how decisions are put on record.
pub(in crate::http) async fn all(service: web::Data<Service>) -> HttpResponse {
    let release = service.releases.current();
    let domains: Vec<Health> = release.domains().values().map(|domain| domain.health()).collect();
    let worst = domains.iter().map(status_of).max_by_key(|status| *status as u8).unwrap_or(Status::Pass);
    let code = if worst == Status::Fail { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let domains: serde_json::Map<String, Json> =
        domains.into_iter().map(|domain| (domain.domain.to_string(), describe(&domain))).collect();
    let mut answer = json!({ "status": worst, "domains": domains });
    if let (Json::Object(answer), Some(recorder)) = (&mut answer, &service.recorder) {
        answer.insert("records".to_owned(), json!(recorder.status()));
    }
    health(code, &answer)
}

/// One domain.
pub(in crate::http) async fn one(
    request: HttpRequest,
    path: web::Path<String>,
    service: web::Data<Service>,
) -> Result<HttpResponse, Problem> {
    let release = service.releases.current();
    let found = release.domains().iter().find(|(name, _)| name.as_str() == path.as_str());
    let Some((_, domain)) = found else {
        let known: Vec<&str> = release.domains().keys().map(|name| name.as_str()).collect();
        return Err(answering(&request, Problem::no_such_domain(&path, &known)));
    };
    let domain = domain.health();
    let code = if status_of(&domain) == Status::Fail { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    Ok(health(code, &describe(&domain)))
}

fn status_of(domain: &Health) -> Status {
    match domain.state {
        State::Ready => Status::Pass,
        State::Degraded { .. } => Status::Warn,
        State::Starting | State::Down { .. } | State::Draining | State::Stopped => Status::Fail,
    }
}

fn describe(domain: &Health) -> Json {
    let mut answer = json!({ "status": status_of(domain) });
    if let (Json::Object(answer), Ok(Json::Object(facts))) = (&mut answer, serde_json::to_value(domain)) {
        answer.extend(facts);
    }
    answer
}

fn health(code: StatusCode, answer: &Json) -> HttpResponse {
    HttpResponse::build(code)
        .content_type("application/health+json")
        .insert_header(("Cache-Control", "no-store"))
        .body(answer.to_string())
}
