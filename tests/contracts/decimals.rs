//! A flow whose decimals are strings in JSON: in what it is asked, in every answer, and in its document.

use serde_json::{Value as Json, json};

use crate::answers::TOKEN;
use crate::document::Document;
use crate::support::{Answer, SampleDatabases, Setup, TestApp, connect, copy_shipped};

const FLOW: &str = "/purchasing/flow";

/// The shipped flow with `decimals: string`, and with a decimal among its inputs.
struct Strings {
    app: TestApp,
    document: Document,
    databases: SampleDatabases,
    directory: tempfile::TempDir,
}

impl Strings {
    async fn start() -> Self {
        let databases = SampleDatabases::create().await;
        let directory = tempfile::tempdir().expect("a directory");
        let graph = copy_shipped(directory.path());
        let mut text = std::fs::read_to_string(&graph).expect("a graph");
        for (old, new) in [
            (
                "input:\n",
                "decimals: string\ninput:\n  budget: { type: decimal, minimum: 0, default: 1000.50, example: 70.10 }\n",
            ),
            (
                "query: \"SELECT product_id, avg_daily_demand",
                "params: [input.product_id]\n    query: \"SELECT product_id, avg_daily_demand",
            ),
            (
                "query: \"SELECT product_id, available_qty",
                "params: [input.product_id]\n    query: \"SELECT product_id, available_qty",
            ),
            (
                "query: |-\n      SELECT product_id, supplier_name",
                "params: [input.product_id]\n    query: |-\n      SELECT product_id, supplier_name",
            ),
            (
                "query: \"SELECT product_id, from_uom",
                "params: [input.product_id]\n    query: \"SELECT product_id, from_uom",
            ),
            (
                "      purchase_order:\n",
                "      budget: input.budget\n      left: \"[input.budget - 0.10, 1]\"\n      demand: oms_history\n      purchase_order:\n",
            ),
        ] {
            assert!(text.contains(old), "{old}");
            text = text.replacen(old, new, 1);
        }
        std::fs::write(&graph, text).expect("written");
        let config = directory.path().join("service.yaml");
        let records = directory.path().join("decisions.ndjson");
        std::fs::write(&config, format!("records: {{ to: file, path: {} }}\n", records.display())).expect("written");
        let setup = Setup { graphs: vec![graph], config: Some(config), ..Setup::default() }.on(&databases).writing();
        let app = TestApp::start(setup.set("ADMIN_TOKEN", TOKEN).set("TRIBUTARY_MCP", "true"));
        app.wait_for("/readyz", 200).await;
        let document = Document(app.get("/openapi.json").await.json());
        document.check();
        Self { app, document, databases, directory }
    }

    async fn post(&self, path: &str, key: Option<&str>, body: &Json) -> Answer {
        let request = self.app.client.post(self.app.url(path)).bearer_auth(TOKEN).json(body);
        let request = key.into_iter().fold(request, |request, key| request.header("Idempotency-Key", key));
        let answer = TestApp::answer(request).await;
        let media_type = answer.headers["content-type"].to_str().expect("text");
        let endpoint = path.split('?').next().expect("a path");
        let complaints = self.document.complaints(("post", endpoint), answer.status, media_type, &answer.text);
        assert!(complaints.is_empty(), "{path}: {complaints:#?}\n{}", answer.text);
        answer
    }
}

/// Holds the answer about PROD-001 with a budget of 70.10 to its digits.
fn has_strings(answer: &Json) {
    let order = &answer["purchase_order"];
    assert_eq!((&order["grand_total"], &order["unit_price"]), (&json!("9207.00"), &json!("15.50")), "{answer}");
    assert_eq!((&answer["budget"], &answer["left"]), (&json!("70.10"), &json!(["70.00", "1"])), "{answer}");
    assert_eq!(answer["demand"]["avg_daily_demand"], "150.00", "{answer}");
    assert!(answer["message"].as_str().is_some_and(|message| message.contains("Order 550 pieces")), "{answer}");
}

#[actix_web::test]
async fn every_answer_has_strings_with_the_same_digits() {
    let strings = Strings::start().await;
    let input = json!({ "product_id": "PROD-001", "budget": "70.10" });
    has_strings(&strings.post(FLOW, None, &input).await.json());
    let explained = strings.post(&format!("{FLOW}?explain=true"), None, &input).await;
    has_strings(&explained.json());
    assert!(explained.text.contains(r#""available_qty":500.00"#), "facts are numbers: {}", explained.text);

    let first = strings.post(FLOW, Some("a"), &input).await;
    has_strings(&first.json());
    let again = strings.post(FLOW, Some("a"), &json!({ "budget": "70.10", "product_id": "PROD-001" })).await;
    assert_eq!((&again.text, again.headers["idempotency-replayed"].to_str().ok()), (&first.text, Some("true")));
    assert_eq!(strings.post(FLOW, Some("a"), &json!({ "product_id": "PROD-001" })).await.code(), "key_reused");
    let oms = connect(&strings.databases.url("oms_db")).await;
    let written = "SELECT grand_total::text, (SELECT payload::text FROM tributary_outbox) FROM purchase_orders";
    let row = oms.query_one(written, &[]).await.expect("an order and its event");
    assert_eq!(row.get::<_, &str>(0), "9207.00");
    has_strings(&serde_json::from_str(row.get(1)).expect("JSON"));

    let keyed = json!({ "product_id": "PROD-001", "budget": "70.10", "Idempotency-Key": "a" });
    let batch = strings.post(&format!("{FLOW}/batch"), None, &json!([input, keyed])).await;
    for line in batch.text.lines() {
        let line: Json = serde_json::from_str(line).expect("JSON");
        has_strings(&line);
        let misfits = strings.document.misfits("/components/schemas/purchasing.line", &line);
        assert!(misfits.is_empty(), "{misfits:#?}\n{line}");
    }

    let called = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "purchasing_decide", "arguments": input } });
    let request = strings.app.client.post(strings.app.url("/mcp")).json(&called);
    let called = TestApp::answer(request.header("Accept", "application/json, text/event-stream")).await.json();
    has_strings(&called["result"]["structuredContent"]);

    // A replaced fact is a string or a number.
    for (price, total) in [(json!("31.00"), "18414.00"), (json!(31.00), "18414.00")] {
        let set = json!({ "input": input, "set": { "supplier_info.unit_price": price, "input.budget": "1.10" } });
        let replaced = strings.post(&format!("{FLOW}/what-if"), None, &set).await.json();
        assert_eq!((&replaced["purchase_order"]["grand_total"], &replaced["budget"]), (&json!(total), &json!("1.10")));
    }
}

