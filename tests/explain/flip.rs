//! `POST {path}/flip`: what changes a decision, for callers who may replace facts.

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::support::{Answer, Database, SampleDatabases, Setup, TestApp, copy_shipped, eventually_async};

const TOKEN: &str = "a-token-for-tests";
const STOCK: &str = "inventory_levels.available_qty";
const DEMAND: &str = "oms_history.avg_daily_demand";

async fn ask(app: &TestApp, path: &str, body: &Json) -> Answer {
    TestApp::answer(app.client.post(app.url(path)).bearer_auth(TOKEN).json(body)).await
}

fn search(facts: &Json) -> Json {
    json!({ "input": { "product_id": "PROD-001" }, "facts": facts })
}

/// As JSON writes it: with its digits.
fn text(value: &Json) -> String {
    value.to_string()
}

#[actix_web::test]
async fn a_search_gives_the_values_at_which_the_decision_changes_and_is_no_decision_on_record() {
    let directory = tempfile::tempdir().expect("a directory");
    let records = directory.path().join("decisions.ndjson");
    let config = directory.path().join("service.yaml");
    std::fs::write(&config, format!("records: {{ to: file, path: {} }}\n", records.display())).expect("written");
    let setup = |setup: Setup| Setup { config: Some(config.clone()), ..setup }.set("ADMIN_TOKEN", TOKEN);
    let (_databases, app) = TestApp::shipped_with(setup).await;
    let flip = "/purchasing/flow/flip";

    let answer = ask(&app, flip, &search(&json!([STOCK]))).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(answer.headers.contains_key("decision-id") && answer.headers.contains_key("graph-version"));
    let found = answer.json();
    let above = &found["flips"][0]["above"];
    assert_eq!((text(&above["last"]), text(&above["first"])), ("1049.99".to_owned(), "1050.00".to_owned()));
    assert_eq!((&found["flips"][0]["ending"], &above["ending"]), (&json!("success"), &json!("no_order")));
    assert_eq!(above["decision"]["reason"], "sufficient_stock");
    assert!(found["together"].is_null(), "{found}");
    // The demand was read, the stock never: only the searched fact differs from the decision.
    let scrape = app.get("/metrics").await.text;
    let counted = scrape.lines().find(|line| line.contains("decisions_total") && line.contains("\"success\""));
    assert!(counted.is_some_and(|line| line.ends_with(" 1")), "one decision, whatever was tried: {counted:?}");

    let mut of_field = search(&json!(["supplier_info.unit_price"]));
    of_field["field"] = json!("purchase_order.approval_status");
    let found = ask(&app, flip, &of_field).await.json();
    assert_eq!(text(&found["flips"][0]["above"]["first"]), "18.19", "{found}");
    let mut around = search(&json!([STOCK]));
    around["set"] = json!({ DEMAND: 200 });
    let found = ask(&app, flip, &around).await.json();
    assert_eq!(text(&found["flips"][0]["above"]["first"]), "1400.00", "{found}");

    // The change of several is one: a what-if with it has the other outcome.
    let found = ask(&app, flip, &search(&json!([STOCK, DEMAND]))).await.json();
    assert_eq!(found["flips"].as_array().map(Vec::len), Some(2));
    let change = &found["together"]["change"];
    let set: serde_json::Map<String, Json> = change["facts"]
        .as_array()
        .expect("facts")
        .iter()
        .map(|changed| (changed["fact"].as_str().expect("a name").to_owned(), changed["after"].clone()))
        .collect();
    assert_eq!(set.len(), 2, "{change}");
    let supposed = json!({ "input": { "product_id": "PROD-001" }, "set": set });
    assert_eq!(ask(&app, "/purchasing/flow/what-if", &supposed).await.json(), {
        let mut decision = change["decision"].clone();
        decision["what_if"] = json!(set.keys().collect::<Vec<_>>());
        decision
    });

    let decided = app.purchasing("PROD-001").await;
    let id = decided.headers["decision-id"].to_str().expect("text").to_owned();
    let read = || std::fs::read_to_string(&records).unwrap_or_default();
    eventually_async("the decision is recorded", async || read().contains(&id)).await;
    assert_eq!(read().lines().count(), 1, "{}", read());
}

