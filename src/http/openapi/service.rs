//! The endpoints of the service itself: flows, pictures, health, operations.

use serde_json::{Map, Value as Json, json};

use super::{Contract, flag, problems};
use crate::http::problem::Asked;

/// The schemas that do not depend on flows.
pub(super) fn schemas(contract: &Contract<'_>) -> Map<String, Json> {
    let schemas = [
        ("BatchSummary", batch_summary()),
        ("Explanation", explanation()),
        ("Flows", flows()),
        ("Picture", picture()),
        ("Live", live()),
        ("Readiness", readiness()),
        ("DomainHealth", domain_health()),
        ("Health", health()),
    ];
    let of_admin = contract.with_admin.then(|| ("Reloaded", reloaded()));
    schemas.into_iter().chain(of_admin).map(|(name, schema)| (name.to_owned(), schema)).collect()
}

/// The last line of a batch, where the request asks for it.
fn batch_summary() -> Json {
    let number = json!({ "type": "integer", "minimum": 0 });
    let counts = |of: &str| json!({ "type": "object", "additionalProperties": number, "description": of });
    json!({
        "type": "object",
        "required": ["summary"],
        "properties": { "summary": {
            "type": "object",
            "required": ["inputs", "outcomes", "errors", "degraded"],
            "properties": {
                "inputs": { "type": "integer", "minimum": 0, "description": "How many inputs there were" },
                "outcomes": counts("By status: how many decisions"),
                "errors": counts("By code: how many inputs have no decision"),
                "degraded": {
                    "type": "integer", "minimum": 0,
                    "description": "How many decisions rest on a default in place of an answer of a database"
                }
            },
            "additionalProperties": false
        } },
        "additionalProperties": false
    })
}

/// The endpoints, by path.
pub(super) fn paths(contract: &Contract<'_>) -> Map<String, Json> {
    let mut paths = Map::new();
    let mut add = |path: &str, method: &str, operation: Json| {
        paths.insert(path.to_owned(), json!({ method: operation }));
    };
    let flows: Vec<&str> = contract.flows.iter().map(|flow| flow.name.as_str()).collect();
    let listing = (Asked::Listing, contract);
    add("/flows", "get", get("flows", "What this service decides", ("application/json", "Flows"), listing));
    add("/flows/{flow}/graph", "get", drawing(&flows, contract));
    add("/livez", "get", get("live", "Whether the process lives", (HEALTH, "Live"), (Asked::Plain, contract)));
    add("/readyz", "get", ready());
    add("/health", "get", of_health("health", "How every database is", "Health", &[], Asked::Plain));
    let domain = path_parameter("domain", &contract.domains);
    let parameters = std::slice::from_ref(&domain);
    add(
        "/health/{domain}",
        "get",
        of_health("domainHealth", "How a database is", "DomainHealth", parameters, Asked::Domain),
    );
    add("/openapi.json", "get", get("contract", "This document", ("application/json", ""), listing));
    if contract.with_admin {
        add("/admin/domains/{domain}/restart", "post", restart(domain));
        add("/admin/reload", "post", reload());
    }
    if contract.with_metrics {
        add(
            "/metrics",
            "get",
            get("metrics", "What was counted, for Prometheus", ("text/plain", "text"), (Asked::Metrics, contract)),
        );
    }
    paths
}

const HEALTH: &str = "application/health+json";

/// What answers with a schema, by its name; an object, or text, of which no more is said.
fn content((media_type, schema): (&str, &str)) -> Json {
    let schema = match schema {
        "" => json!({ "type": "object" }),
        "text" => json!({ "type": "string" }),
        name => json!({ "$ref": format!("#/components/schemas/{name}") }),
    };
    json!({ media_type: { "schema": schema } })
}

