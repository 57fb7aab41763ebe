//! What the tools of the shipped flow give: the same as its endpoints.

use serde_json::{Value as Json, json};

use crate::support::server::Port;
use crate::support::{SampleDatabases, Setup, TestApp, copy_shipped, eventually_async};
use crate::{ADMIN, call, names, request, result, send};

/// With the endpoint, and an admin token.
fn open(setup: Setup) -> Setup {
    setup.set("TRIBUTARY_MCP", "true").set("ADMIN_TOKEN", ADMIN)
}

/// A call whose key could be either of two.
const TWO_KEYS: &str = r#"{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "purchasing_decide",
    "arguments": {"product_id": "PROD-001", "Idempotency-Key": "a", "Idempotency-Key": "b"}}}"#;

/// Holds a result to the schema that the list of tools has for it. A text says the same to clients that read only text.
fn holds(listed: &Json, tool: &str, result: &Json) {
    let tools = listed["tools"].as_array().expect("tools");
    let described = tools.iter().find(|each| each["name"] == tool).expect("a tool that is listed");
    let schema = jsonschema::validator_for(&described["outputSchema"]).expect("a schema");
    let given = &result["structuredContent"];
    let wrong: Vec<String> = schema.iter_errors(given).map(|error| error.to_string()).collect();
    assert!(wrong.is_empty(), "{tool}: {wrong:?}: {given}");
    let text = result["content"][0]["text"].as_str().expect("a text");
    if let Some(explanation) = given.get("explain") {
        // In its place there are lines, which are shorter.
        let (decision, lines) = text.split_once("\n\n").expect("two parts");
        let mut without = given.clone();
        without.as_object_mut().expect("an object").shift_remove("explain");
        assert_eq!(serde_json::from_str::<Json>(decision).expect("JSON"), without);
        for part in ["rules of discount", "where the answer comes from"] {
            assert!(lines.contains(part), "{lines}");
        }
        assert!(text.len() * 3 < explanation.to_string().len(), "{} of {}", text.len(), explanation.to_string().len());
    } else {
        assert_eq!(&serde_json::from_str::<Json>(text).expect("JSON"), given);
    }
}

