//! What keys and effects add to the endpoints of a flow.

use serde_json::{Value as Json, json};

use crate::graph::{Flow, KEY_MEMBER, Outcome, Template};

/// What the parser of keys takes: 1 to 255 printable characters of ASCII, also in quotes, but not two quotes.
const PATTERN: &str = r#"^([!#-~]([ -~]{0,253}[!-~])?|"([ -~]{0,253}[!#-~])?|"[ -~]{1,255}")$"#;

/// A key.
pub(super) fn key(description: &str) -> Json {
    json!({ "type": "string", "pattern": PATTERN, "description": description })
}

/// The header of a request that writes.
pub(super) fn parameter(flow: &Flow) -> Json {
    let effects: Vec<String> =
        flow.effects.iter().map(|effect| format!("`{}` to `{}`", effect.name, effect.domain)).collect();
    let description = format!(
        "A new key for each decision to write, such as a UUID. With it the decision writes its effect once ({}), and the \
         same request with the same key gets the stored answer. Without it nothing is written",
        effects.join(", ")
    );
    json!({ "name": KEY_MEMBER, "in": "header", "description": description, "schema": key("1 to 255 printable characters of ASCII") })
}

/// The headers of an answer that may be stored: one that is replayed does not have those of the versions.
pub(super) fn headers(mut decision: Json) -> Json {
    if let Json::Object(headers) = &mut decision {
        for (_, header) in headers.iter_mut().filter(|(name, _)| *name != "Decision-Id") {
            if let Json::Object(header) = header {
                header.insert("required".to_owned(), json!(false));
            }
        }
        let description = "The answer was stored with the key before, by the decision of this Decision-Id";
        headers.insert(
            "Idempotency-Replayed".to_owned(),
            json!({ "description": description, "schema": { "const": "true" } }),
        );
    }
    decision
}

/// Whether the effect of an outcome may wait for an approval.
pub(super) fn may_wait(outcome: &Outcome) -> bool {
    outcome.effect.is_some() && outcome.approval.is_some()
}

/// The approval that an effect waits for.
pub(super) fn approval() -> Json {
    json!({
        "type": "object",
        "description": "The approval that the effect waits for: nothing is written before",
        "required": ["id", "state"],
        "properties": { "id": { "type": "string", "format": "uuid" }, "state": { "const": "pending" } },
        "additionalProperties": false
    })
}

/// The member of a line whose answer was stored before.
pub(super) fn replayed() -> Json {
    json!({ "const": true, "description": "The answer was stored with the key before" })
}

/// The inputs of a line of a batch or of a tool, which may have a key beside them.
pub(super) fn element(mut input: Json) -> Json {
    if let Some(Json::Object(properties)) = input.get_mut("properties") {
        let description = "A new key for each decision to write, such as a UUID. With it the decision writes its effect once, and the \
             same inputs with the same key get the stored answer. Without it nothing is written";
        properties.insert(KEY_MEMBER.to_owned(), key(description));
    }
    input
}

/// The names of the fields that an answer always has: not those that read what an effect returns.
pub(super) fn required<'a>(flow: &Flow, fields: impl IntoIterator<Item = (&'a str, &'a Template)>) -> Vec<&'a str> {
    let is_kept = |template: &Template| !reads_effect(flow, template);
    fields.into_iter().filter(|(_, template)| is_kept(template)).map(|(name, _)| name).collect()
}

/// Whether this part of an answer is left out where its effect did not run.
pub(super) fn reads_effect(flow: &Flow, template: &Template) -> bool {
    matches!(template, Template::Leaf(expression) if flow.reads_effect(expression))
}
