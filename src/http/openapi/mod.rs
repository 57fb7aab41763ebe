//! The contract of the service, as an OpenAPI 3.1 document made from the flows that are served.
//!
//! `schemas` has the types that flows take and give, `flows` their endpoints, `keys` what effects add to them, `responses` the entries of the endpoints at
//! fixed paths and of problems. Nothing here is written down twice: inputs, outcomes, codes and the types of answers are
//! those that the service itself works with.

mod flows;
mod keys;
mod responses;
mod schemas;

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::{Map, Value as Json, json};

pub(in crate::http) use self::flows::FlowSchemas;
use super::endpoint::{Access, Endpoint, Method};
use crate::graph::Flow;

/// What a contract is made of.
#[derive(Debug)]
pub struct Contract<'a> {
    /// The flows, with the types of their columns if databases have described them.
    pub flows: Vec<&'a Flow>,
    /// The names of the domains.
    pub domains: Vec<&'a str>,
    /// Whether there are admin endpoints.
    pub with_admin: bool,
    /// Whether metrics are served.
    pub with_metrics: bool,
    /// Whether callers of flows need a token.
    pub with_tokens: bool,
}

impl Contract<'_> {
    /// The document of the flows and of `endpoints`.
    pub(super) fn document(&self, endpoints: &[Endpoint]) -> Json {
        let settings = SchemaSettings::draft2020_12().for_serialize();
        let settings = settings.with(|all| all.definitions_path = "/components/schemas".into());
        let mut generator = settings.with_transform(RecursiveTransform(never_null)).into_generator();
        let (mut paths, mut schemas) = (Map::new(), Map::new());
        for flow in &self.flows {
            let contract = flows::contract(flow, self, &mut generator);
            paths.extend(contract.paths);
            schemas.extend(contract.schemas);
        }
        for endpoint in endpoints {
            let Some(operation) = endpoint.operation.as_ref().filter(|each| self.offers(each.access)) else { continue };
            let method = if endpoint.method == Method::Post { "post" } else { "get" };
            let operation = responses::operation(operation, self, &mut generator);
            if let Json::Object(methods) = paths.entry(endpoint.path).or_insert_with(|| json!({})) {
                methods.insert(method.to_owned(), operation);
            }
        }
        schemas.extend(generator.take_definitions(true));
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
            "components": { "schemas": schemas, "securitySchemes": self.security_schemes() }
        })
    }

    /// Whether there are endpoints of this access.
    fn offers(&self, access: Access) -> bool {
        match access {
            Access::Open | Access::Caller => true,
            Access::AdminSide => self.with_metrics,
            Access::Admin => self.with_admin,
            Access::Approver => {
                (self.with_admin || self.with_tokens) && self.flows.iter().any(|flow| !flow.effects.is_empty())
            }
        }
    }

    /// What somebody needs who may do more than decide.
    fn security_of_privileged(&self) -> Json {
        let admin = self.with_admin.then(|| json!({ "admin": [] }));
        Json::Array(admin.into_iter().chain(self.with_tokens.then(|| json!({ "caller": [] }))).collect())
    }

    /// What a caller of a flow needs.
    fn security(&self) -> Json {
        if self.with_tokens { json!([{ "caller": [] }]) } else { json!([]) }
    }

    fn security_schemes(&self) -> Map<String, Json> {
        let bearer = |what: &str| json!({ "type": "http", "scheme": "bearer", "description": what });
        let admin = self.with_admin.then(|| ("admin".to_owned(), bearer("The value of ADMIN_TOKEN")));
        let caller = self.with_tokens.then(|| ("caller".to_owned(), bearer("A token of the file of tokens")));
        admin.into_iter().chain(caller).collect()
    }
}

/// A property that has no value is omitted, never null.
fn never_null(schema: &mut Schema) {
    let required = schema.get("required").cloned().unwrap_or_default();
    let is_required = |name: &str| required.as_array().is_some_and(|names| names.iter().any(|known| known == name));
    let Some(Json::Object(properties)) = schema.get_mut("properties") else { return };
    for (_, property) in properties.iter_mut().filter(|(name, _)| !is_required(name)) {
        let Json::Object(keys) = property else { continue };
        if let Some(ty) = keys.get_mut("type")
            && let Some([own, Json::String(null)]) = ty.as_array().map(Vec::as_slice)
            && null == "null"
        {
            *ty = own.clone();
        }
        if let Some(Json::Array(any)) = keys.get_mut("anyOf") {
            any.retain(|each| each.get("type").is_none_or(|ty| ty != "null"));
        }
    }
}

fn tag(flow: &Flow) -> Json {
    match &flow.description {
        Some(description) => json!({ "name": flow.name, "description": description }),
        None => json!({ "name": flow.name }),
    }
}