#[actix_web::test]
async fn the_tools_of_a_flow_give_what_its_endpoints_give() {
    let directory = tempfile::tempdir().expect("a directory");
    let records = directory.path().join("decisions.ndjson");
    let config = directory.path().join("service.yaml");
    std::fs::write(&config, format!("records: {{ to: file, path: {} }}\n", records.display())).expect("written");
    let (_databases, app) = TestApp::shipped_with(|setup| open(Setup { config: Some(config.clone()), ..setup })).await;
    let told = result(
        &app,
        None,
        "initialize",
        json!({
            "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "test", "version": "1" }
        }),
    );
    let told = told.await;
    assert_eq!((&told["protocolVersion"], &told["serverInfo"]["name"]), (&json!("2025-06-18"), &json!("tributary")));
    let listed = result(&app, Some(ADMIN), "tools/list", json!({})).await;
    insta::assert_snapshot!(serde_json::to_string_pretty(&listed["tools"][3]).expect("text"));
    for tool in listed["tools"].as_array().expect("tools") {
        assert_eq!(tool["annotations"]["readOnlyHint"], tool["name"] != "purchasing_decide");
        assert!(!tool["outputSchema"].to_string().contains("\"$ref\""), "a schema is complete in itself");
        jsonschema::validator_for(&tool["inputSchema"]).expect("a schema");
    }

    let input = json!({ "product_id": "PROD-001" });
    let answer =
        send(&app, None, &request("tools/call", &json!({ "name": "purchasing_decide", "arguments": input }))).await;
    let decided = answer.json()["result"].clone();
    let endpoint = app.purchasing("PROD-001").await;
    assert_eq!(decided["structuredContent"], endpoint.json());
    assert!(answer.text.contains(r#""unit_price":15.50"#), "numbers keep their digits: {}", answer.text);
    assert_eq!(decided["isError"], false);
    holds(&listed, "purchasing_decide", &decided);
    for (meta, header) in
        [("decision_id", "decision-id"), ("graph_version", "graph-version"), ("rules_version", "rules-version")]
    {
        assert_eq!(decided["_meta"][meta], answer.headers[header].to_str().expect("text"));
    }
    let id = decided["_meta"]["decision_id"].as_str().expect("an id").to_owned();
    eventually_async("the decision is recorded", async || {
        std::fs::read_to_string(&records).is_ok_and(|text| text.contains(&id))
    })
    .await;

    let explained = call(&app, None, "purchasing_explain", input.clone()).await;
    holds(&listed, "purchasing_explain", &explained);
    assert_eq!(explained["structuredContent"]["explain"]["nodes"][0]["node"], "oms_history");

    let supposed = json!({ "input": input, "set": { "inventory_levels.available_qty": 2000 } });
    let what_if = call(&app, Some(ADMIN), "purchasing_what_if", supposed.clone()).await;
    holds(&listed, "purchasing_what_if", &what_if);
    let endpoint = app.client.post(app.url("/purchasing/flow/what-if")).bearer_auth(ADMIN).json(&supposed);
    assert_eq!(what_if["structuredContent"], TestApp::answer(endpoint).await.json());

    let search = |more: Json| {
        let mut arguments = json!({ "input": input, "facts": ["inventory_levels.available_qty"] });
        arguments.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        call(&app, Some(ADMIN), "purchasing_flip", arguments)
    };
    let flip = search(json!({})).await;
    holds(&listed, "purchasing_flip", &flip);
    let above = &flip["structuredContent"]["flips"][0]["above"];
    let text = |value: &Json| value.to_string();
    assert_eq!((text(&above["last"]), text(&above["first"])), ("1049.99".to_owned(), "1050.00".to_owned()));
    assert_eq!(above["ending"], "no_order");
    let flip = search(json!({ "field": "purchase_order.approval_status" })).await;
    assert_eq!(
        flip["structuredContent"]["flips"][0]["ending"],
        r#"success: purchase_order.approval_status "auto_approved""#
    );
    // Around another state of affairs.
    let flip = search(json!({ "set": { "oms_history.avg_daily_demand": 200 } })).await;
    assert_eq!(text(&flip["structuredContent"]["flips"][0]["above"]["first"]), "1400.00", "{flip}");
    // Several facts, as the endpoint has it.
    let several = json!({ "facts": ["inventory_levels.available_qty", "oms_history.avg_daily_demand"] });
    let flip = search(several.clone()).await;
    holds(&listed, "purchasing_flip", &flip);
    let together = json!({ "input": input, "facts": several["facts"] });
    let endpoint = app.client.post(app.url("/purchasing/flow/flip")).bearer_auth(ADMIN).json(&together);
    assert_eq!(flip["structuredContent"], TestApp::answer(endpoint).await.json());
    assert_eq!(flip["structuredContent"]["together"]["change"]["ending"], "no_order");
}

#[actix_web::test]
async fn what_is_wrong_with_a_call_is_an_error_that_says_where() {
    let (_databases, app) = TestApp::shipped_with(open).await;
    let listed = result(&app, Some(ADMIN), "tools/list", json!({})).await;
    let product = json!({ "product_id": "PROD-001" });
    for (tool, arguments, code, says) in [
        ("purchasing_decide", json!({}), "invalid_input", "/product_id: is required"),
        ("purchasing_decide", json!({ "product_id": 7 }), "invalid_input", "/product_id: "),
        (
            "purchasing_decide",
            json!({ "product_id": "PROD-001", "set": {} }),
            "invalid_input",
            "the inputs are: product_id",
        ),
        ("purchasing_decide", json!({ "product_id": "NO-SUCH" }), "not_found", ""),
        ("purchasing_what_if", json!({ "input": product }), "malformed_body", "`set` names at least one fact"),
        (
            "purchasing_what_if",
            json!({ "input": product, "set": { "stock.qty": 1 } }),
            "invalid_override",
            "`stock.qty`",
        ),
        ("purchasing_flip", json!({ "input": product }), "malformed_body", "`facts` names the numbers"),
        ("purchasing_flip", json!({ "input": product, "facts": [7] }), "malformed_body", "`facts` names the numbers"),
        ("purchasing_flip", json!({ "input": product, "facts": ["stock.qty"] }), "invalid_override", "`stock.qty`"),
        (
            "purchasing_flip",
            json!({ "input": product, "facts": ["oms_history.trend"] }),
            "invalid_override",
            "only a number",
        ),
        (
            "purchasing_flip",
            json!({ "input": { "product_id": "NO-SUCH" }, "facts": ["oms_history.avg_daily_demand"] }),
            "not_found",
            "",
        ),
    ] {
        let refused = call(&app, Some(ADMIN), tool, arguments).await;
        let problem = &refused["structuredContent"];
        assert_eq!((&refused["isError"], &problem["code"]), (&json!(true), &json!(code)), "{tool}: {refused}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(says)), "{says}: {problem}");
        assert!(problem["request_id"].is_string(), "{problem}");
        holds(&listed, tool, &refused);
    }
    let unknown =
        send(&app, None, &request("tools/call", &json!({ "name": "purchase", "arguments": {} }))).await.json();
    assert_eq!(unknown["error"]["code"], -32602);
    let tools = "there is no tool `purchase`; the tools are: purchasing_decide, purchasing_explain";
    assert_eq!(unknown["error"]["message"], tools);

    // What is no message, and who may not send one.
    let accepts = |request: reqwest::RequestBuilder| request.header("Accept", "application/json, text/event-stream");
    let list = request("tools/list", &json!({}));
    let post = || accepts(app.client.post(app.url("/mcp")));
    for (sent, status, says) in [
        (post().header("Content-Type", "application/json").body("{"), 400, "malformed_body"),
        (post().json(&json!({ "method": "tools/list" })), 400, "malformed_body"),
        (post().header("Content-Type", "application/json").body(TWO_KEYS), 400, "malformed_body"),
        (post().json(&json!([list])), 400, "malformed_body"),
        (post().header("Content-Type", "text/plain").body("{}"), 415, "wrong_media_type"),
        (post().json(&json!({ "long": "x".repeat(300_000) })), 413, "body_too_large"),
        (post().header("Origin", "https://elsewhere.example").json(&list), 403, "http.cors"),
        (app.client.post(app.url("/mcp")).json(&list), 406, "text/event-stream"),
        (app.client.get(app.url("/mcp")).header("Accept", "application/json"), 406, "text/event-stream"),
        (accepts(app.client.get(app.url("/mcp"))).header("Origin", "https://elsewhere.example"), 403, "http.cors"),
        (app.client.delete(app.url("/mcp")), 405, "method_not_allowed"),
        (post().header("MCP-Protocol-Version", "1999-01-01").json(&list), 400, "1999-01-01"),
    ] {
        let answer = TestApp::answer(sent).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        assert!(answer.text.contains(says), "{says}: {}", answer.text);
    }
    let heard = send(&app, None, &json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
    assert_eq!((heard.status, heard.text.as_str()), (202, ""));
}

#[actix_web::test]
async fn an_outage_is_an_error_and_never_a_decision() {
    let databases = SampleDatabases::create().await;
    let nobody = format!("postgres://tributary@127.0.0.1:{}/none", Port::any().number());
    let app = TestApp::start(open(Setup::shipped().on(&databases).domain("inventory_db", &nobody)));
    app.wait_for("/livez", 200).await;
    let input = json!({ "product_id": "PROD-001" });
    for (tool, arguments) in [
        ("purchasing_decide", input.clone()),
        ("purchasing_explain", input.clone()),
        ("purchasing_what_if", json!({ "input": input, "set": { "oms_history.avg_daily_demand": 1 } })),
        ("purchasing_flip", json!({ "input": input, "facts": ["oms_history.avg_daily_demand"] })),
    ] {
        let refused = call(&app, Some(ADMIN), tool, arguments).await;
        let problem = &refused["structuredContent"];
        assert_eq!(refused["isError"], true, "{tool}: {refused}");
        assert_eq!((&problem["domain"], &problem["retryable"]), (&json!("inventory_db"), &json!(true)), "{refused}");
        assert!(problem["status"].as_u64().is_some_and(|status| status >= 500), "{refused}");
    }
}

#[actix_web::test]
async fn the_endpoint_is_off_unless_it_is_switched_on() {
    let (_databases, app) = TestApp::shipped().await;
    assert_eq!(send(&app, None, &request("tools/list", &json!({}))).await.code(), "no_such_path");
}

#[actix_web::test]
async fn the_tools_are_those_of_the_current_release() {
    let databases = SampleDatabases::create().await;
    let directory = tempfile::tempdir().expect("a directory");
    let graph = copy_shipped(directory.path());
    let setup = Setup { graphs: vec![directory.path().join("flows")], ..Setup::default() };
    let flows = directory.path().join("flows");
    std::fs::create_dir(&flows).expect("a directory");
    let doubled = "flow: doubled\ninput: { n: { type: integer } }\nnodes:\n  known: { type: RuleNode, condition: \"n == n\" }\n\
                   outcomes:\n- { status: done, body: { twice: n * 2 } }\n";
    std::fs::write(flows.join("doubled.yaml"), doubled).expect("written");
    let app = TestApp::start(open(setup.on(&databases)));
    app.wait_for("/readyz", 200).await;
    assert_eq!(names(&app, None).await, ["doubled_decide", "doubled_explain"]);
    let stream = |request: reqwest::RequestBuilder| request.header("Accept", "application/json, text/event-stream");
    let mut events = stream(app.client.get(app.url("/mcp"))).send().await.expect("a stream");
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" }
    });
    let listen = json!({ "notifications": { "toolsListChanged": true }, "_meta": meta });
    let listen = app.client.post(app.url("/mcp")).json(&request("subscriptions/listen", &listen));
    let listen = listen.header("MCP-Protocol-Version", "2026-07-28").header("Mcp-Method", "subscriptions/listen");
    let mut subscription = stream(listen).send().await.expect("a stream");
    let acknowledged = next_event(&mut subscription).await;
    assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
    let reload = async || {
        let reload = app.client.post(app.url("/admin/reload")).bearer_auth(ADMIN);
        let reloaded = TestApp::answer(reload).await;
        assert_eq!(reloaded.status, 200, "{}", reloaded.text);
    };
    // This one changes no tool, so that the first event is that of the second.
    reload().await;
    let text = std::fs::read_to_string(&graph).expect("a graph").replace("rules/", "../rules/");
    std::fs::write(flows.join("purchasing.yaml"), text).expect("written");
    reload().await;
    for stream in [&mut events, &mut subscription] {
        assert_eq!(next_event(stream).await["method"], "notifications/tools/list_changed");
    }
    let all = ["doubled_decide", "doubled_explain", "purchasing_decide", "purchasing_explain"];
    assert_eq!(names(&app, None).await, all);
    assert_eq!(call(&app, None, "doubled_decide", json!({ "n": 21 })).await["structuredContent"]["twice"], 42);
}

/// The message of the next event.
async fn next_event(stream: &mut reqwest::Response) -> Json {
    let mut text = String::new();
    loop {
        let part = stream.chunk().await.expect("it goes on").expect("an event");
        text.push_str(std::str::from_utf8(&part).expect("text"));
        let mut data = text.split("\n\n").filter_map(|event| event.lines().find_map(|line| line.strip_prefix("data:")));
        if let Some(message) = data.find_map(|data| serde_json::from_str(data.trim()).ok()) {
            return message;
        }
    }
}

#[actix_web::test]
async fn a_decision_with_a_key_is_written_once_as_over_http() {
    let (databases, app) = TestApp::shipped_with(|setup| open(setup.writing())).await;
    let listed = result(&app, Some(ADMIN), "tools/list", json!({})).await;
    let orders = async || {
        let oms = crate::support::connect(&databases.url("oms_db")).await;
        oms.query_one("SELECT count(*) FROM purchase_orders", &[]).await.expect("a count").get::<_, i64>(0)
    };
    let decide = async |product: &str, key: Json| {
        let given =
            call(&app, None, "purchasing_decide", json!({ "product_id": product, "Idempotency-Key": key })).await;
        holds(&listed, "purchasing_decide", &given);
        given
    };
    let first = decide("PROD-001", json!("k-1")).await;
    assert_eq!(first["structuredContent"]["purchase_order"]["po_number"], "PO-000001", "{first}");
    let again = decide("PROD-001", json!("k-1")).await;
    assert_eq!(again["structuredContent"], first["structuredContent"]);
    let replayed = json!({ "decision_id": first["_meta"]["decision_id"], "idempotency_replayed": true });
    assert_eq!((&again["_meta"], orders().await), (&replayed, 1));
    // The endpoint of the flow knows the key, and so does a tool what was written there.
    let endpoint = app.client.post(app.url("/purchasing/flow")).json(&json!({ "product_id": "PROD-001" }));
    let endpoint = TestApp::answer(endpoint.header("Idempotency-Key", "k-1")).await;
    assert_eq!((&endpoint.json(), orders().await), (&first["structuredContent"], 1));
    let pending = decide("PROD-002", json!("k-2")).await;
    assert_eq!(pending["structuredContent"]["approval"]["state"], "pending", "{pending}");
    let nothing = call(&app, None, "purchasing_decide", json!({ "product_id": "PROD-001" })).await;
    assert!(nothing["structuredContent"]["purchase_order"].get("po_number").is_none(), "{nothing}");
    for (product, key, code) in [
        ("PROD-002", json!("k-1"), "key_reused"),
        ("NOPE", json!("k-3"), "not_found"),
        ("NOPE", json!("k-3"), "not_found"),
        ("PROD-001", json!(""), "bad_key"),
        ("PROD-001", json!(7), "bad_key"),
        ("PROD-001", json!("k".repeat(256)), "bad_key"),
    ] {
        let refused = decide(product, key).await;
        assert_eq!((&refused["isError"], &refused["structuredContent"]["code"]), (&json!(true), &json!(code)));
    }
    let explained = json!({ "product_id": "PROD-001", "Idempotency-Key": "k-4" });
    let explained = call(&app, None, "purchasing_explain", explained).await;
    assert_eq!((&explained["structuredContent"]["code"], orders().await), (&json!("invalid_input"), 1));
}

#[actix_web::test]
async fn a_redacted_fact_is_not_searched() {
    let databases = SampleDatabases::create().await;
    let directory = tempfile::tempdir().expect("a directory");
    let graph = copy_shipped(directory.path());
    let text = std::fs::read_to_string(&graph).expect("a graph");
    let shown = "  supplier_info:\n";
    assert!(text.contains(shown), "the shipped graph has the node");
    std::fs::write(&graph, text.replace(shown, "  supplier_info:\n    redact: [unit_price]\n")).expect("written");
    let app = TestApp::start(open(Setup { graphs: vec![graph], ..Setup::default() }.on(&databases)));
    app.wait_for("/readyz", 200).await;
    for fact in ["supplier_info.unit_price", " supplier_info . unit_price", "create_po.total_amount"] {
        let arguments = json!({ "input": { "product_id": "PROD-001" }, "facts": [fact] });
        let refused = call(&app, Some(ADMIN), "purchasing_flip", arguments).await;
        let detail = refused["structuredContent"]["detail"].as_str().unwrap_or_default().to_owned();
        assert!(detail.contains("redacted"), "{fact}: {refused}");
        assert!(!refused.to_string().contains("15.5"), "{refused}");
    }
}
