//! Explanations, replays and flow tests on the command line: `run --explain/--set/--flip/--record-test`, `replay`, `test`.

use serde_json::Value as Json;

use crate::explained::copy_changed;
use crate::support::{self, SampleDatabases, json, repository};

/// Runs the program in the repository: exit code, standard output, standard error.
fn run(environment: &[(String, String)], arguments: &[&str]) -> (i32, String, String) {
    support::run(repository(), environment, arguments)
}

const PRODUCT: [&str; 3] = ["run", "--input", "product_id=PROD-001"];

#[actix_web::test]
async fn run_explains_replaces_facts_and_finds_where_the_outcome_changes() {
    let databases = SampleDatabases::create().await;
    let environment = databases.environment();
    let decide = |more: &[&str]| run(&environment, &[&PRODUCT, more].concat());

    let (code, text, _) = decide(&["--explain"]);
    assert_eq!(code, 0);
    for told in [
        "- Needs approval: total_amount 8525.00 > 10000: short by 1475.00  (rules/purchase_order.grl:20:6)",
        "- Bulk discount: round(order_qty * unit_price, 2) 8525.00 >= 50000: short by 41475.00  (rules/discounts.csv:3:1)",
        "+ Shortage: shortage = 550.00",
        "log: demand is rising: consider more than 550.00",
        "purchase_order.total_cost = create_po.total_amount  from oms_history.avg_daily_demand",
    ] {
        assert!(text.contains(told), "{told} is missing:\n{text}");
    }
    let (_, line, _) = decide(&["--explain", "--format", "json"]);
    assert_eq!(json(&line)["explain"]["flow"], "purchasing");

    let (_, text, _) = decide(&["--set", "inventory_levels.available_qty=1049.99"]);
    assert_eq!(json(&text)["purchase_order"]["shortage"].to_string(), "0.01");
    let (code, _, problem) = decide(&["--set", "inventory_levels.available_qt=1"]);
    assert_eq!((code, json(&problem)["code"].as_str()), (1, Some("invalid_override")));
    assert!(decide(&["--set", "inventory_levels.available_qty"]).2.contains("FACT=VALUE"));

    let (code, text, _) = decide(&["--flip", "inventory_levels.available_qty"]);
    assert_eq!(code, 0);
    for told in
        ["up to 1049.99: success", "up to 1050.00: no_order", "down to 0.00: success", "down to -0.01: error undecided"]
    {
        assert!(text.contains(told), "{told} is missing:\n{text}");
    }
    let (_, line, _) = decide(&[
        "--flip",
        "supplier_info.unit_price",
        "--flip-field",
        "purchase_order.approval_status",
        "--format",
        "json",
    ]);
    let above = &json(&line)["flips"][0]["above"];
    assert_eq!((above["last"].to_string(), above["first"].to_string()), ("18.18".to_owned(), "18.19".to_owned()));
    let (_, line, _) = decide(&["--flip", "supplier_info.lead_time", "--format", "json"]);
    assert_eq!(json(&line)["flips"][0]["below"]["first"], 3, "500 in stock cover three days at 150 a day");
    assert!(decide(&["--flip", "supplier_info.supplier_name"]).2.contains("only a number"));
}

#[actix_web::test]
async fn the_smallest_change_of_several_facts_together_alters_the_outcome_when_it_is_made() {
    let databases = SampleDatabases::create().await;
    let environment = databases.environment();
    let decide = |more: &[&str]| run(&environment, &[&PRODUCT, more].concat());
    let facts = ["--flip", "inventory_levels.available_qty", "--flip", "oms_history.avg_daily_demand"];
    let (code, text, errors) = decide(&facts);
    assert_eq!(code, 0, "{errors}");
    for told in [
        "inventory_levels.available_qty, oms_history.avg_daily_demand together: success",
        "  then: no_order",
        "found by proof over",
    ] {
        assert!(text.contains(told), "{told} is missing:\n{text}");
    }
    let (_, line, _) = decide(&[&facts[..], &["--format", "json"]].concat());
    let document = json(&line);
    assert_eq!(document["flips"].as_array().map(Vec::len), Some(2));
    let change = &document["together"]["change"];
    let changed = change["facts"].as_array().expect("facts");
    assert_eq!(changed.len(), 2, "half of it each: {change}");
    let set: Vec<String> = changed
        .iter()
        .map(|changed| format!("{}={}", changed["fact"].as_str().expect("a name"), changed["after"]))
        .collect();
    let sets: Vec<&str> = set.iter().flat_map(|set| ["--set", set.as_str()]).collect();
    let (_, line, _) = decide(&[&sets[..], &["--format", "json"]].concat());
    assert_eq!(json(&line)["status"], change["ending"]);
    let stock = changed[0]["after"].to_string().parse::<f64>().expect("a number");
    assert!(stock < 1050.0, "less than the change of the stock alone: {change}");
    let (_, _, errors) =
        decide(&["--flip", "inventory_levels.available_qty", "--flip", "inventory_levels.available_qty"]);
    assert!(errors.contains("named twice"), "{errors}");
}

