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

use super::decimals::Decimals;
use super::input::InputSpec;
use super::plan::Cause;
use crate::config::Coalescing;
use crate::grl::HitPolicy;
use crate::yaml::{self, Any};

/// Names of nodes, inputs and facts.
const NAME: &str = r"^[\p{L}_][\p{L}\p{M}\p{N}_]{0,62}$";
/// Members of JSON objects with points between them.
const PATH: &str = r"^[^.]+(\.[^.]+)*$";
const DOTTED_NAME: &str = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$";

/// The fields of an answer that are not the body's to set.
pub(super) const RESERVED: [&str; 6] = ["status", "message", "degraded", "what_if", "explain", "approval"];

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
    /// Whether decimals are JSON numbers (the default) or JSON strings with the same digits, in inputs, answers and events.
    pub(super) decimals: Option<Decimals>,
    /// The inputs of a request: names and types.
    #[schemars(extend("propertyNames" = { "pattern": NAME }))]
    pub(super) input: Option<Apart<BTreeMap<String, InputSpec>>>,
    /// Values that all rules and expressions of the flow know by name.
    #[schemars(extend("propertyNames" = { "pattern": NAME }))]
    pub(super) constants: Option<Apart<BTreeMap<String, DefinedSpec>>>,
    /// Functions that all rules and expressions of the flow know: name and parameters, such as `net(gross, rate)`, and an
    /// expression of these.
    pub(super) functions: Option<Apart<BTreeMap<String, DefinedSpec>>>,
    /// What is asked and computed, by name. A node starts when what it needs is there.
    #[schemars(extend("minProperties" = 1, "propertyNames" = { "pattern": NAME, "not": { "const": "input" } }))]
    pub(super) nodes: BTreeMap<String, Apart<NodeSpec>>,
    /// Orders and conditions between nodes.
    pub(super) edges: Option<Vec<Apart<EdgeSpec>>>,
    /// What outcomes write, by name: statements on one database in one transaction. All effects of a flow write to the same domain.
    #[schemars(extend("propertyNames" = { "pattern": NAME, "not": { "const": "input" } }))]
    pub(super) effects: Option<BTreeMap<String, Apart<EffectSpec>>>,
    /// How it can end: the first outcome whose `when` is true is the answer.
    #[schemars(length(min = 1))]
    pub(super) outcomes: Vec<Apart<OutcomeSpec>>,
}

/// A value or an expression, with or without a description.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "read from the tree, with its places")]
pub(super) enum DefinedSpec {
    Described(DefinitionSpec),
    Text(String),
    Number(f64),
    Truth(bool),
    List(Vec<Json>),
}

/// A value or an expression, and its description.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the value is read from the tree, with its place")]
pub(super) struct DefinitionSpec {
    /// The value of a constant, the expression of a function.
    pub(super) value: Any,
    /// What it is for, for people.
    pub(super) description: Option<String>,
}

/// The kind of a node.
#[derive(Deserialize, JsonSchema, Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NodeKind {
    /// Asks a database or a REST interface.
    DBNode,
    /// Runs rules.
    RuleNode,
}

/// The keys of a `DBNode` only.
pub(super) const QUERY_KEYS: [&str; 17] = [
    "database",
    "connection",
    "query",
    "get",
    "post",
    "params",
    "headers",
    "body",
    "answer",
    "columns",
    "not_found",
    "rows",
    "max_rows",
    "timeout_ms",
    "coalesce",
    "on_error",
    "redact",
];

/// The keys of a `DBNode` with a `query` only.
pub(super) const SQL_KEYS: [&str; 3] = ["connection", "params", "coalesce"];

/// The keys of a `DBNode` with a `get` or a `post` only.
pub(super) const REQUEST_KEYS: [&str; 5] = ["headers", "body", "answer", "columns", "not_found"];

