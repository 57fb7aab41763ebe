//! `GET /flows`: what this service decides.

use actix_web::{HttpResponse, web};
use serde_json::{Value as Json, json};

use crate::graph::{Flow, Work};
use crate::http::Service;

/// The flows: path, inputs, nodes, outcomes and versions.
pub(in crate::http) async fn list(service: web::Data<Service>) -> HttpResponse {
    let release = service.releases.current();
    let flows: Vec<Json> = release.flows().into_iter().map(|flow| describe(flow.flow())).collect();
    HttpResponse::Ok().json(json!({ "flows": flows }))
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
