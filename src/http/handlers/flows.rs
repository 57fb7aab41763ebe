//! `GET /flows`: what this service decides.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value as Json, json};

use super::answering;
use crate::graph::{Flow, Work};
use crate::http::{Problem, Service};

/// The flows that the request may ask: path, inputs, nodes, outcomes and versions.
pub(in crate::http) async fn list(request: HttpRequest, service: web::Data<Service>) -> Result<HttpResponse, Problem> {
    let release = service.releases.current();
    let visible = service.gate.visible(&request, release.flows(), |flow| &flow.flow().name);
    let flows = visible.map_err(|problem| answering(&request, problem))?;
    let flows: Vec<Json> = flows.into_iter().map(|flow| describe(flow.flow())).collect();
    Ok(HttpResponse::Ok().json(json!({ "flows": flows })))
}

fn describe(flow: &Flow) -> Json {
    let nodes: Vec<Json> = flow
        .nodes
        .iter()
        .map(|node| {
            let (kind, domain) = match &node.work {
                Work::Query(query) => ("DBNode", Some(query.domain.as_str())),
                Work::Rules(_) => ("RuleNode", None),
            };
            let depends_on: Vec<&str> =
                node.depends_on.iter().filter_map(|index| flow.nodes.get(*index)).map(|node| node.id.as_str()).collect();
            json!({ "id": node.id, "type": kind, "domain": domain, "depends_on": depends_on, "description": node.description })
        })
        .collect();
    let outcomes: Vec<&str> = flow.outcomes.iter().map(|outcome| outcome.status.as_str()).collect();
    json!({
        "flow": flow.name,
        "path": flow.path,
        "description": flow.description,
        "inputs": flow.inputs,
        "nodes": nodes,
        "outcomes": outcomes,
        "versions": { "graph": flow.graph_hash, "rules": flow.rules_hash },
    })
}