#[actix_web::test]
async fn an_order_that_waits_is_approved_and_records_are_replayed() {
    let strings = Strings::start().await;
    let pending = strings.post(FLOW, Some("b"), &json!({ "product_id": "PROD-002", "budget": "9.90" })).await;
    assert_eq!((pending.status, &pending.json()["budget"]), (202, &json!("9.90")), "{}", pending.text);
    let id = pending.json()["approval"]["id"].as_str().expect("an id").to_owned();
    let approve = strings.app.client.post(strings.app.url(&format!("/approvals/{id}"))).bearer_auth(TOKEN);
    let approved = TestApp::answer(approve.json(&json!({ "action": "approve" }))).await;
    assert_eq!(approved.status, 200, "{}", approved.text);
    assert_eq!(approved.json()["resolution"]["decision"]["budget"], "9.90", "{}", approved.text);
    strings.app.server.stop(true).await;

    let graph = strings.directory.path().join("graph.yaml");
    let records = strings.directory.path().join("decisions.ndjson");
    assert!(std::fs::read_to_string(&records).expect("records").contains(r#""budget":9.90"#), "records have numbers");
    let replay = || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tributary"));
        let output = command.arg("replay").arg(&records).arg("--graph").arg(&graph).output().expect("it runs");
        String::from_utf8(output.stdout).expect("text")
    };
    assert!(replay().contains("2 records replayed: 2 the same"), "{}", replay());
    // The values are the same where decimals are numbers again.
    let text = std::fs::read_to_string(&graph).expect("a graph").replace("decimals: string\n", "");
    std::fs::write(&graph, text).expect("written");
    assert!(replay().contains("2 records replayed: 2 the same"), "{}", replay());
}

#[actix_web::test]
async fn an_input_is_a_string_as_the_document_says() {
    let strings = Strings::start().await;
    let document = &strings.document.0["components"]["schemas"];
    let decimal = json!({ "type": "string", "format": "decimal", "pattern": r"^-?[0-9]+(\.[0-9]+)?$" });
    let mut nullable = decimal.clone();
    nullable["type"] = json!(["string", "null"]);
    let order = &document["purchasing.outcome.success"]["properties"]["purchase_order"]["properties"];
    assert_eq!((&order["grand_total"], &order["order_qty"]), (&nullable, &nullable));
    let mut budget = decimal;
    budget["$comment"] = json!("at least 0");
    budget["default"] = json!("1000.50");
    budget["examples"] = json!(["70.10"]);
    assert_eq!(document["purchasing.input"]["properties"]["budget"], budget);
    let listed = strings.app.get("/flows").await.json();
    let flow = &listed["flows"][0];
    assert_eq!((&flow["decimals"], &flow["inputs"]["budget"]["default"]), (&json!("string"), &json!("1000.50")));

    let ask =
        async |budget: &Json| strings.post(FLOW, None, &json!({ "product_id": "PROD-001", "budget": budget })).await;
    let schema = "/components/schemas/purchasing.input/properties/budget";
    for (budget, fits) in [
        (json!("70.10"), true),
        (json!("0"), true),
        (json!("00123456789012345678901234567890.10"), true),
        (json!(70.10), false),
        (json!(70), false),
        (json!("7e1"), false),
        (json!("+7"), false),
        (json!(".5"), false),
        (json!("5."), false),
        (json!(""), false),
        (json!("-"), false),
        (json!("seven"), false),
        (json!("٧"), false),
        (json!("7\n"), false),
        (json!(null), false),
        (json!(["7"]), false),
    ] {
        let answer = ask(&budget).await;
        assert_eq!(strings.document.misfits(schema, &budget).is_empty(), fits, "{budget}");
        if fits {
            assert_eq!(answer.status, 200, "{}", answer.text);
            continue;
        }
        let problem = answer.json();
        let message = r#"must be a decimal in a string, such as "9.50""#;
        let expected = json!([{ "pointer": "/budget", "code": "wrong_type", "message": message }]);
        assert_eq!((answer.status, &problem["errors"]), (422, &expected), "{budget}: {problem}");
    }
    assert_eq!(ask(&json!("-0.01")).await.json()["errors"][0]["code"], "too_small");
    assert_eq!(strings.post(FLOW, None, &json!({ "product_id": "PROD-001" })).await.json()["budget"], "1000.50");
}