/// The keys of a `RuleNode` only.
pub(super) const RULE_KEYS: [&str; 9] =
    ["rules", "condition", "table", "hit", "prefer", "inputs", "field_mappings", "facts", "waiting"];

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
    /// In place of `query`: a GET request. Path and query below the URL of the domain, with facts in braces; `{{` is a brace.
    #[schemars(regex(pattern = "^/"), extend("examples" = ["/scores/{customer_id}?as_of={input.day}"]))]
    pub(super) get: Option<String>,
    /// In place of `query`: a POST request, as `get`. It is never repeated.
    #[schemars(regex(pattern = "^/"), extend("examples" = ["/scores"]))]
    pub(super) post: Option<String>,
    /// The headers of the request, with facts in braces.
    #[schemars(extend("propertyNames" = { "pattern": r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$" }))]
    pub(super) headers: Option<BTreeMap<String, String>>,
    /// The body of a `post`, sent as JSON: its leaves are facts, numbers, true, false, null, or text in quotes of its own.
    pub(super) body: Option<Any>,
    /// The members of the answer that lead to the row or rows, such as `data.scores`; the whole answer if left out.
    #[schemars(regex(pattern = PATH), extend("examples" = ["data.scores"]))]
    pub(super) answer: Option<String>,
    /// The members of a row that are read: names and types.
    #[schemars(extend("minProperties" = 1, "propertyNames" = { "pattern": NAME }))]
    pub(super) columns: Option<BTreeMap<String, Apart<ColumnSpec>>>,
    /// What status 404 of a `get` means. Default `no_row`.
    pub(super) not_found: Option<NotFoundSpec>,
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
    /// In place of `rules`: a decision table, a `.csv`, `.xlsx` or `.dmn` file relative to this one. `#` and the name of a sheet or of a
    /// decision may follow.
    #[schemars(regex(pattern = r"\S"), extend("examples" = ["rules/rates.csv", "rules/rates.xlsx#Sheet1"]))]
    pub(super) table: Option<String>,
    /// Which of the rows of the table that match give their results. Default `unique`.
    pub(super) hit: Option<HitPolicy>,
    /// For `hit: priority` and `hit: output_order`: the values of results, from the most preferred one.
    #[schemars(extend("propertyNames" = { "pattern": DOTTED_NAME }))]
    pub(super) prefer: Option<BTreeMap<String, Vec<Any>>>,
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
                "properties": none(&RULE_KEYS), "not": { "required": ["database", "connection"] },
                "oneOf": [{ "required": ["query"] }, { "required": ["get"] }, { "required": ["post"] }],
            },
        },
        { "if": { "required": ["query"] }, "then": { "properties": none(&REQUEST_KEYS) } },
        {
            "if": { "anyOf": [{ "required": ["get"] }, { "required": ["post"] }] },
            "then": { "properties": none(&SQL_KEYS), "required": ["columns"] },
        },
        { "if": { "required": ["get"] }, "then": { "properties": { "body": false } } },
        { "if": { "required": ["post"] }, "then": { "properties": { "not_found": false } } },
        {
            "if": is("RuleNode"),
            "then": {
                "properties": none(&QUERY_KEYS),
                "oneOf": [{ "required": ["rules"] }, { "required": ["condition"] }, { "required": ["table"] }],
            },
        },
        { "if": { "anyOf": [{ "required": ["hit"] }, { "required": ["prefer"] }] }, "then": { "required": ["table"] } },
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

/// `not_found:`
#[derive(Deserialize, JsonSchema, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum NotFoundSpec {
    /// There is no row.
    NoRow,
    /// It is an error.
    Error,
}

/// Names of types of columns.
const TYPE: &str = "^(list of )*(any|boolean|integer|decimal|text|date|timestamp)$";

/// A column of an answer: a type, or a type and where its value is.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "read from the tree, with its places")]
pub(super) enum ColumnSpec {
    Type(#[schemars(regex(pattern = TYPE))] String),
    Placed(ColumnKeys),
}

/// The keys of one column.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ColumnKeys {
    /// Boolean, integer, decimal, text, date, timestamp, any, or `list of` one of them.
    #[schemars(regex(pattern = TYPE), extend("examples" = ["decimal", "list of text"]))]
    pub(super) r#type: String,
    /// The members of a row that lead to it, such as `price.amount`; the column's own name if left out.
    #[schemars(regex(pattern = PATH), extend("examples" = ["price.amount"]))]
    pub(super) at: Option<String>,
    /// Whether it may be absent or null, which it then is in the row, too.
    pub(super) optional: Option<bool>,
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

/// An effect: what a decision writes, once for each `Idempotency-Key`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "some keys are read from the tree, with their places")]
pub(super) struct EffectSpec {
    /// What it is for, for people.
    pub(super) description: Option<String>,
    /// The domain whose database is written, by the role of `X_DB_WRITE_USER`.
    #[schemars(regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]{0,62}$"))]
    pub(super) database: String,
    /// The statements, in order.
    #[schemars(length(min = 1))]
    pub(super) statements: Vec<Apart<StatementSpec>>,
    /// The row of the outbox.
    pub(super) event: Option<Apart<EventSpec>>,
}

/// A statement of an effect.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "expressions are read from the tree, with their places")]
pub(super) struct StatementSpec {
    /// One INSERT, UPDATE, DELETE, MERGE or SELECT (or WITH), with `$1`, `$2`, ... for parameters.
    #[schemars(regex(pattern = r"\S"))]
    pub(super) query: String,
    /// The expressions that become `$1`, `$2`, ...
    pub(super) params: Option<Vec<Apart<ExpressionSpec>>>,
    /// How many rows it writes or returns; with another number the transaction is rolled back and the decision made again. Default `one`.
    pub(super) rows: Option<RowsSpec>,
}

/// What an effect announces: a row of the outbox.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "expressions are read from the tree, with their places")]
pub(super) struct EventSpec {
    /// The type, such as `purchase_order.placed`.
    #[schemars(regex(pattern = r"\S"))]
    pub(super) r#type: String,
    /// The kind of thing that it is about; the part of the type before the first point if left out.
    #[schemars(regex(pattern = r"\S"))]
    pub(super) aggregate: Option<String>,
    /// An expression: which thing it is about. Events of one key are sent in order.
    pub(super) key: Apart<ExpressionSpec>,
    /// The payload: its leaves are expressions. The answer to the request if left out.
    pub(super) payload: Option<Any>,
}

/// An outcome.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("dependentRequired" = { "approval": ["effect"] }))]
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
    /// What it writes, if the request has an `Idempotency-Key`: the name of one of `effects`.
    pub(super) effect: Option<String>,
    /// A condition: if it is true, the effect waits for an approval.
    pub(super) approval: Option<Apart<ExpressionSpec>>,
}
