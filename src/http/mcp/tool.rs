//! What there is of each flow: the names of its tools, their descriptions, and the schemas of what they take and give.

use std::sync::Arc;

use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde_json::{Value as Json, json};

use crate::graph::{Flow, Node, Work};
use crate::http::openapi::FlowSchemas;
use crate::types::FieldName;

/// What a tool does with its flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    /// Decides.
    Decide,
    /// Decides and says why.
    Explain,
    /// Decides with facts replaced.
    WhatIf,
    /// Finds the values of facts at which the outcome changes.
    Flip,
}

/// All of them, in the order in which they are listed.
pub(super) const VERBS: [Verb; 4] = [Verb::Decide, Verb::Explain, Verb::WhatIf, Verb::Flip];

impl Verb {
    fn word(self) -> &'static str {
        match self {
            Self::Decide => "decide",
            Self::Explain => "explain",
            Self::WhatIf => "what_if",
            Self::Flip => "flip",
        }
    }

    fn does(self) -> &'static str {
        match self {
            Self::Decide => "Makes this decision.",
            Self::Explain => {
                "Makes this decision and says why: `explain` has what was read from which database, which rules fired and which \
                 did not, and where each field of the answer comes from."
            }
            Self::WhatIf => {
                "Makes this decision as if facts had other values: `set` has a value for each of them. Everything else is read from \
                 the databases."
            }
            Self::Flip => {
                "Finds what changes this decision: for each of up to four numbers the values below and above its present one at \
                 which it changes, and the smallest change of all of them together. `facts` names them, as `set` does."
            }
        }
    }
}

/// The name of a tool: that of the flow, `_` and the word of the verb. No two tools have the same.
pub(super) fn name(flow: &Flow, verb: Verb) -> String {
    format!("{}_{}", flow.name, verb.word())
}

/// The description of a tool, for a client and its model.
pub(super) fn describe(flow: &Flow, verb: Verb) -> Tool {
    let schemas = FlowSchemas::of(flow);
    let (takes, gives) = match verb {
        Verb::Decide => (schemas.keyed, schemas.decision),
        Verb::Explain => (schemas.input, schemas.explained),
        Verb::WhatIf => (by_name(flow, schemas.what_if), schemas.replaced),
        Verb::Flip => (by_name(flow, schemas.flip), schemas.flips),
    };
    let about = flow.description.clone().unwrap_or_else(|| format!("The decision `{}`.", flow.name));
    let mut outcomes: Vec<String> = flow.outcomes.iter().map(|outcome| format!("`{}`", outcome.status)).collect();
    outcomes.dedup();
    let description = format!("{}\n\n{} Its outcomes (`status`): {}.", about.trim(), verb.does(), outcomes.join(", "));
    let writes = verb == Verb::Decide && !flow.effects.is_empty();
    let annotations = ToolAnnotations::with_title(format!("{} {}", flow.name, verb.word().replace('_', " ")));
    Tool::new(name(flow, verb), description, object(takes))
        .with_raw_output_schema(object(or_problem(&gives)))
        .with_annotations(annotations.read_only(!writes).idempotent(true).open_world(false))
}

/// The arguments of a what-if or a search, with the names of all facts in place of the schemas of whole rows.
fn by_name(flow: &Flow, mut arguments: Json) -> Json {
    let inputs = flow.inputs.fields().iter().map(|field| format!("input.{}", field.name));
    let facts: Vec<String> = inputs.chain(flow.nodes.iter().flat_map(facts)).collect();
    if let Some(Json::Object(set)) = arguments.pointer_mut("/properties/set") {
        set.shift_remove("properties");
        let description = format!("The facts to replace, and their values; the facts are: {}", facts.join(", "));
        set.insert("description".to_owned(), json!(description));
    }
    arguments
}

/// The facts of a node: the columns of a query, or what rules set.
fn facts(node: &Node) -> Vec<String> {
    let named = |name: &FieldName| format!("{}.{name}", node.id);
    match &node.work {
        Work::Query(query) => query.columns.fields.iter().map(|column| named(&column.name)).collect(),
        Work::Rules(rules) => rules.ruleset.own_facts().map(|(name, _)| named(name)).collect(),
    }
}

/// The result of a tool, or the problem there is in place of it. (Clients hold results that are errors to the schema, too.)
fn or_problem(result: &Json) -> Json {
    json!({
        "type": "object",
        "oneOf": [
            result,
            {
                "description": "With isError: why there is no result (RFC 9457)",
                "type": "object",
                "required": ["type", "title", "status", "detail", "code"],
                "properties": {
                    "code": { "type": "string", "description": "What is wrong: stable, for programs" },
                    "detail": { "type": "string", "description": "What is wrong this time, and what to do about it" },
                    "retryable": { "type": "boolean", "description": "Whether the same call may succeed later" },
                    "status": { "type": "integer" }
                }
            }
        ]
    })
}

fn object(schema: Json) -> Arc<JsonObject> {
    match schema {
        Json::Object(schema) => Arc::new(schema),
        _ => Arc::default(),
    }
}
