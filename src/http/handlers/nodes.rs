//! `GET /` and `POST /{node}` of `tributary domain`: the nodes of a domain by the contract.

use std::sync::Arc;

use actix_web::http::header::ACCEPT;
use actix_web::{HttpRequest, HttpResponse, web};

use super::body::read_json;
use crate::config::Right;
use crate::http::console::assets;
use crate::http::endpoint::{Access, Endpoint, Operation, Parameter, Values, schema};
use crate::http::problem::kinds;
use crate::http::{Nodes, Problem, Service, Settings};
use crate::service::contract::{Answers, Asks, Description};

/// The longest body of asks, in bytes.
const MOST_BYTES: usize = 16 << 20;

/// What the nodes take and give. A browser gets the console.
pub(in crate::http) const DESCRIBE: Endpoint = Endpoint::get("/", |route| route.to(describe)).documented(Operation {
    id: "describe",
    summary: "The nodes for which this service answers",
    access: Access::Caller,
    content: &[("application/json", schema::<Description>)],
    problems: &[
        kinds::DOMAIN_DOWN,
        kinds::DOMAIN_OVERLOADED,
        kinds::CONNECTION_LOST,
        kinds::QUERY_ABORTED,
        kinds::TIMEOUT,
    ],
    ..Operation::PLAIN
});

/// Answers asks of a node.
pub(in crate::http) const ASK: Endpoint = Endpoint::post("/{node}", |route| route.to(ask)).documented(Operation {
    id: "ask",
    summary: "The rows of a node, for several sets of parameters",
    access: Access::Caller,
    parameters: &[Parameter { name: "node", description: "The node", values: Values::Node }],
    body: Some(schema::<Asks>),
    statuses: &[(200, "The answer to each ask, in their order")],
    content: &[("application/json", schema::<Answers>)],
    problems: &[
        kinds::FORBIDDEN,
        kinds::NO_SUCH_NODE,
        kinds::DOMAIN_DOWN,
        kinds::DOMAIN_OVERLOADED,
        kinds::CONNECTION_LOST,
        kinds::QUERY_ABORTED,
        kinds::TIMEOUT,
    ],
    ..Operation::PLAIN
});

async fn describe(request: HttpRequest, service: web::Data<Service>) -> Result<HttpResponse, Problem> {
    let accepts = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    if service.console.is_some() && accepts.contains("text/html") {
        return Ok(assets::page(request).await);
    }
    if service.gate.is_closed() && !service.gate.knows(&request) {
        return Err(Problem::no_token());
    }
    let nodes = served(&request, &service)?;
    let description = nodes.describe().await.map_err(|error| Problem::domain(&error))?;
    Ok(HttpResponse::Ok().json(&*description))
}

async fn ask(
    request: HttpRequest,
    path: web::Path<String>,
    payload: web::Payload,
    service: web::Data<Service>,
) -> Result<HttpResponse, Problem> {
    let nodes = served(&request, &service)?;
    let no_such_node = || Problem::no_such_node(&path, &nodes.names());
    let flows = nodes.flows_of(&path).ok_or_else(no_such_node)?;
    // A token that may ask one of the node's flows may ask the node.
    let admitted = flows.iter().map(|flow| service.gate.admit(&request, flow, Right::Decide));
    admitted.reduce(Result::or).transpose()?;
    let release = service.releases.current();
    let settings = Settings { max_body_bytes: MOST_BYTES, ..release.settings().clone() };
    let body = read_json(&request, payload, &settings).await?;
    let asks: Asks = serde_json::from_slice(&body).map_err(|error| {
        Problem::malformed(format!("the body is {{\"asks\": [[..]], \"timeout_ms\": .., \"max_rows\": ..}}; {error}"))
    })?;
    let answers = nodes.answer(&path, asks, settings.request_timeout).await.map_err(|error| Problem::domain(&error))?;
    answers.map(|answers| HttpResponse::Ok().json(answers)).ok_or_else(no_such_node)
}

fn served(request: &HttpRequest, service: &Service) -> Result<Arc<Nodes>, Problem> {
    service.releases.current().nodes().cloned().ok_or_else(|| Problem::no_such_path(request.path()))
}