fn get(id: &str, summary: &str, answer: (&str, &str), (asked, contract): (Asked, &Contract<'_>)) -> Json {
    let mut responses = Map::new();
    responses.insert("200".to_owned(), json!({ "description": summary, "content": content(answer) }));
    responses.extend(problems::responses(asked, contract.with_tokens));
    let security = if asked == Asked::Listing { contract.security() } else { json!([]) };
    json!({ "operationId": id, "tags": ["service"], "summary": summary, "security": security, "responses": responses })
}

fn path_parameter(name: &str, known: &[&str]) -> Json {
    let mut schema = json!({ "type": "string" });
    if let (false, Json::Object(schema)) = (known.is_empty(), &mut schema) {
        schema.insert("enum".to_owned(), json!(known));
    }
    json!({ "name": name, "in": "path", "required": true, "schema": schema })
}

fn drawing(flows: &[&str], contract: &Contract<'_>) -> Json {
    let text = json!({ "schema": { "type": "string" } });
    let mut responses = Map::new();
    responses.insert(
        "200".to_owned(),
        json!({
            "description": "The picture",
            "headers": { "Vary": { "required": true, "schema": { "const": "Accept" } } },
            "content": {
                "application/json": { "schema": { "$ref": "#/components/schemas/Picture" } },
                "text/vnd.graphviz": text, "text/vnd.mermaid": text, "image/svg+xml": text
            }
        }),
    );
    responses.extend(problems::responses(Asked::Picture, contract.with_tokens));
    let format = json!({
        "name": "format", "in": "query", "description": "The language; without it, `Accept` says",
        "schema": { "type": "string", "enum": ["json", "dot", "mermaid", "svg"] }
    });
    json!({
        "operationId": "picture", "tags": ["service"], "summary": "A flow as a picture",
        "security": contract.security(),
        "parameters": [path_parameter("flow", flows), format],
        "responses": responses
    })
}

/// What is 200 or 503 with the same schema.
fn of_health(id: &str, summary: &str, schema: &str, parameters: &[Json], asked: Asked) -> Json {
    let content = content((HEALTH, schema));
    let header = json!({ "required": true, "schema": { "const": "no-store" } });
    let response = |description: &str| json!({ "description": description, "headers": { "Cache-Control": header }, "content": content });
    let mut responses = Map::new();
    responses.insert("200".to_owned(), response("It can be used"));
    responses.insert("503".to_owned(), response("It cannot be used"));
    responses.extend(problems::responses(asked, false));
    json!({ "operationId": id, "tags": ["service"], "summary": summary, "parameters": parameters, "responses": responses })
}

fn ready() -> Json {
    let verbose = flag("verbose", "Whether the answer says which flows cannot be served, and why");
    of_health("ready", "Whether any flow can be served", "Readiness", &[verbose], Asked::Readiness)
}

fn operation(id: &str, summary: &str, schema: &Json, parameters: &[Json], asked: Asked) -> Json {
    let mut responses = Map::new();
    let content = json!({ "application/json": { "schema": schema } });
    responses.insert("200".to_owned(), json!({ "description": "It was done", "content": content }));
    responses.extend(problems::responses(asked, false));
    json!({
        "operationId": id, "tags": ["admin"], "summary": summary, "security": [{ "admin": [] }],
        "parameters": parameters, "responses": responses
    })
}

fn restart(domain: Json) -> Json {
    let schema = closed(&["restarted"], json!({ "restarted": { "type": "string" } }));
    operation("restart", "Replace a domain's actor and its connections", &schema, &[domain], Asked::Restart)
}

fn reload() -> Json {
    let schema = json!({ "$ref": "#/components/schemas/Reloaded" });
    operation("reload", "Read graphs, rules and configuration again", &schema, &[], Asked::Reload)
}

/// An object of these properties and no others.
fn closed(required: &[&str], properties: Json) -> Json {
    let schema = [
        ("type", json!("object")),
        ("required", json!(required)),
        ("properties", properties),
        ("additionalProperties", json!(false)),
    ];
    Json::Object(schema.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

fn explanation() -> Json {
    let objects = json!({ "type": "array", "items": { "type": "object" } });
    let text = json!({ "type": "string" });
    let mut schema = closed(
        &["flow", "versions", "clock", "took_us", "outcomes", "nodes"],
        json!({
            "flow": text,
            "versions": closed(&["graph", "rules"], json!({ "graph": text, "rules": text })),
            "clock": closed(
                &["now", "today", "time_zone"],
                json!({ "now": { "type": "string", "format": "date-time" }, "today": { "type": "string", "format": "date" }, "time_zone": text }),
            ),
            "took_us": { "type": "integer", "minimum": 0 },
            "outcomes": { "type": "array", "items": closed(
                &["status", "place", "holds"],
                json!({ "status": text, "place": text, "when": text, "holds": { "type": "boolean" }, "because": { "type": "array", "items": text } }),
            ) },
            "nodes": objects,
            "lineage": { "type": "object" }
        }),
    );
    if let Json::Object(schema) = &mut schema {
        let description =
            "Why a run ended as it did: the outcomes that were tried, what each node did, where each field comes from";
        schema.insert("description".to_owned(), json!(description));
    }
    schema
}

fn flows() -> Json {
    let text = json!({ "type": "string" });
    let text_or_null = json!({ "type": ["string", "null"] });
    let node = closed(
        &["id", "type", "domain", "depends_on", "description"],
        json!({
            "id": text, "type": { "enum": ["DBNode", "RuleNode"] }, "domain": text_or_null,
            "depends_on": { "type": "array", "items": text }, "description": text_or_null
        }),
    );
    let flow = closed(
        &["flow", "path", "description", "inputs", "nodes", "outcomes", "versions"],
        json!({
            "flow": text, "path": text, "description": text_or_null,
            "inputs": { "type": "object", "additionalProperties": { "type": "object", "required": ["type", "required"] } },
            "nodes": { "type": "array", "items": node },
            "outcomes": { "type": "array", "items": text },
            "versions": closed(&["graph", "rules"], json!({ "graph": text, "rules": text }))
        }),
    );
    closed(&["flows"], json!({ "flows": { "type": "array", "items": flow } }))
}

fn picture() -> Json {
    let objects = json!({ "type": "array", "items": { "type": "object" } });
    json!({
        "type": "object",
        "required": ["flow", "width", "height", "boxes", "arrows", "domains"],
        "properties": {
            "flow": { "type": "string" }, "description": { "type": "string" },
            "width": { "type": "number" }, "height": { "type": "number" },
            "boxes": objects, "arrows": objects, "domains": objects
        }
    })
}

fn live() -> Json {
    closed(&["status"], json!({ "status": { "const": "pass" } }))
}

fn status() -> Json {
    json!({ "enum": ["pass", "warn", "fail"] })
}

fn readiness() -> Json {
    let obstacle = closed(
        &["domain", "state", "why"],
        json!({ "domain": { "type": "string" }, "state": { "type": "string" }, "why": { "type": ["string", "null"] } }),
    );
    let flow = closed(
        &["flow", "ready", "because"],
        json!({ "flow": { "type": "string" }, "ready": { "type": "boolean" }, "because": { "type": "array", "items": obstacle } }),
    );
    let count = json!({ "type": "integer", "minimum": 0 });
    json!({ "anyOf": [
        closed(&["status", "flows_ready", "flows"], json!({ "status": status(), "flows_ready": count, "flows": count })),
        closed(&["status", "flows"], json!({ "status": status(), "flows": { "type": "array", "items": flow } }))
    ] })
}

fn domain_health() -> Json {
    let moment = json!({ "type": "string", "format": "date-time" });
    let count = json!({ "type": "integer", "minimum": 0 });
    json!({
        "type": "object",
        "required": ["status", "domain", "state", "since", "restarts", "pool", "in_flight"],
        "properties": {
            "status": status(),
            "domain": { "type": "string" },
            "state": { "enum": ["starting", "ready", "degraded", "down", "draining", "stopped"] },
            "since": moment,
            "last_error": closed(&["at", "message"], json!({ "at": moment, "message": { "type": "string" } })),
            "restarts": count,
            "retry_in_ms": count,
            "pool": { "type": "object" },
            "in_flight": count,
            "last_probe": closed(&["at", "latency_us"], json!({ "at": moment, "latency_us": count })),
            "server_version": { "type": "string" }
        }
    })
}

fn health() -> Json {
    json!({
        "type": "object",
        "required": ["status", "domains"],
        "properties": {
            "status": status(),
            "domains": { "type": "object", "additionalProperties": { "$ref": "#/components/schemas/DomainHealth" } },
            "records": { "type": "object", "description": "How decisions are put on record" }
        }
    })
}

fn reloaded() -> Json {
    let names = json!({ "type": "array", "items": { "type": "string" } });
    let text = json!({ "type": "string" });
    let version = closed(&["flow", "graph", "rules"], json!({ "flow": text, "graph": text, "rules": text }));
    closed(
        &["flows", "added", "restarted", "removed", "removed_flows", "needs_restart"],
        json!({
            "flows": { "type": "array", "items": version },
            "added": names, "restarted": names, "removed": names, "removed_flows": names, "needs_restart": names
        }),
    )
}