#[actix_web::test]
async fn a_decision_becomes_a_test_that_passes_and_fails_once_the_rules_change() {
    let databases = SampleDatabases::create().await;
    let environment = databases.environment();
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("recorded.test.yaml");
    let path = file.display().to_string();
    let (code, _, _) = run(&environment, &[&PRODUCT[..], &["--record-test", &path]].concat());
    assert_eq!(code, 0);
    let (code, text, errors) = run(&[], &["test", &path]);
    assert_eq!((code, errors.as_str()), (0, ""), "{text}");
    let (code, _, errors) = run(&environment, &[&PRODUCT[..], &["--record-test", &path]].concat());
    assert!(code == 1 && errors.contains("is there already"), "{errors}");
    // A failure can be recorded as a test, too.
    let missing = directory.path().join("missing.test.yaml").display().to_string();
    run(&environment, &["run", "--input", "product_id=NOPE", "--record-test", &missing]);
    assert_eq!(run(&[], &["test", &missing]).0, 0, "{}", std::fs::read_to_string(&missing).expect("the test"));

    let text = std::fs::read_to_string(&file).expect("the test");
    let other = text.replace("\"total_cost\":8525.00", "\"total_cost\":8526").replace("\"Approved by itself\",", "");
    std::fs::write(&file, other).expect("written");
    let (code, text, _) = run(&[], &["test", &path]);
    assert_eq!(code, 1);
    for told in ["purchase_order.total_cost", "expected  8526", "found     8525.00", "rules fired in create_po"] {
        assert!(text.contains(told), "{told} is missing:\n{text}");
    }
}

#[test]
fn the_shipped_flow_is_tested_on_both_sides_of_every_rule() {
    let directory = tempfile::tempdir().expect("a directory");
    let junit = directory.path().join("results.xml").display().to_string();
    let (code, text, errors) = run(&[], &["test", "--min-coverage", "100", "--junit", &junit]);
    assert_eq!((code, errors.as_str()), (0, ""), "{text}");
    let xml = std::fs::read_to_string(&junit).expect("results");
    let count = |what: &str| xml.matches(what).count();
    assert!(count("<testcase") == text.matches("  ok    ").count() && count("<failure") == 0, "{xml}");
    let (code, text, errors) = run(&[], &["test", "--filter", "a cent below", "--min-coverage", "100"]);
    assert!(code == 1 && text.contains("1 test: 1 passed") && errors.contains("100 % is asked for"), "{text}{errors}");
    assert!(text.contains("`Bulk discount` of discount never fired"), "{text}");
    let (code, _, errors) = run(&[], &["test", "--filter", "no such test"]);
    assert!(code == 1 && errors.contains("no test was run"), "{errors}");
    let (_, line, _) = run(&[], &["test", "--format", "json"]);
    assert_eq!(json(&line)["coverage"]["percent"], 100);
}

#[test]
fn errors_in_a_test_file_are_all_reported_with_their_places() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("faulty.test.yaml");
    let graph = repository().join("graph.yaml");
    let text = std::fs::read_to_string(repository().join("tests/explain/faulty.test.yaml")).expect("the test file");
    std::fs::write(&file, text.replace("GRAPH", &graph.display().to_string())).expect("written");
    let (code, stdout, stderr) = run(&[], &["test", &file.display().to_string()]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    let named = stderr.replace(&format!("{}/", directory.path().display()), "");
    let named = named.replace(&format!("{}/", repository().display()), "");
    insta::assert_snapshot!("a_faulty_test_file", named);
}

