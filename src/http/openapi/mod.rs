//! The contract of the service, as an OpenAPI 3.1 document made from the flows that are served.
//!
//! `schemas` says what flows take and give, `flows` which endpoints each has, `service` which there are besides, `problems`
//! how all of them fail. Nothing here is written down twice: inputs, outcomes, types and codes are those that the
//! service itself works with.

mod flows;
mod problems;
mod schemas;
mod service;

use serde_json::{Map, Value as Json, json};

use crate::graph::Flow;

/// What a contract is made of.
#[derive(Debug)]
pub struct Contract<'a> {
    /// The flows; with the types of their columns, where databases told them.
    pub flows: Vec<&'a Flow>,
    /// The names of the domains.
    pub domains: Vec<&'a str>,
    /// Whether there are admin endpoints.
    pub with_admin: bool,
    /// Whether what was counted is served.
    pub with_metrics: bool,
    /// Whether callers of flows need a token.
    pub with_tokens: bool,
}

impl Contract<'_> {
    /// The document.
    pub fn document(&self) -> Json {
        let mut paths = Map::new();
        let mut schemas = service::schemas(self);
        schemas.insert("Problem".to_owned(), problems::schema());
        schemas.insert("FieldProblem".to_owned(), problems::field_problem());
        for flow in &self.flows {
            let contract = flows::contract(flow, self);
            paths.extend(contract.paths);
            schemas.extend(contract.schemas);
        }
        paths.extend(service::paths(self));
        let mut components = json!({ "schemas": schemas });
        let bearer = |what: &str| json!({ "type": "http", "scheme": "bearer", "description": what });
        let admin = self.with_admin.then(|| ("admin".to_owned(), bearer("The value of ADMIN_TOKEN")));
        let caller = self.with_tokens.then(|| ("caller".to_owned(), bearer("A token of the file of tokens")));
        let schemes: Map<String, Json> = admin.into_iter().chain(caller).collect();
        if let (false, Json::Object(components)) = (schemes.is_empty(), &mut components) {
            components.insert("securitySchemes".to_owned(), Json::Object(schemes));
        }
        let tags: Vec<Json> = self.flows.iter().map(|flow| tag(flow)).collect();
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": "Tributary",
                "version": env!("CARGO_PKG_VERSION"),
                "description": "One decision from many PostgreSQL databases. Failures are `application/problem+json` with a stable `code`."
            },
            "servers": [{ "url": "/" }],
            "tags": tags,
            "paths": paths,
            "components": components
        })
    }

    /// What whoever asks a flow must have.
    fn security(&self) -> Json {
        if self.with_tokens { json!([{ "caller": [] }]) } else { json!([]) }
    }
}

fn tag(flow: &Flow) -> Json {
    match &flow.description {
        Some(description) => json!({ "name": flow.name, "description": description }),
        None => json!({ "name": flow.name }),
    }
}

/// A parameter of the query string that is there or not, true or false.
fn flag(name: &str, description: &str) -> Json {
    json!({
        "name": name, "in": "query", "description": description, "allowEmptyValue": true,
        "schema": { "type": "string", "enum": ["true", "false", "1", "0", ""] }
    })
}
