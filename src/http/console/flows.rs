//! `GET /console/flows/{flow}`: the queries, requests and rules of a flow's nodes, and their last timings.
//!
//! Queries, requests and rules are configuration; no row, parameter or secret is here.

use std::collections::BTreeMap;

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value as Json, json};

use super::Console;
use crate::actors::effects::EffectBinding;
use crate::config::{Coalescing, Right};
use crate::graph::{Effect, Flow, MessagePart, Node, OnError, Outcome, QueryNode, Rows, RuleNode, Template, Work};
use crate::grl::{Beginning, Expression, FactRef, Owner};
use crate::http::endpoint::Endpoint;
use crate::http::{Problem, Service};
use crate::types::Shape;

/// Describes a flow.
pub(in crate::http) const ONE: Endpoint = Endpoint::get("/console/flows/{flow}", |route| route.to(one));

async fn one(
    request: HttpRequest,
    path: web::Path<String>,
    service: web::Data<Service>,
    console: web::Data<Console>,
) -> Result<HttpResponse, Problem> {
    let flow = service.flow_named(&request, &path)?;
    // A flow without effects has nothing to write.
    let may_write = flow.effects().is_none_or(EffectBinding::may_write);
    let flow = flow.flow();
    let last =
        service.gate.admit(&request, &flow.name, Right::Explain).ok().and_then(|_| console.recent().of(&flow.name));
    let nodes: Vec<Json> = flow.nodes.iter().map(|node| describe(flow, node)).collect();
    let answer = json!({
        "flow": flow.name,
        "path": flow.path,
        "description": flow.description,
        "inputs": flow.inputs,
        "versions": { "graph": flow.graph_hash, "rules": flow.rules_hash },
        "redacts": redacts(flow),
        "nodes": nodes,
        "outcomes": flow.outcomes.iter().map(|outcome| of_outcome(flow, outcome)).collect::<Vec<Json>>(),
        "effects": flow.effects.iter().map(of_effect).collect::<Vec<Json>>(),
        "may_write": may_write,
        "last": last,
    });
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(answer))
}

/// Whether the flow has columns that no explanation shows.
pub(super) fn redacts(flow: &Flow) -> bool {
    flow.nodes.iter().any(|node| matches!(&node.work, Work::Query(query) if !query.redact.is_empty()))
}

fn describe(flow: &Flow, node: &Node) -> Json {
    let name = |index: &usize| flow.nodes.get(*index).map(|node| node.id.as_str());
    let depends_on: Vec<&str> = node.depends_on.iter().filter_map(name).collect();
    let guards: Vec<Json> =
        node.guards.iter().map(|guard| json!({ "from": name(&guard.from), "rule": guard.rule.text() })).collect();
    let mut answer = json!({
        "id": node.id,
        "description": node.description,
        "place": node.span.to_string(),
        "depends_on": depends_on,
        "guards": guards,
    });
    let more = match &node.work {
        Work::Query(query) => of_query(query),
        Work::Rules(rules) => of_rules(flow, rules),
    };
    if let (Json::Object(answer), Json::Object(more)) = (&mut answer, more) {
        answer.extend(more);
    }
    answer
}

fn of_query(query: &QueryNode) -> Json {
    let params: Vec<&str> = query.params.iter().map(|fact| &*fact.written).collect();
    let on_error = match &query.on_error {
        OnError::Fail => Json::Null,
        OnError::Default { value, .. } => json!(value),
    };
    json!({
        "kind": "query",
        "domain": query.domain,
        "query": query.query.text(),
        "method": query.query.request().map(|request| request.method().to_string()),
        "params": params,
        "rows": rows(query.rows),
        "timeout_ms": query.timeout.map(|limit| limit.as_millis().to_string()).and_then(|text| text.parse::<u64>().ok()),
        "default": on_error,
        "coalesce": if query.query.coalescing() == Coalescing::Off { "off" } else { "auto" },
        "columns": columns(&query.columns),
        "redact": query.redact,
    })
}

fn rows(rows: Rows) -> &'static str {
    match rows {
        Rows::One => "one",
        Rows::Optional => "optional",
        Rows::Many => "many",
    }
}

fn of_effect(effect: &Effect) -> Json {
    let texts = |params: &[Expression]| params.iter().map(|param| param.text().trim().to_owned()).collect::<Vec<_>>();
    let statements: Vec<Json> = effect
        .statements
        .iter()
        .map(|statement| {
            json!({
                "query": statement.query.text(),
                "params": texts(&statement.params),
                "rows": rows(statement.rows),
            })
        })
        .collect();
    json!({
        "name": effect.name,
        "description": effect.description,
        "domain": effect.domain,
        "statements": statements,
        "event": effect.event.as_ref().map(|event| json!({ "type": event.ty, "key": event.key.text().trim() })),
    })
}