#[actix_web::test]
async fn a_changed_rule_is_replayed_over_recorded_decisions() {
    let databases = SampleDatabases::create().await;
    let environment = databases.environment();
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name).display().to_string();
    let config = at("service.yaml");
    std::fs::write(&config, format!("records: {{ to: file, path: {} }}\n", at("decisions.ndjson"))).expect("written");
    for product in ["PROD-001", "PROD-002", "PROD-003"] {
        let input = format!("product_id={product}");
        assert_eq!(run(&environment, &["run", "--config", &config, "--input", &input]).0, 0);
    }
    let records = at("decisions.ndjson");
    let (code, text, _) = run(&[], &["replay", &records]);
    assert_eq!((code, text.as_str()), (0, "3 records replayed: 3 the same, 0 changed, 0 cannot be replayed\n"));

    let change = |rules: &str| rules.replace("> 10000", "> 8000").replace("<= 10000", "<= 8000");
    copy_changed(directory.path(), "rules/purchase_order.grl", change);
    let graph = at("graph.yaml");
    let (code, text, _) = run(&[], &["replay", &records, "--graph", &graph]);
    assert_eq!(code, 5, "{text}");
    assert!(text.contains("purchase_order.approval_status: \"auto_approved\" -> \"pending\""), "{text}");
    assert!(text.contains("3 records replayed: 2 the same, 1 changed, 0 cannot be replayed"), "{text}");
    let (_, document, _) = run(&[], &["replay", &records, "--graph", &graph, "--format", "json"]);
    let document = json(&document);
    assert_eq!(document["changes"][0]["changes"][0]["field"], "purchase_order.approval_status");
    assert_eq!((&document["summary"]["changed"], &document["errors"]), (&Json::from(1), &Json::from(0)));
    let (_, document, _) = run(&[], &["replay", &records, "--graph", &graph, "--summary", "--format", "json"]);
    assert_eq!(
        (&json(&document)["changes"], &json(&document)["summary"]["changed"]),
        (&serde_json::json!([]), &Json::from(1))
    );

    let all = format!("{}garbage\n", std::fs::read_to_string(&records).expect("records"));
    std::fs::write(&records, all).expect("written");
    let (code, _, errors) = run(&[], &["replay", &records]);
    assert!(code == 1 && errors.contains("decisions.ndjson:4: this is not a decision record"), "{errors}");
    let (code, document, errors) = run(&[], &["replay", &records, "--format", "json"]);
    assert_eq!(
        (code, errors.as_str(), json(&document)["diagnostics"][0]["code"].as_str()),
        (1, "", Some("bad-record"))
    );
    let (code, document, errors) = run(&[], &["replay", "nowhere.ndjson", "--format", "json"]);
    assert_eq!((code, errors.as_str(), json(&document)["errors"].as_u64()), (1, "", Some(1)));
    let (code, _, errors) = run(&[], &["replay", "nowhere.ndjson"]);
    assert!(code == 1 && errors.contains("nowhere.ndjson cannot be read"), "{errors}");
}

#[actix_web::test]
async fn a_recorded_decision_is_drawn_over_its_graph() {
    let databases = SampleDatabases::create().await;
    let environment = databases.environment();
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name).display().to_string();
    let config = at("service.yaml");
    std::fs::write(&config, format!("records: {{ to: file, path: {} }}\n", at("decisions.ndjson"))).expect("written");
    for product in ["PROD-001", "NOPE"] {
        run(&environment, &["run", "--config", &config, "--input", &format!("product_id={product}")]);
    }
    let (code, _, errors) = run(&[], &["graph", "-o", &at("why.svg"), "--explain-of", &at("decisions.ndjson")]);
    assert_eq!((code, errors.as_str()), (0, ""));
    let svg = std::fs::read_to_string(at("why.svg")).expect("a picture");
    assert!(svg.contains("6 of 9 rules") && svg.contains(", 1 row<"), "{svg}");
    let (_, text, _) =
        run(&[], &["graph", "--format", "json", "--explain-of", &format!("{}:2", at("decisions.ndjson"))]);
    let picture = json(&text);
    assert_eq!(picture["ending"], "error not_found");
    let state = |id: &str| {
        let boxes = picture["boxes"].as_array().expect("boxes");
        boxes.iter().find(|known| known["id"] == id).expect("the box")["state"].clone()
    };
    assert_eq!((state("oms_history"), state("create_po")), (Json::from("failed"), Json::from("not_run")));
    let (_, text, _) = run(&[], &["graph"]);
    assert!(text.starts_with("flowchart LR"), "{text}");
    for (arguments, told) in [
        (&["graph", "--flow", "selling"][..], "there is no flow `selling`; the flows are: purchasing"),
        (&["graph", "--explain-of", "nowhere.ndjson"][..], "nowhere.ndjson cannot be read"),
        (&["graph", "-o", "/nowhere/flow.svg"][..], "/nowhere/flow.svg cannot be written"),
    ] {
        let (code, _, errors) = run(&[], arguments);
        assert!(code == 1 && errors.contains(told), "{errors}");
    }
}
