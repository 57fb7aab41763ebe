//! Responses in the document: of problems, and of operations at fixed paths.

use std::collections::BTreeMap;

use schemars::SchemaGenerator;
use serde_json::{Map, Value as Json, json};

use super::Contract;
use crate::http::endpoint::{Access, Operation, Parameter, Values};
use crate::http::problem::Problem;
use crate::http::problem::kinds::{self, Kind};

/// The responses of the statuses that `problems`, and those of every request's head, have: each with its codes.
pub(super) fn of_problems(
    problems: impl IntoIterator<Item = Kind>,
    generator: &mut SchemaGenerator,
) -> Map<String, Json> {
    let mut codes_of: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    for (code, status, _) in problems.into_iter().chain(kinds::OF_HEADS) {
        codes_of.entry(status.as_u16()).or_default().push(code);
    }
    let response = |(status, codes): (u16, Vec<&str>)| {
        // Generators of clients ignore what is beside a reference.
        let schema = json!({
            "allOf": [generator.subschema_for::<Problem>()],
            "properties": { "status": { "const": status }, "code": { "enum": codes } }
        });
        let mut response = json!({
            "description": codes.join(", "),
            "content": { "application/problem+json": { "schema": schema } }
        });
        let header = match status {
            401 => Some(("WWW-Authenticate", json!({ "required": true, "schema": { "const": "Bearer" } }))),
            503 => Some((
                "Retry-After",
                json!({ "description": "Seconds until it is worth trying again", "schema": { "type": "string", "pattern": "^[0-9]+$" } }),
            )),
            _ => None,
        };
        if let (Some((name, header)), Json::Object(response)) = (header, &mut response) {
            response.insert("headers".to_owned(), json!({ name: header }));
        }
        (status.to_string(), response)
    };
    codes_of.into_iter().map(response).collect()
}

/// The entry of an endpoint at a fixed path.
pub(super) fn operation(operation: &Operation, contract: &Contract<'_>, generator: &mut SchemaGenerator) -> Json {
    let needs_token = match operation.access {
        Access::Admin | Access::Approver => true,
        Access::Caller => contract.with_tokens,
        Access::Open | Access::AdminSide => false,
    };
    let of_body = operation.body.iter().flat_map(|_| kinds::OF_BODIES);
    let problems = operation.problems.iter().copied().chain(of_body).chain(needs_token.then_some(kinds::UNAUTHORIZED));
    let mut responses = of_problems(problems, generator);
    let headers: Map<String, Json> = operation
        .headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), json!({ "required": true, "schema": { "const": value } })))
        .collect();
    let content: Map<String, Json> = operation
        .content
        .iter()
        .map(|(media_type, schema)| ((*media_type).to_owned(), json!({ "schema": schema(generator) })))
        .collect();
    for (status, description) in operation.statuses {
        let response = json!({ "description": description, "headers": headers, "content": content });
        responses.insert(status.to_string(), response);
    }
    let parameters: Vec<Json> = operation.parameters.iter().map(|each| parameter(each, contract)).collect();
    let body = operation
        .body
        .map(|schema| json!({ "required": true, "content": { "application/json": { "schema": schema(generator) } } }));
    let mut entry = json!({
        "operationId": operation.id,
        "tags": [if operation.access == Access::Admin { "admin" } else { "service" }],
        "summary": operation.summary,
        "security": match operation.access {
            Access::Admin => json!([{ "admin": [] }]),
            Access::Approver => contract.security_of_privileged(),
            Access::Caller => contract.security(),
            Access::Open | Access::AdminSide => json!([]),
        },
        "parameters": parameters,
        "responses": responses
    });
    if let (Some(body), Json::Object(entry)) = (body, &mut entry) {
        entry.insert("requestBody".to_owned(), body);
    }
    entry
}

fn parameter(parameter: &Parameter, contract: &Contract<'_>) -> Json {
    let flows: Vec<&str> = contract.flows.iter().map(|flow| flow.name.as_str()).collect();
    let words = match parameter.values {
        Values::Flag => return flag(parameter.name, parameter.description),
        Values::OneOf(words) => words,
        Values::Flow => &flows,
        Values::Domain => &*contract.domains,
        Values::Node | Values::Uuid => &[],
    };
    let mut schema = match parameter.values {
        Values::Uuid => json!({ "type": "string", "format": "uuid" }),
        _ => json!({ "type": "string" }),
    };
    if let (false, Json::Object(schema)) = (words.is_empty(), &mut schema) {
        schema.insert("enum".to_owned(), json!(words));
    }
    let is_of_path = !matches!(parameter.values, Values::Flag | Values::OneOf(_));
    json!({
        "name": parameter.name, "in": if is_of_path { "path" } else { "query" }, "required": is_of_path,
        "description": parameter.description, "schema": schema
    })
}

/// A parameter of the query string that is true or false.
pub(super) fn flag(name: &str, description: &str) -> Json {
    json!({
        "name": name, "in": "query", "description": description, "allowEmptyValue": true,
        "schema": { "type": "string", "enum": ["true", "false", "1", "0", ""] }
    })
}
