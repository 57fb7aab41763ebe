//! The schemas for editors accept what is read, and refuse what is wrong in shape.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value as Json;

use crate::document::Document;
use crate::support::repository;

/// What is said of files whose shape is wrong. Whatever else is wrong with a file no schema can see.
const OF_SHAPE: [&str; 13] = [
    "bad-on-error",
    "bad-path",
    "bad-timeout",
    "invalid-value",
    "missing-key",
    "no-nodes",
    "no-outcomes",
    "reserved-field",
    "unknown-key",
    "unknown-type",
    "unknown-word",
    "wrong-key",
    "wrong-type",
];

fn schema(of: &str) -> jsonschema::Validator {
    let output = Command::new(env!("CARGO_BIN_EXE_tributary")).args(["schema", of]).output().expect("it runs");
    assert!(output.status.success());
    let schema: Json = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(jsonschema::meta::is_valid(&schema), "{of}: {:?}", jsonschema::meta::validate(&schema));
    jsonschema::validator_for(&schema).expect("a schema")
}

/// A YAML text as JSON, merge keys applied; `None` where it is no YAML, or no single document.
fn read(text: &str) -> Option<Json> {
    let mut value: serde_yaml::Value = serde_yaml::from_str(text).ok()?;
    value.apply_merge().ok()?;
    serde_json::to_value(value).ok()
}

fn complaints(validator: &jsonschema::Validator, path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).expect("readable");
    let file = read(&text).unwrap_or_else(|| panic!("{} is no YAML", path.display()));
    validator.iter_errors(&file).map(|error| format!("{}{}: {error}", path.display(), error.instance_path())).collect()
}

fn files(directory: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(repository().join(directory)).expect("the directory is there");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.filter(|path| path.extension().is_some_and(|end| end == "yaml")).collect()
}

#[test]
fn every_file_that_is_shipped_or_accepted_fits_its_schema() {
    let own = |path: &str| repository().join(path);
    let mut graphs = vec![own("graph.yaml"), own("tests/contracts/orders.yaml")];
    graphs.extend(files("tests/graph/accepted").into_iter().chain(files("tests/graph/warned")));
    let services = ["config/service.yaml", "config/deploy/kubernetes/service-config.yaml"].map(own).to_vec();
    let (mut tests, mut learning) = (files("tests/flows"), files("config/flows/loan"));
    learning.extend(files("config/flows/allocation"));
    tests.extend(learning.extract_if(.., |path| path.to_string_lossy().ends_with(".test.yaml")));
    graphs.extend(learning);
    for (of, files) in [("graph", graphs), ("service", services), ("tests", tests)] {
        let schema = schema(of);
        for file in files {
            let complaints = complaints(&schema, &file);
            assert!(complaints.is_empty(), "{complaints:#?}");
        }
    }
    assert!(schema("service").is_valid(&Json::Null));
}

#[test]
fn every_graph_that_is_wrong_in_shape_is_refused_by_the_schema_as_well() {
    let schema = schema("graph");
    let mut refused = 0;
    for path in files("tests/graph/refused") {
        let said = std::fs::read_to_string(path.with_extension("snap")).expect("what is said of it");
        let of_shape = OF_SHAPE.iter().any(|code| said.contains(&format!("error[{code}]")));
        let text = std::fs::read_to_string(&path).expect("readable");
        let Some(file) = read(&text) else { continue };
        if of_shape {
            assert!(!schema.is_valid(&file), "{}\n{said}", path.display());
            refused += 1;
        }
    }
    assert!(refused >= 25, "{refused}");
}

#[test]
fn settings_and_tests_that_are_wrong_in_shape_are_refused() {
    let cases = [
        ("service", "http: { bindd: 127.0.0.1:80 }"),
        ("service", "http: { request_timeout_ms: 0 }"),
        ("service", "http: { request_timeout_ms: 10s }"),
        ("service", "http: { workers: many }"),
        ("service", "rules: { limits: { nesting: 201 } }"),
        ("service", "records: { to: nowhere }"),
        ("service", "log: { format: xml }"),
        ("service", "domains: { oms_db: { pool: { min: -1 } } }"),
        ("service", "domains: { oms-db: {} }"),
        ("service", "[]"),
        ("tests", "tests: []"),
        ("tests", "graph: g.yaml\ntests: [{ name: a }]"),
        ("tests", "graph: g.yaml\ntests: [{ name: a, expect: {} }]"),
        ("tests", "graph: g.yaml\ntests: [{ name: a, expect: { status: b, error: c } }]"),
        ("tests", "graph: g.yaml\ntests: [{ name: a, fail: { n: sometimes }, expect: { status: b } }]"),
        ("tests", "graph: g.yaml\ntests: [{ name: a, rows: { n: 1 }, expect: { status: b } }]"),
        ("tests", "graph: g.yaml\ntypes: { n: { c: int } }\ntests: []"),
    ];
    let faulty = complaints(&schema("tests"), &repository().join("tests/explain/faulty.test.yaml"));
    assert_eq!(faulty.len(), 5, "{faulty:#?}");
    for (of, text) in cases {
        let file = read(text).expect("YAML");
        assert!(!schema(of).is_valid(&file), "{of}: {text}");
    }
}

#[test]
fn the_defaults_that_the_schema_tells_are_those_of_the_shipped_settings() {
    let output = Command::new(env!("CARGO_BIN_EXE_tributary")).args(["schema", "service"]).output().expect("it runs");
    let schema: Json = serde_json::from_slice(&output.stdout).expect("JSON");
    let text = std::fs::read_to_string(repository().join("config/service.yaml")).expect("readable");
    let mut compared = 0;
    compare(&schema, &schema, &read(&text).expect("YAML"), &mut compared);
    assert!(compared >= 30, "{compared}");
}

/// Compares the default of every setting below `section` with its value in the file.
fn compare(root: &Json, section: &Json, value: &Json, compared: &mut usize) {
    let reference = section["$ref"].as_str().and_then(|reference| root.pointer(reference.strip_prefix('#')?));
    let section = if section["properties"].is_object() { section } else { reference.unwrap_or(section) };
    let Some(fields) = value.as_object() else { return };
    for (key, value) in fields {
        let field = &section["properties"][key];
        if value.is_object() {
            compare(root, field, value, compared);
        } else {
            assert_eq!(field["default"].to_string(), value.to_string(), "{key}");
            *compared += 1;
        }
    }
}

#[test]
fn the_contract_is_printed_without_databases() {
    let output = Command::new(env!("CARGO_BIN_EXE_tributary"))
        .args(["openapi", "--graph", "graph.yaml", "--graph", "tests/contracts/orders.yaml"])
        .current_dir(repository())
        .env_clear()
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let document = Document(serde_json::from_slice(&output.stdout).expect("JSON"));
    document.check();
    let price = "/components/schemas/purchasing.outcome.success/properties/purchase_order/properties/unit_price";
    assert_eq!(document.0.pointer(price), Some(&serde_json::json!({})));
}