fn of_rules(flow: &Flow, node: &RuleNode) -> Json {
    let ruleset = &node.ruleset;
    let sources: Vec<Json> = ruleset
        .texts()
        .into_iter()
        .map(|text| json!({ "name": text.source().name(), "line": text.span(0..0).position().line, "text": text.text() }))
        .collect();
    let rules: Vec<Json> = ruleset
        .rules()
        .map(|rule| {
            json!({
                "rule": rule.name,
                "description": rule.description,
                "salience": rule.salience,
                "no_loop": rule.no_loop,
                "place": rule.place,
            })
        })
        .collect();
    let mappings: Vec<Json> = ruleset
        .own_facts()
        .filter_map(|(fact, beginning)| match beginning {
            Beginning::Mapped(from) => Some(json!({ "fact": fact, "from": from.written })),
            Beginning::Unset | Beginning::Starting => None,
        })
        .collect();
    let starting: Vec<Json> =
        ruleset.starting_facts().map(|(fact, value)| json!({ "fact": fact, "value": value })).collect();
    let reads: Vec<&str> = ruleset.reads().iter().map(|fact| &*fact.written).collect();
    json!({
        "kind": "rules",
        "rules": rules,
        "table": table(node),
        "sources": sources,
        "mappings": mappings,
        "starting_facts": starting,
        "reads": reads,
        "aliases": aliases(flow, ruleset.reads()),
        "facts": columns(&ruleset.shape()),
    })
}

/// How many rows of a table are shown.
const MOST_ROWS: usize = 200;

/// The first rows of a decision table, as they are written; null of other rules.
fn table(node: &RuleNode) -> Json {
    let Some(table) = node.ruleset.table_text() else { return Json::Null };
    let count = table.rows.len();
    let rows = node.ruleset.rules().zip(table.rows).take(MOST_ROWS);
    let rows: Vec<Json> = rows.map(|(info, cells)| json!({ "rule": info.name, "cells": cells })).collect();
    json!({
        "hit": table.hit.name(),
        "columns": table.columns,
        "further": count - rows.len(),
        "rows": rows,
    })
}

/// The names that rules call other nodes by, where those are not their own.
fn aliases(flow: &Flow, reads: &[FactRef]) -> Vec<Json> {
    let other = |fact: &FactRef| {
        let Owner::Node(place) = fact.owner else { return None };
        let (node, alias) = (flow.nodes.get(place)?.id.as_str(), fact.written.split('.').next()?);
        (alias != node).then(|| (alias.to_owned(), node.to_owned()))
    };
    let all: BTreeMap<String, String> = reads.iter().filter_map(other).collect();
    all.into_iter().map(|(alias, node)| json!({ "alias": alias, "node": node })).collect()
}

fn of_outcome(flow: &Flow, outcome: &Outcome) -> Json {
    let message = outcome.message.as_ref().map(|message| {
        let parts = message.parts.iter().map(|part| match part {
            MessagePart::Text(text) => text.clone(),
            MessagePart::Expression(expression) => format!("{{{}}}", expression.text().trim()),
        });
        parts.collect::<String>()
    });
    let mut fields = Vec::new();
    for (name, template) in &outcome.body {
        leaves(name, template, &mut fields);
    }
    json!({
        "status": outcome.status,
        "when": outcome.when.as_ref().map(|when| when.text()),
        "message": message,
        "fields": fields,
        "effect": outcome.effect.and_then(|effect| flow.effects.get(effect)).map(|effect| effect.name.as_str()),
        "approval": outcome.approval.as_ref().map(|approval| approval.text().trim()),
    })
}

/// The expressions of a body, each with the path of the field it makes.
fn leaves(path: &str, template: &Template, into: &mut Vec<(String, String)>) {
    match template {
        Template::Map(fields) => {
            fields.iter().for_each(|(name, field)| leaves(&format!("{path}.{name}"), field, into));
        }
        Template::List(items) => {
            items.iter().enumerate().for_each(|(place, item)| leaves(&format!("{path}[{place}]"), item, into));
        }
        Template::Leaf(expression) => into.push((path.to_owned(), expression.text().trim().to_owned())),
    }
}

fn columns(shape: &Shape) -> Vec<Json> {
    shape.fields.iter().map(|field| json!({ "name": field.name, "type": field.ty.to_string() })).collect()
}
