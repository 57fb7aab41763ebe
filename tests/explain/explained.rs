//! What `?explain=true` says of real decisions.

use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use crate::support::{Setup, TestApp, copy_shipped, repository};

/// The shipped files in `directory`, of which one is changed; gives the graph.
pub fn copy_changed(directory: &Path, file: &str, change: impl Fn(&str) -> String) -> PathBuf {
    let graph = copy_shipped(directory);
    let file = directory.join(file);
    let text = std::fs::read_to_string(&file).expect("a shipped file");
    let changed = change(&text);
    assert_ne!(text, changed);
    std::fs::write(file, changed).expect("written");
    graph
}

async fn explained(app: &TestApp, product: &str) -> Json {
    let body = serde_json::json!({ "product_id": product }).to_string();
    app.post("/purchasing/flow?explain=true", body).await.json()
}

/// An explanation as lines to review: what each node was asked and gave, the rules with their effects or what kept them from
/// firing, the outcomes, and where each field of the answer comes from. Days count from today.
fn summary(explain: &Json) -> String {
    let today: jiff::civil::Date = explain["clock"]["today"].as_str().expect("a day").parse().expect("a date");
    let list = |json: &Json| json.as_array().cloned().unwrap_or_default();
    let joined = |json: &Json| list(json).iter().map(plain).collect::<Vec<_>>().join(", ");
    let mut lines = Vec::new();
    for node in list(&explain["nodes"]) {
        let timings = if node["kind"] == "query" {
            &["start_us", "took_us", "wait_us", "query_us"][..]
        } else {
            &["start_us", "took_us"]
        };
        assert!(timings.iter().all(|timing| node[timing].is_u64()), "{node}");
        let asked = if node["kind"] == "query" {
            format!(" {} ({})", plain(&node["domain"]), joined(&node["params"]))
        } else {
            String::new()
        };
        lines.push(format!("{} {}{asked}: {}", plain(&node["node"]), plain(&node["state"]), node["value"]));
        for rule in list(&node["fired"]) {
            let facts = list(&rule["facts"]);
            let set = facts.iter().map(|fact| {
                format!(
                    "{} {} -> {}",
                    plain(&fact["fact"]),
                    fact.get("before").map_or_else(|| "unset".to_owned(), Json::to_string),
                    fact["after"]
                )
            });
            let effects: Vec<String> = set.chain(list(&rule["log"]).iter().map(plain)).collect();
            lines.push(format!("  + {} ({}): {}", plain(&rule["rule"]), plain(&rule["place"]), effects.join("; ")));
        }
        for rule in list(&node["not_fired"]) {
            lines.push(format!("  - {}, {}: {}", plain(&rule["rule"]), plain(&rule["why"]), joined(&rule["because"])));
        }
    }
    for outcome in list(&explain["outcomes"]) {
        lines.push(format!(
            "{} holds: {} {}",
            plain(&outcome["status"]),
            outcome["holds"],
            joined(&outcome["because"])
        ));
    }
    for (field, from) in explain["lineage"].as_object().expect("lineage") {
        let column = |column: &Json| format!("{}.{}", plain(&column["node"]), plain(&column["column"]));
        let columns: Vec<String> = list(&from["columns"]).iter().map(column).collect();
        let rules: Vec<String> = list(&from["rules"]).iter().map(|rule| plain(&rule["rule"])).collect();
        let inputs = joined(&from["inputs"]);
        lines.push(format!(
            "{field} = {}: [{}] through [{}] [{inputs}]",
            plain(&from["expression"]),
            columns.join(", "),
            rules.join(", ")
        ));
    }
    let text = lines.join("\n").replace(&format!("{}/", repository().display()), "");
    (0..60).fold(text, |text, days| {
        let day = today.saturating_add(jiff::Span::new().days(days));
        text.replace(&day.to_string(), &format!("today + {days} days"))
    })
}

/// A text without quotes, any other value as JSON.
fn plain(json: &Json) -> String {
    json.as_str().map_or_else(|| json.to_string(), str::to_owned)
}

#[actix_web::test]
async fn the_three_products_are_explained() {
    let (_databases, app) = TestApp::shipped().await;
    for product in ["PROD-001", "PROD-002", "PROD-003"] {
        let answer = explained(&app, product).await;
        let plain = app.purchasing(product).await.json();
        let mut without = answer.clone();
        without.as_object_mut().expect("an object").remove("explain");
        assert_eq!(without, plain, "explaining changed the decision");
        for version in ["graph", "rules"] {
            assert_eq!(answer["explain"]["versions"][version].as_str().map(str::len), Some(16), "{version}");
        }
        insta::assert_snapshot!(format!("explained_{product}"), summary(&answer["explain"]));
    }
}

