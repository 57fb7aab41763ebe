//! The keys of a flow file, each declared once: its type, its meaning, and its schema for editors.
//!
//! A section is checked and read when its turn comes; what must keep its place or its digits (queries, expressions, values) is
//! read from the tree itself ([`Apart`]).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny};
use serde_json::{Map, Value as Json, json};

use super::input::InputSpec;
use super::plan::Cause;
use crate::config::Coalescing;
use crate::yaml::{self, Any};

/// Names of nodes, inputs and facts.
const NAME: &str = r"^[\p{L}_][\p{L}\p{M}\p{N}_]{0,62}$";
const DOTTED_NAME: &str = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$";

/// The fields of an answer that are not the body's to set.
pub(super) const RESERVED: [&str; 5] = ["status", "message", "degraded", "what_if", "explain"];

/// The JSON Schema (2020-12) of flow files, for editors.
pub fn schema() -> String {
    format!("{:#}\n", yaml::schema_of::<FlowSpec>())
}

/// A part of the file that is read on its own as a `T`: here it is anything, and its schema is for editors only.
pub(super) struct Apart<T>(PhantomData<T>);

impl<'de, T> Deserialize<'de> for Apart<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Apart<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "allOf": [generator.subschema_for::<T>()] })
    }
}

/// Which databases are asked, which rules read the rows, and how it can end.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "A flow of Tributary")]
#[expect(dead_code, reason = "the sections are read one by one, each with its places")]
pub(super) struct FlowSpec {
    /// The flow's name.
    #[schemars(regex(pattern = r"^[A-Za-z_][A-Za-z0-9_-]{0,62}$"))]
    pub(super) flow: String,
    /// The path of its decisions; `/flows/{flow}` if left out.
    #[schemars(regex(pattern = r"^(/[A-Za-z0-9._~-]+)+$"), extend("examples" = ["/purchasing/flow"]))]
    pub(super) path: Option<String>,
    /// What it decides, for people.
    pub(super) description: Option<String>,
    /// The inputs of a request: names and types.
    #[schemars(extend("propertyNames" = { "pattern": NAME }))]
    pub(super) input: Option<Apart<BTreeMap<String, InputSpec>>>,
    /// What is asked and computed, by name. A node starts when what it needs is there.
    #[schemars(extend("minProperties" = 1, "propertyNames" = { "pattern": NAME, "not": { "const": "input" } }))]
    pub(super) nodes: BTreeMap<String, Apart<NodeSpec>>,
    /// Orders and conditions between nodes.
    pub(super) edges: Option<Vec<Apart<EdgeSpec>>>,
    /// How it can end: the first outcome whose `when` is true is the answer.
    #[schemars(length(min = 1))]
    pub(super) outcomes: Vec<Apart<OutcomeSpec>>,
}

/// The kind of a node.
#[derive(Deserialize, JsonSchema, Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NodeKind {
    /// Asks a database.
    DBNode,
    /// Runs rules.
    RuleNode,
}

/// The keys of a `DBNode` only.
pub(super) const QUERY_KEYS: [&str; 10] =
    ["database", "connection", "query", "params", "rows", "max_rows", "timeout_ms", "coalesce", "on_error", "redact"];

/// The keys of a `RuleNode` only.
pub(super) const RULE_KEYS: [&str; 6] = ["rules", "condition", "inputs", "field_mappings", "facts", "waiting"];

