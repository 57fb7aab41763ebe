//! Flows that ask REST interfaces, without them: the declared types are those of flow tests and of the OpenAPI document.

use std::process::Command;

use serde_json::{Value as Json, json};

const GRAPH: &str = r#"
flow: credit
input: { customer_id: text }
nodes:
  customer:
    type: DBNode
    database: crm_db
    get: "/customers/{customer_id}"
    columns: { since: date, limit: decimal, tags: list of text, segment: { type: text, at: segment.code, optional: true } }
outcomes:
  - { status: old, when: "customer.since < date(\"2020-01-01\")", body: { limit: customer.limit, segment: customer.segment } }
  - { status: new, when: "customer.since >= date(\"2020-01-01\")" }
"#;

/// The exit code and all output of the program beside the graph and this test file.
fn run(tests: &str, arguments: &[&str]) -> (i32, String) {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, text) in [("graph.yaml", GRAPH), ("credit.test.yaml", tests)] {
        std::fs::write(directory.path().join(name), text).expect("written");
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
    let output = command.current_dir(directory.path()).env_clear().args(arguments).output().expect("the program runs");
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).expect("UTF-8")).concat();
    (output.status.code().expect("an exit code"), text)
}

/// The result of a flow test with this row.
fn test(row: &str, expect: &str) -> (i32, String) {
    let case = format!("{{ name: one, input: {{ customer_id: C }}, rows: {{ customer: {row} }}, expect: {expect} }}");
    run(&format!("graph: graph.yaml\ntests:\n  - {case}\n"), &["test", "credit.test.yaml"])
}

#[test]
fn answers_have_the_types_of_the_columns_without_a_database() {
    let (code, document) = run("", &["openapi", "--graph", "graph.yaml"]);
    let document: Json = serde_json::from_str(&document).unwrap_or_else(|_| panic!("{document}"));
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    let body = schemas.iter().find_map(|(_, schema)| schema["properties"].get("limit")).expect("the outcome's schema");
    assert_eq!((code, &body["type"]), (0, &json!(["number", "null"])));
}

#[test]
fn the_rows_of_flow_tests_have_the_declared_types() {
    let expect = "{ status: old, body: { limit: 7, segment: null } }";
    let (code, text) = test("{ since: 2019-12-31, limit: 7, tags: [a], segment: null }", expect);
    assert_eq!(code, 0, "{text}");
    assert_eq!(test("{ since: 2020-01-01, limit: 7.50, tags: [], segment: A }", "{ status: new }").0, 0);
    assert_eq!(test("[]", "{ error: not_found, node: customer }").0, 0);
    for (row, problem) in [
        (
            "{ since: soon, limit: 7, tags: [], segment: A }",
            "has `since`, which must be of type date, not text that is",
        ),
        ("{ since: 2020-01-01, limit: null, tags: [], segment: A }", "has `limit`, which must not be null"),
        (
            "{ since: 2020-01-01, limit: 7, tags: [null], segment: A }",
            "`tags`, which must be of type list of text, without",
        ),
        ("{ since: 2020-01-01, limit: 7, tags: [] }", "has no value for column `segment`"),
        ("{ since: 2020-01-01, limit: 7, tags: [], segment: A, more: 1 }", "more"),
    ] {
        let (code, text) = test(row, "{ status: new }");
        assert!(code == 1 && text.contains(problem) && text.contains("credit.test.yaml:3:"), "{row}: {text}");
    }
}