#[actix_web::test]
async fn a_false_comparison_is_explained_with_its_operands_and_the_difference() {
    let (_databases, app) = TestApp::shipped().await;
    let answer = explained(&app, "PROD-001").await;
    let node = answer["explain"]["nodes"].as_array().expect("nodes").iter().find(|node| node["node"] == "create_po");
    let rules = node.expect("the node")["not_fired"].as_array().expect("rules").clone();
    let approval = rules.iter().find(|rule| rule["rule"] == "Needs approval").expect("the rule");
    assert_eq!(approval["because"], serde_json::json!(["total_amount 8525.00 > 10000: short by 1475.00"]));
}

#[actix_web::test]
async fn a_failed_run_is_explained_up_to_its_failure() {
    let (databases, app) = TestApp::shipped().await;
    let inventory = databases.database("inventory_db");
    inventory.run("ALTER TABLE inventory DROP CONSTRAINT inventory_available_qty_check").await;
    inventory.run("UPDATE inventory SET available_qty = -1 WHERE product_id = 'PROD-002'").await;
    let undecided = explained(&app, "PROD-002").await;
    assert_eq!(undecided["code"], "undecided");
    let outcomes = undecided["explain"]["outcomes"].as_array().expect("outcomes");
    assert!(outcomes.iter().all(|outcome| outcome["holds"] == false), "{outcomes:?}");
    // The first outcome is undecided, so that no other one is tried.
    assert_eq!(outcomes.len(), 1, "{outcomes:?}");
    assert_eq!(outcomes[0]["because"][0], "rule_engine.need_reorder has no known value");
    assert_eq!(undecided["outcome"], "success");
    assert_eq!(undecided["missing"][0]["fact"], "rule_engine.shortage");
    let waiting = undecided["waiting"].as_array().expect("rules");
    let stock = serde_json::json!({ "node": "rule_engine", "rule": "Stock is short", "sets": ["need_reorder"] });
    assert!(waiting.contains(&stock), "{waiting:?}");
    let missing = explained(&app, "NOPE").await;
    assert_eq!(missing["code"], "not_found");
    let nodes = missing["explain"]["nodes"].as_array().expect("nodes");
    assert!(nodes.iter().any(|node| node["state"] == "failed" && node["because"][0] == "found 0 rows"), "{nodes:?}");
    let broken = app.post("/purchasing/flow?explain=perhaps", "{}").await;
    assert_eq!((broken.status, broken.code().as_str()), (400, "bad_query"));
    for off in ["", "?explain=false", "?explain=0", "?other=1"] {
        let answer = app.post(&format!("/purchasing/flow{off}"), r#"{"product_id":"PROD-001"}"#).await.json();
        assert!(answer.get("explain").is_none(), "{off}");
    }
}

#[actix_web::test]
async fn redacted_columns_and_facts_made_of_them_are_not_shown() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = copy_changed(directory.path(), "graph.yaml", |graph| {
        graph.replace("    database: supplier_db\n", "    database: supplier_db\n    redact: [unit_price]\n")
    });
    let (_databases, app) = TestApp::shipped_with(|setup| Setup { graphs: vec![path], ..setup }).await;
    let answer = explained(&app, "PROD-002").await;
    // The author chooses the outcome's body. The explanation does not show its redacted values.
    assert_eq!(answer["purchase_order"]["total_cost"].to_string(), "20675.00");
    let mut explain = answer["explain"].clone();
    for node in explain["nodes"].as_array_mut().expect("nodes") {
        for timing in ["start_us", "took_us", "wait_us", "query_us"] {
            node.as_object_mut().expect("a node").remove(timing);
        }
    }
    let text = explain["nodes"].to_string();
    for secret in ["25.0", "20675", "1654", "22329", "10675", "29325"] {
        assert!(!text.contains(secret), "{secret} is shown: {text}");
    }
    assert!(
        text.contains("total_amount (redacted) >= 50000") || text.contains("total_amount \\\"(redacted)\\\""),
        "{text}"
    );
    assert!(text.contains("827"), "what is not redacted is shown: {text}");
}