/// A node.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("allOf" = by_kind()))]
#[expect(dead_code, reason = "some keys are read from the tree, with their places")]
pub(super) struct NodeSpec {
    /// The kind of the node.
    pub(super) r#type: NodeKind,
    /// What it is for, for people.
    pub(super) description: Option<String>,
    /// The domain whose database is asked. `x_db` is configured by `X_DB_HOST`, `X_DB_PORT`, ... or `X_DB_URL`; if left out,
    /// the connection of `DB_*` is used.
    #[schemars(regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]{0,62}$"))]
    pub(super) database: Option<String>,
    /// In place of `database`: a URL. The node has a domain of its own.
    #[schemars(extend("examples" = ["postgres://${REPORT_USER}@host/db"]))]
    pub(super) connection: Option<String>,
    /// One SELECT (or WITH), with `$1`, `$2`, ... for parameters.
    #[schemars(regex(pattern = r"\S"))]
    pub(super) query: Option<String>,
    /// The facts that become `$1`, `$2`, ...; the flow's inputs in order if left out.
    pub(super) params: Option<Vec<String>>,
    /// How many rows the query finds. Default `one`.
    pub(super) rows: Option<RowsSpec>,
    /// The most rows of a node with `rows: many`; more are the error `too_many_rows`. Default 10,000.
    #[schemars(extend("allOf" = [{ "minimum": 1 }]))]
    pub(super) max_rows: Option<usize>,
    /// The node's own time limit in milliseconds, below the request's.
    #[schemars(extend("allOf" = [{ "minimum": 1 }]))]
    pub(super) timeout_ms: Option<u64>,
    /// Whether queries that wait may go together as one statement. Default `auto`.
    pub(super) coalesce: Option<Coalescing>,
    /// What happens if the database fails: the flow fails (`fail`, the default), or these values replace the answer and the
    /// decision is marked degraded.
    pub(super) on_error: Option<Apart<OnErrorSpec>>,
    /// Columns whose values are in no explanation, record or recorded test.
    pub(super) redact: Option<Vec<String>>,
    /// A GRL file, or a list of them, relative to this file.
    pub(super) rules: Option<Apart<RuleFilesSpec>>,
    /// In place of `rules`: one expression. Its value is the node's fact `result`.
    pub(super) condition: Option<Apart<ExpressionSpec>>,
    /// Nodes that must end first.
    pub(super) dependencies: Option<Vec<String>>,
    /// Other names for nodes.
    #[schemars(extend("propertyNames" = { "pattern": NAME }))]
    pub(super) inputs: Option<BTreeMap<String, String>>,
    /// Facts taken from elsewhere: `name: node.column`.
    #[schemars(extend("propertyNames" = { "pattern": DOTTED_NAME }))]
    pub(super) field_mappings: Option<BTreeMap<String, String>>,
    /// Facts that rules start with, and their values.
    #[schemars(extend("propertyNames" = { "pattern": DOTTED_NAME }))]
    pub(super) facts: Option<BTreeMap<String, Any>>,
    /// What a rule that waits for a missing fact means. Default `strict`.
    pub(super) waiting: Option<WaitingSpec>,
}

/// The rules about keys that a kind of node has, must have, or has not.
fn by_kind() -> Json {
    let none = |keys: &[&str]| keys.iter().map(|key| ((*key).to_owned(), Json::Bool(false))).collect::<Map<_, _>>();
    let is = |kind: &str| json!({ "properties": { "type": { "const": kind } }, "required": ["type"] });
    json!([
        {
            "if": is("DBNode"),
            "then": {
                "properties": none(&RULE_KEYS), "required": ["query"], "not": { "required": ["database", "connection"] },
            },
        },
        {
            "if": is("RuleNode"),
            "then": {
                "properties": none(&QUERY_KEYS), "oneOf": [{ "required": ["rules"] }, { "required": ["condition"] }],
            },
        },
    ])
}

/// `waiting:`
#[derive(Deserialize, JsonSchema, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum WaitingSpec {
    /// What it would have set is unknown.
    Strict,
    /// It counts as a rule that does not fire.
    Allow,
}

/// `rows:`
#[derive(Deserialize, JsonSchema, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum RowsSpec {
    /// A row; no row is the answer `not_found`.
    One,
    /// A row or null.
    Optional,
    /// A list of rows.
    Many,
}

/// `on_error:`
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "read from the tree, with its places")]
pub(super) enum OnErrorSpec {
    Fail(Fail),
    Default(DefaultSpec),
}

#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(dead_code, reason = "read from the tree, with its places")]
pub(super) enum Fail {
    /// The flow fails.
    Fail,
}

/// What replaces an answer.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "read from the tree, with its places")]
pub(super) struct DefaultSpec {
    /// A row; a list of rows if `rows` is `many`; null if it is `optional`.
    #[schemars(extend("type" = ["object", "array", "null"]))]
    pub(super) default: Json,
    /// The failures that the default replaces; all of them if left out.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub(super) r#for: Option<Vec<Cause>>,
}

/// One file or several.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "read from the tree, with its places")]
pub(super) enum RuleFilesSpec {
    One(String),
    Several(Vec<String>),
}

/// An expression over inputs, columns and facts, such as `rule_engine.order_qty > 0`.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "read from the tree, with its places")]
pub(super) enum ExpressionSpec {
    Text(String),
    Number(f64),
    Truth(bool),
}

/// An edge.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the condition is read from the tree, with its places")]
pub(super) struct EdgeSpec {
    /// The node that must end first.
    pub(super) from: String,
    /// The node that waits for it.
    pub(super) to: String,
    /// A condition: if it is not true, `to` is skipped.
    pub(super) rule: Option<Apart<ExpressionSpec>>,
}

/// An outcome.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "expressions are read from the tree, with their places")]
pub(super) struct OutcomeSpec {
    /// The `status` of the answer.
    #[schemars(regex(pattern = r"\S"))]
    pub(super) status: String,
    /// The condition that is its evidence.
    pub(super) when: Option<Apart<ExpressionSpec>>,
    /// For people. `{expression}` is replaced by its value; `{{` is a brace.
    pub(super) message: Option<String>,
    /// The rest of the answer: its leaves are expressions.
    #[schemars(extend("propertyNames" = { "not": { "enum": RESERVED } }))]
    pub(super) body: Option<BTreeMap<String, Any>>,
}
