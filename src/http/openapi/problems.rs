//! Problems in the contract: one schema for all of them, and for each endpoint its statuses with their codes.

use serde_json::{Map, Value as Json, json};

use crate::http::problem::Asked;

/// What every problem is.
pub(super) fn schema() -> Json {
    let text = |description: &str| json!({ "type": "string", "description": description });
    json!({
        "description": "A failure (RFC 9457). `code` is stable; `title` and `detail` are for people.",
        "type": "object",
        "required": ["type", "title", "status", "detail", "code"],
        "properties": {
            "type": { "type": "string", "format": "uri", "description": "What kind of problem it is, as a URI" },
            "title": text("What kind of problem it is, in words"),
            "status": { "type": "integer", "minimum": 400, "maximum": 599, "description": "The HTTP status" },
            "detail": text("What happened this time"),
            "code": text("What kind of problem it is: stable, for programs"),
            "instance": text("The path that was asked"),
            "request_id": text("The identity of the request, as in `X-Request-Id` and in the logs"),
            "trace_id": text("The trace that the request belongs to, where traces are made"),
            "flow": text("The flow"),
            "node": text("The node it happened at"),
            "domain": text("The domain it happened at"),
            "sqlstate": text("The code of PostgreSQL"),
            "retryable": { "type": "boolean", "description": "Whether the same request may succeed later" },
            "unset": {
                "type": "array", "items": { "type": "string" },
                "description": "The facts that had no value, where that is why"
            },
            "outcome": text("The outcome that could not be decided, where a missing fact is why"),
            "missing": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["fact"],
                    "properties": {
                        "fact": text("The fact, as `node.field`"),
                        "set_by": {
                            "type": "array", "items": { "type": "string" },
                            "description": "The rules that would have set it"
                        }
                    },
                    "additionalProperties": false
                },
                "description": "The facts at the root of what is unknown"
            },
            "waiting": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["node", "rule", "sets"],
                    "properties": {
                        "node": text("The node of the rule"),
                        "rule": text("The rule"),
                        "sets": {
                            "type": "array", "items": { "type": "string" },
                            "description": "The facts it would have set"
                        }
                    },
                    "additionalProperties": false
                },
                "description": "The rules that wait for the missing facts"
            },
            "errors": {
                "type": "array", "items": { "$ref": "#/components/schemas/FieldProblem" },
                "description": "What is wrong with which input"
            },
            "diagnostics": {
                "type": "object",
                "description": "What is wrong with the files, as `tributary check --format json` prints it"
            },
            "explain": { "$ref": "#/components/schemas/Explanation" }
        },
        "additionalProperties": false
    })
}

/// What is wrong with one input.
pub(super) fn field_problem() -> Json {
    json!({
        "type": "object",
        "required": ["pointer", "code", "message"],
        "properties": {
            "pointer": { "type": "string", "description": "Which: a JSON pointer (RFC 6901) into the body" },
            "code": { "enum": [
                "missing", "unknown", "duplicate", "wrong_type", "too_long", "pattern", "too_small", "too_large",
                "not_in_enum", "nul_character"
            ] },
            "message": { "type": "string", "description": "What it must be" }
        },
        "additionalProperties": false
    })
}

/// The responses of the statuses with which `asked` may fail.
pub(super) fn responses(asked: Asked, with_tokens: bool) -> Map<String, Json> {
    let response = |(status, codes): (u16, Vec<&str>)| {
        let mut response = json!({
            "description": codes.join(", "),
            "content": { "application/problem+json": { "schema": {
                "$ref": "#/components/schemas/Problem",
                "properties": { "status": { "const": status }, "code": { "enum": codes } }
            } } }
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
    asked.problems(with_tokens).into_iter().map(response).collect()
}
