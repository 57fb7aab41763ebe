//! The keys of a test file, and their JSON Schema.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::de::{Deserialize, Deserializer, IgnoredAny};
use serde_json::{Value as Json, json};

use crate::types::Value;
use crate::yaml::{Any, schema_of};

/// The clock of tests that name none: a Thursday.
pub(super) const CLOCK: &str = "2026-01-01T12:00:00Z";

/// Short names of failures.
pub(super) const SHORT: [(&str, &str); 2] = [("down", "domain_unavailable"), ("error", "query_failed")];

/// All that a node can be made to fail with.
pub(super) const FAILURES: [&str; 12] = [
    "down",
    "timeout",
    "no_rows",
    "unanswered",
    "error",
    "domain_unavailable",
    "domain_overloaded",
    "connection_lost",
    "query_aborted",
    "query_failed",
    "request_failed",
    "bad_answer",
];

/// The types that YAML cannot express.
pub(super) const TYPES: [&str; 6] = ["date", "timestamp", "decimal", "date[]", "timestamp[]", "decimal[]"];

/// Inputs, rows and the expected decision of a flow; run by `tributary test`.
#[derive(serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Flow tests of Tributary")]
#[expect(dead_code, reason = "values whose place or digits count are read from the tree")]
pub(super) struct FileKeys {
    /// The flow file, relative to this one.
    pub(super) graph: String,
    /// The flow, where the file or directory holds several.
    #[serde(default)]
    pub(super) flow: Option<String>,
    /// What `now()` returns, and the day of `today()`, in all tests: RFC 3339 with its offset. 2026-01-01T12:00:00Z by default.
    #[serde(default)]
    clock: Option<String>,
    /// The zone of `today()`, by its IANA name, such as Europe/Berlin. The service's `time_zone` by default.
    #[serde(default)]
    time_zone: Option<String>,
    /// The input that all tests start from.
    #[serde(default)]
    input: BTreeMap<String, Any>,
    /// The rows that all tests start from. By node: a mapping of columns to values is one row, a list of such mappings several,
    /// [] none.
    #[serde(default)]
    rows: BTreeMap<String, Any>,
    /// By node and column: the type that YAML cannot express.
    #[serde(default)]
    pub(super) types: BTreeMap<String, BTreeMap<String, String>>,
    /// The tests.
    tests: Vec<Any>,
}

/// One test.
#[derive(serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "values whose place or digits count are read from the tree")]
pub(super) struct TestKeys {
    /// What holds, as a sentence.
    pub(super) name: String,
    /// The clock of this test.
    #[serde(default)]
    clock: Option<String>,
    /// Inputs that replace shared ones.
    #[serde(default)]
    input: BTreeMap<String, Any>,
    /// Rows that replace shared ones. Columns that a row does not name keep the shared values.
    #[serde(default)]
    rows: BTreeMap<String, Any>,
    /// By node: how it fails.
    #[serde(default)]
    pub(super) fail: BTreeMap<String, String>,
    /// The expected end of the run.
    pub(super) expect: Expectation,
}

/// The expected end of a run: a status or an error, and what else is named.
#[derive(Debug, Clone, Default, serde::Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend(
    "oneOf" = [{ "required": ["status"] }, { "required": ["error"] }],
    "dependentRequired" = { "params": ["effect"] },
))]
pub struct Expectation {
    /// The outcome.
    pub status: Option<String>,
    /// The message, to the letter.
    pub message: Option<String>,
    /// Fields of the body. Other fields may have any value.
    #[serde(deserialize_with = "none")]
    #[schemars(with = "Option<BTreeMap<String, Any>>")]
    pub body: Option<Value>,
    /// The code of the error, where there must be no decision.
    pub error: Option<String>,
    /// The node of the error.
    pub node: Option<String>,
    /// By node: the rules that fire, in order, and no others.
    pub fired: BTreeMap<String, Vec<String>>,
    /// By node: rules that do not fire.
    pub not_fired: BTreeMap<String, Vec<String>>,
    /// All nodes whose default replaced an answer.
    pub degraded: Option<Vec<String>>,
    /// The effect that a request with a key has; null for none.
    #[serde(deserialize_with = "none")]
    #[schemars(with = "Option<String>")]
    pub effect: Option<Value>,
    /// The parameters of its statement: a list. Of several statements: a list of such lists, with null for a statement that is given
    /// what another one returns.
    #[serde(deserialize_with = "none")]
    #[schemars(with = "Vec<Any>")]
    pub params: Option<Value>,
    /// Whether the effect waits for an approval.
    pub approval: Option<bool>,
}

/// Passes a value that is read from the tree, with all its digits.
fn none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| None)
}

/// The JSON Schema (2020-12) of flow tests, for editors.
pub fn schema() -> String {
    let rows = json!({ "type": ["object", "array", "null"], "items": { "type": "object" } });
    let mut test = Json::clone(&schema_of::<TestKeys>());
    refine(&mut test, "/properties/fail/additionalProperties", json!({ "enum": FAILURES }));
    refine(&mut test, "/properties/rows/additionalProperties", rows.clone());
    let mut file = Json::clone(&schema_of::<FileKeys>());
    refine(&mut file, "/properties/rows/additionalProperties", rows);
    refine(&mut file, "/properties/types/additionalProperties/additionalProperties", json!({ "enum": TYPES }));
    refine(&mut file, "/properties/tests/items", test);
    format!("{file:#}\n")
}

/// Replaces the part of `schema` at `pointer`.
fn refine(schema: &mut Json, pointer: &str, part: Json) {
    if let Some(known) = schema.pointer_mut(pointer) {
        *known = part;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn editors_accept_the_shipped_flow_tests_and_refuse_what_they_cannot_mean() {
        let schema: Json = serde_json::from_str(&schema()).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let shipped: Json = serde_yaml::from_str(include_str!("../../tests/flows/purchasing.test.yaml")).unwrap();
        assert!(validator.is_valid(&shipped), "{:?}", validator.iter_errors(&shipped).collect::<Vec<_>>());
        let test = |test: Json| json!({ "graph": "graph.yaml", "tests": [test] });
        assert!(validator.is_valid(&test(json!({ "name": "n", "expect": { "error": "timeout" } }))));
        let without_effect =
            json!({ "name": "n", "expect": { "status": "success", "effect": null, "approval": false } });
        assert!(validator.is_valid(&test(without_effect)));
        for refused in [
            json!({ "graph": "graph.yaml" }),
            test(json!({ "name": "n", "expect": {} })),
            test(json!({ "name": "n", "expect": { "status": "success", "params": [1] } })),
            test(json!({ "name": "n", "expect": { "status": "success", "effect": 1 } })),
            test(json!({ "name": "n", "expect": { "status": "success", "error": "timeout" } })),
            test(json!({ "name": "n", "expect": { "status": "success" }, "fail": { "supplier": "asleep" } })),
            test(json!({ "name": "n", "expect": { "status": "success" }, "rows": { "supplier": 1 } })),
            json!({ "graph": "graph.yaml", "tests": [], "types": { "supplier": { "price": "number" } } }),
        ] {
            assert!(!validator.is_valid(&refused), "{refused}");
        }
    }
}
