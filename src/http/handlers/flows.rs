//! `GET /flows`: what this service decides.

use actix_web::{HttpRequest, HttpResponse, web};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;

use crate::graph::{Decimals, Flow, InputSchema, Work};
use crate::http::endpoint::{Access, Endpoint, Operation, schema};
use crate::http::{Problem, Service};

/// The flows that the request may ask.
pub(in crate::http) const LIST: Endpoint = Endpoint::get("/flows", |route| route.to(list)).documented(Operation {
    id: "flows",
    summary: "What this service decides",
    access: Access::Caller,
    content: &[("application/json", schema::<Flows<'_>>)],
    ..Operation::PLAIN
});

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Flows<'a> {
    flows: Vec<FlowEntry<'a>>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, inline)]
struct FlowEntry<'a> {
    flow: &'a str,
    path: &'a str,
    description: Option<&'a str>,
    decimals: Decimals,
    #[schemars(schema_with = "inputs")]
    inputs: &'a InputSchema,
    nodes: Vec<NodeEntry<'a>>,
    outcomes: Vec<&'a str>,
    versions: Versions<'a>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, inline)]
struct NodeEntry<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    #[schemars(extend("enum" = ["DBNode", "RuleNode"]))]
    kind: &'static str,
    domain: Option<&'a str>,
    depends_on: Vec<&'a str>,
    description: Option<&'a str>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, inline)]
struct Versions<'a> {
    graph: &'a str,
    rules: &'a str,
}

fn inputs(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "additionalProperties": { "type": "object", "required": ["type", "required"] } })
}

async fn list(request: HttpRequest, service: web::Data<Service>) -> Result<HttpResponse, Problem> {
    let release = service.releases.current();
    let visible = service.gate.visible(&request, release.flows(), |flow| &flow.flow().name)?;
    let flows = visible.into_iter().map(|flow| FlowEntry::of(flow.flow())).collect();
    Ok(HttpResponse::Ok().json(Flows { flows }))
}

impl<'a> FlowEntry<'a> {
    fn of(flow: &'a Flow) -> Self {
        let node = |node: &'a crate::graph::Node| {
            let (kind, domain) = match &node.work {
                Work::Query(query) => ("DBNode", Some(query.domain.as_str())),
                Work::Rules(_) => ("RuleNode", None),
            };
            let depends_on = node.depends_on.iter().filter_map(|index| Some(flow.nodes.get(*index)?.id.as_str()));
            NodeEntry {
                id: node.id.as_str(),
                kind,
                domain,
                depends_on: depends_on.collect(),
                description: node.description.as_deref(),
            }
        };
        Self {
            flow: flow.name.as_str(),
            path: &flow.path,
            description: flow.description.as_deref(),
            decimals: flow.decimals,
            inputs: &flow.inputs,
            nodes: flow.nodes.iter().map(node).collect(),
            outcomes: flow.outcomes.iter().map(|outcome| outcome.status.as_str()).collect(),
            versions: Versions { graph: &flow.graph_hash, rules: &flow.rules_hash },
        }
    }
}