#[actix_web::test]
async fn what_cannot_be_searched_is_refused_with_its_place_in_the_body() {
    let databases = SampleDatabases::create().await;
    let directory = tempfile::tempdir().expect("a directory");
    let graph = copy_shipped(directory.path());
    let shipped = std::fs::read_to_string(&graph).expect("a graph");
    let shown = "  supplier_info:\n";
    assert!(shipped.contains(shown), "the shipped graph has the node");
    std::fs::write(&graph, shipped.replace(shown, "  supplier_info:\n    redact: [unit_price]\n")).expect("written");
    let setup = Setup { graphs: vec![graph], ..Setup::default() }.on(&databases).set("ADMIN_TOKEN", TOKEN);
    let app = TestApp::start(setup);
    app.wait_for("/readyz", 200).await;
    let path = "/purchasing/flow/flip";
    for (facts, place, says) in [
        (json!([STOCK, "stock.qty"]), "/facts/1", "there is no node `stock`"),
        (json!(["inventory_levels.qty"]), "/facts/0", "it has no value"),
        (json!(["oms_history.trend"]), "/facts/0", "only a number can be searched, and this is text"),
        (json!([STOCK, DEMAND, STOCK]), "/facts/2", "it is named twice"),
        (json!([STOCK, DEMAND, "a.b", "a.c", "a.d"]), "/facts/4", "at most 4 facts"),
        (json!([STOCK, " supplier_info . unit_price"]), "/facts/1", "it is redacted"),
        (json!(["create_po.total_amount"]), "/facts/0", "it is redacted"),
    ] {
        let answer = ask(&app, path, &search(&facts)).await;
        assert_eq!((answer.status, answer.code().as_str()), (422, "invalid_override"), "{facts}: {}", answer.text);
        let error = &answer.json()["errors"][0];
        assert_eq!(error["pointer"], place, "{facts}: {}", answer.text);
        assert!(error["message"].as_str().is_some_and(|message| message.contains(says)), "{says}: {}", answer.text);
        assert!(!answer.text.contains("15.5"), "{}", answer.text);
    }
    let mut unknown_field = search(&json!([STOCK]));
    unknown_field["field"] = json!("purchase_order.approval");
    for (query, body, status, code, says) in [
        ("", search(&json!([])), 400, "malformed_body", "`facts` names the numbers"),
        ("", search(&json!("a.b")), 400, "malformed_body", "`facts` names the numbers"),
        ("", json!({ "facts": [STOCK] }), 422, "invalid_input", "product_id"),
        ("", json!({ "facts": [STOCK], "fact": 1 }), 400, "malformed_body", "no key `fact`"),
        ("", json!({ "facts": [STOCK], "field": 1 }), 400, "malformed_body", "`field`"),
        ("", unknown_field, 422, "invalid_override", "no outcome has this field"),
        ("", json!({ "facts": [STOCK], "input": { "product_id": "NOPE" } }), 404, "not_found", ""),
        ("?explain=true", search(&json!([STOCK])), 400, "bad_query", "?explain=true"),
    ] {
        let answer = ask(&app, &format!("{path}{query}"), &body).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{body}: {}", answer.text);
        assert!(answer.json()["detail"].as_str().is_some_and(|detail| detail.contains(says)), "{}", answer.text);
    }
    let twice = r#"{"input": {"product_id": "PROD-001", "product_id": "PROD-002"}, "facts": ["inventory_levels.available_qty"]}"#;
    let post = app.client.post(app.url(path)).bearer_auth(TOKEN).header("Content-Type", "application/json");
    let answer = TestApp::answer(post.body(twice)).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "malformed_body"), "{}", answer.text);
    assert!(answer.text.contains("`product_id` is given twice"), "{}", answer.text);
    let body = search(&json!([STOCK]));
    assert_eq!(TestApp::answer(app.client.post(app.url(path)).json(&body)).await.code(), "unauthorized");
    assert_eq!(app.get(path).await.code(), "method_not_allowed");
    assert_eq!(app.post("/nowhere/flip", "{}").await.status, 404);
}

const SLOW: &str = "
flow: slow
path: /slow
input: { score: { type: integer } }
nodes:
  wait: { type: DBNode, database: some_db, query: 'SELECT $1::int AS score FROM pg_sleep(0.2)', params: [input.score] }
outcomes:
  - { status: low, when: 'wait.score < 1000000' }
  - { status: high, when: 'wait.score >= 1000000' }
";

#[actix_web::test]
async fn the_deadline_of_a_request_ends_the_search_and_the_answer_says_where() {
    let database = Database::empty().await;
    let directory = tempfile::tempdir().expect("a directory");
    let graph = directory.path().join("slow.yaml");
    std::fs::write(&graph, SLOW).expect("written");
    let setup = Setup { graphs: vec![graph], ..Setup::default() }.domain("some_db", &database.url());
    let app = TestApp::start(setup.set("ADMIN_TOKEN", TOKEN).set("TRIBUTARY_REQUEST_TIMEOUT_MS", "1500"));
    app.wait_for("/readyz", 200).await;
    let began = Instant::now();
    let answer = ask(&app, "/slow/flip", &json!({ "input": { "score": 1 }, "facts": ["input.score"] })).await;
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    let flip = &answer.json()["flips"][0];
    let bound = &flip["below_bound"];
    assert_eq!((answer.status, &flip["below"], &flip["above"]), (200, &Json::Null, &Json::Null), "{}", answer.text);
    assert!(bound["last"].as_i64().is_some_and(|last| last < 1), "some values were tried: {}", answer.text);
    assert!(flip["above_bound"]["why"].as_str().is_some_and(|why| why.contains("is over")), "{}", answer.text);
}

#[actix_web::test]
async fn a_search_leaves_its_thread_to_other_requests() {
    let config = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(config.path(), "http: { workers: 1 }\n").expect("written");
    let setup = |setup: Setup| Setup { config: Some(config.path().to_owned()), ..setup }.set("ADMIN_TOKEN", TOKEN);
    let (_databases, app) = TestApp::shipped_with(setup).await;
    // No fact that alters the outcome: each direction is searched to its end.
    let body = search(&json!(["supplier_info.unit_price", "supplier_info.moq", STOCK, DEMAND]));
    let search = ask(&app, "/purchasing/flow/flip", &body);
    let mut answered = 0;
    let others = async {
        loop {
            assert_eq!(app.get("/livez").await.status, 200);
            answered += 1;
        }
    };
    let answer = tokio::select! {
        answer = search => answer,
        () = others => unreachable!("it never ends"),
    };
    assert_eq!(answer.status, 200, "{}", answer.text);
    let runs = answer.json()["together"]["runs"].as_u64().expect("a number");
    assert!(runs > 100, "a search of some length: {runs}");
    assert!(answered > 10, "{answered} requests were answered during {runs} runs");
}
