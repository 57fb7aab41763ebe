//! What the console's page is served with, and what it reads. How it looks and works is tested in a browser by
//! `scripts/test_console`.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod support;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde_json::{Value as Json, json};
use support::{Answer, DOMAINS, SampleDatabases, Setup, TestApp, eventually_async};

const TOKEN: &str = "planted-admin-token";
/// Longer than anything here should take on a busy machine.
const LONG: Duration = Duration::from_secs(30);

async fn start(setup: Setup) -> (SampleDatabases, TestApp) {
    let databases = SampleDatabases::create().await;
    let app = TestApp::start(setup.on(&databases).set("ADMIN_TOKEN", TOKEN));
    app.wait_for("/readyz", 200).await;
    (databases, app)
}

async fn shipped() -> (SampleDatabases, TestApp) {
    start(Setup::shipped()).await
}

/// A stream of events that is being read.
struct Events {
    body: futures_util::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    read: String,
}

impl Events {
    async fn of(app: &TestApp) -> Self {
        let response = app.client.get(app.url("/events")).send().await.expect("an answer");
        assert_eq!(response.status().as_u16(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        Self { body: response.bytes_stream().boxed(), read: String::new() }
    }

    /// The next event of this name; `None` at the end.
    async fn next(&mut self, name: &str) -> Option<Json> {
        loop {
            while let Some((event, rest)) = self.read.split_once("\n\n") {
                let found = event.lines().any(|line| line == format!("event: {name}"));
                let data = event.lines().find_map(|line| line.strip_prefix("data: ")).map(str::to_owned);
                self.read = rest.to_string();
                if let (true, Some(data)) = (found, data) {
                    return Some(serde_json::from_str(&data).expect("JSON"));
                }
            }
            let piece =
                tokio::time::timeout(Duration::from_secs(20), self.body.next()).await.expect("an event in time")?;
            self.read.push_str(std::str::from_utf8(&piece.expect("the stream goes on")).expect("text"));
        }
    }
}

fn assert_guarded(answer: &Answer) {
    let policy = answer.headers["content-security-policy"].to_str().expect("text");
    for part in ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{part}: {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    assert_eq!(answer.headers["referrer-policy"], "no-referrer");
}

#[actix_web::test]
async fn the_page_is_guarded_and_asked_for_anew_while_its_parts_are_kept_for_ever() {
    let (_databases, app) = shipped().await;
    let page = app.get("/").await;
    assert_eq!((page.status, page.headers["content-type"].to_str().ok()), (200, Some("text/html; charset=utf-8")));
    assert_guarded(&page);
    assert_eq!(page.headers["cache-control"], "no-cache");
    let tag = page.headers["etag"].clone();
    let again = TestApp::answer(app.client.get(app.url("/")).header("If-None-Match", tag)).await;
    assert_eq!((again.status, again.text.as_str()), (304, ""));
    let head = TestApp::answer(app.client.head(app.url("/"))).await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
    assert_guarded(&head);

    let (_, rest) = page.text.split_once("src=\"/console/assets/").expect("a script");
    let version = rest.split('/').next().expect("a version");
    let mut size = page.text.len();
    let parts: Vec<String> = std::fs::read_dir(support::repository().join("src/http/console/page"))
        .expect("the page")
        .map(|file| file.expect("a file").file_name().to_string_lossy().into_owned())
        .filter(|name| name != "index.html")
        .collect();
    for name in &parts {
        let path = format!("/console/assets/{version}/{name}");
        let plain = app.get(&path).await;
        assert_eq!(plain.status, 200, "{name} is not served");
        assert_guarded(&plain);
        assert_eq!(plain.headers["cache-control"], "public, max-age=31536000, immutable");
        let packed =
            app.client.get(app.url(&path)).header("Accept-Encoding", "br, gzip").send().await.expect("an answer");
        assert_eq!(packed.headers()["content-encoding"], "gzip", "{name}");
        size += packed.bytes().await.expect("a body").len();
        let refused = app.client.get(app.url(&path)).header("Accept-Encoding", "gzip;q=0").send().await.expect("one");
        assert!(refused.headers().get("content-encoding").is_none(), "{name} is packed for whoever cannot unpack it");
    }
    assert!(size < 500_000, "the console has {size} bytes");
    assert_eq!(app.get(&format!("/console/assets/{version}/nothing.js")).await.code(), "no_such_path");
    assert_eq!(app.get("/console/assets/0000000000000000/app.js").await.code(), "no_such_path");
}

#[actix_web::test]
async fn events_tell_the_past_and_then_how_each_domain_is() {
    let (_databases, app) = shipped().await;
    let mut events = Events::of(&app).await;
    let hello = events.next("hello").await.expect("a greeting");
    assert_eq!((&hello["admin"], &hello["version"]), (&json!(true), &json!(env!("CARGO_PKG_VERSION"))));
    // Domains are sampled each second, and a decision may be made of queries in two of them: until each was seen at work.
    let (mut idle, until) = (BTreeSet::from(DOMAINS.map(str::to_owned)), Instant::now() + LONG);
    let pulse = loop {
        assert!(Instant::now() < until, "never seen at work: {idle:?}");
        let (answer, pulse) = tokio::join!(app.purchasing("PROD-001"), events.next("pulse"));
        assert_eq!(answer.status, 200, "{}", answer.text);
        let pulse = pulse.expect("a pulse");
        let domains = pulse["domains"].as_array().expect("domains");
        assert_eq!(domains.len(), 4);
        for domain in domains {
            for member in ["state", "since", "restarts", "pool", "in_flight"] {
                assert!(!domain[member].is_null(), "{member} is missing: {domain}");
            }
            let sample = &domain["sample"];
            for member in ["t", "rate", "failed", "in_use", "waiting"] {
                assert!(sample[member].is_number(), "{member} is no number: {domain}");
            }
            let is_at_work = sample["rate"].as_f64() > Some(0.0) && sample["p50_us"].is_u64();
            if domain["state"] == "ready" && is_at_work {
                idle.remove(domain["domain"].as_str().expect("a name"));
            }
        }
        if idle.is_empty() && !pulse["flows"]["purchasing"]["last"].is_null() {
            break pulse;
        }
    };
    // Somebody looked on, so the decision was looked at: without a value of it.
    let last = &pulse["flows"]["purchasing"]["last"];
    assert_eq!((&last["ending"], last["nodes"].as_array().map(Vec::len)), (&json!("success"), Some(7)));
    assert!(!pulse.to_string().contains("PROD-001"), "a value is in the events: {pulse}");
    let hello = Events::of(&app).await.next("hello").await.expect("a greeting");
    assert!(hello["past"]["oms_db"].as_array().is_some_and(|past| !past.is_empty()), "{hello}");
}

#[actix_web::test]
async fn a_restart_shows_in_the_events_at_once() {
    let (_databases, app) = shipped().await;
    let mut events = Events::of(&app).await;
    events.next("pulse").await.expect("a pulse");
    let restart = app.client.post(app.url("/admin/domains/oms_db/restart")).bearer_auth(TOKEN);
    assert_eq!(TestApp::answer(restart).await.status, 200);
    let restarts = |pulse: &Json| {
        let domains = pulse["domains"].as_array().expect("domains");
        domains.iter().find(|domain| domain["domain"] == "oms_db").map(|domain| domain["restarts"].clone())
    };
    let until = Instant::now() + LONG;
    while restarts(&events.next("pulse").await.expect("a pulse")) != Some(json!(1)) {
        assert!(Instant::now() < until, "the restart does not show");
    }
}

#[actix_web::test]
async fn so_many_may_listen_and_the_next_may_when_one_has_gone() {
    let (_databases, app) = shipped().await;
    let mut listeners = Vec::new();
    for _ in 0..32 {
        listeners.push(Events::of(&app).await);
    }
    let refused = app.get("/events").await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "overloaded"));
    assert!(refused.headers.contains_key("retry-after"));
    listeners.pop();
    eventually_async("a seat is free", async || {
        let answer = app.client.get(app.url("/events")).send().await.expect("an answer");
        answer.status().as_u16() == 200
    })
    .await;
}

#[actix_web::test]
async fn a_flow_is_described_with_its_queries_rules_and_outcomes() {
    let (_databases, app) = shipped().await;
    let flow = app.get("/console/flows/purchasing").await.json();
    let node = |id: &str| {
        let nodes = flow["nodes"].as_array().expect("nodes");
        nodes.iter().find(|node| node["id"] == id).cloned().unwrap_or_else(|| panic!("no node {id}"))
    };
    let history = node("oms_history");
    assert_eq!(
        (&history["kind"], &history["domain"], &history["rows"]),
        (&json!("query"), &json!("oms_db"), &json!("one"))
    );
    assert_eq!(history["params"], json!(["input.product_id"]));
    assert!(history["query"].as_str().is_some_and(|query| query.starts_with("SELECT")));
    let rules = node("create_po");
    assert_eq!(rules["sources"][0]["name"].as_str().map(|name| name.ends_with("purchase_order.grl")), Some(true));
    assert_eq!((&rules["rules"][0]["rule"], &rules["rules"][0]["salience"]), (&json!("Total"), &json!(100)));
    assert_eq!(
        flow["outcomes"][0]["when"],
        "rule_engine.need_reorder && rule_engine.supplier_active && create_po.should_create_po"
    );
    assert!(flow["outcomes"][0]["message"].as_str().is_some_and(|text| text.contains("{input.product_id}")));
    let (success, effect) = (&flow["outcomes"][0], &flow["effects"][0]);
    assert_eq!((&success["effect"], &effect["name"]), (&json!("place_order"), &json!("place_order")));
    assert!(success["approval"].is_string() && flow["outcomes"][1]["effect"].is_null(), "{flow}");
    assert_eq!((&effect["domain"], &effect["event"]["type"]), (&json!("oms_db"), &json!("purchase_order.placed")));
    assert_eq!(
        (&effect["statements"][0]["params"][0], &flow["may_write"]),
        (&json!("input.product_id"), &json!(false))
    );
    assert!(effect["statements"][0]["query"].as_str().is_some_and(|query| query.starts_with("INSERT INTO")));
    assert!(flow["last"].is_null(), "nothing was decided yet: {}", flow["last"]);
    assert_eq!(app.get("/console/flows/nothing").await.code(), "no_such_flow");
    // A decision that was explained has been looked at.
    app.post("/purchasing/flow?explain=true", r#"{"product_id":"PROD-001"}"#).await;
    let last = app.get("/console/flows/purchasing").await.json()["last"].clone();
    assert_eq!((&last["ending"], &last["decided"]), (&json!("success"), &json!(true)));
    assert!(last["nodes"][0]["query_us"].is_u64(), "{last}");
}

#[actix_web::test]
async fn a_decision_that_is_explained_is_seen_at_once_and_told_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let graph = directory.path().join("quiet.yaml");
    let text = "flow: quiet\ninput: { n: { type: integer } }\noutcomes: [{ status: done, body: { twice: n * 2 } }]\nnodes: { known: { type: RuleNode, condition: \"n == n\" } }\n";
    std::fs::write(&graph, text).expect("written");
    let shipped = Setup::shipped();
    let graphs = shipped.graphs.iter().cloned().chain([graph]).collect();
    let (_databases, app) = start(Setup { graphs, ..shipped }).await;
    let mut events = Events::of(&app).await;
    // A flow that is decided without a pause takes nobody else's turn, and no explanation waits for one.
    app.post("/purchasing/flow?explain=true", r#"{"product_id":"PROD-001"}"#).await;
    app.post("/flows/quiet?explain=true", r#"{"n":1}"#).await;
    app.post("/purchasing/flow?explain=true", r#"{"product_id":"NONE"}"#).await;
    for (flow, ending) in [("quiet", "done"), ("purchasing", "not_found")] {
        let last = app.get(&format!("/console/flows/{flow}")).await.json()["last"].clone();
        assert_eq!(last["ending"], ending, "{flow}");
    }
    // Timings go along once, and the versions always.
    let mut told = Vec::new();
    for _ in 0..5 {
        let pulse = events.next("pulse").await.expect("a pulse");
        assert!(pulse["flows"]["quiet"]["graph"].is_string(), "{pulse}");
        told.extend(pulse["flows"]["quiet"]["last"]["at"].as_str().map(str::to_owned));
    }
    assert_eq!(told.len(), 1, "{told:?}");
}

#[actix_web::test]
async fn a_decision_becomes_a_flow_test_and_a_supposed_one_asks_for_the_token() {
    let (_databases, app) = shipped().await;
    let path = "/console/flows/purchasing/test";
    let answer = app.post(path, r#"{"input":{"product_id":"PROD-001"}}"#).await;
    assert_eq!(
        (answer.status, answer.headers["content-type"].to_str().ok()),
        (200, Some("application/yaml; charset=utf-8"))
    );
    assert_eq!(answer.headers["content-disposition"], "attachment; filename=\"purchasing.test.yaml\"");
    for part in ["flow: purchasing", "oms_history:", "status: \"success\""] {
        assert!(answer.text.contains(part), "{part}: {}", answer.text);
    }
    let supposed = r#"{"input":{"product_id":"PROD-001"},"set":{"inventory_levels.available_qty":2000}}"#;
    assert_eq!(app.post(path, supposed).await.code(), "unauthorized");
    let request = app.client.post(app.url(path)).bearer_auth(TOKEN).header("Content-Type", "application/json");
    let answer = TestApp::answer(request.body(supposed)).await;
    assert!(answer.text.contains("status: \"no_order\""), "{}", answer.text);
    for (body, code) in [
        ("[]", "malformed_body"),
        (r#"{"input":{}}"#, "invalid_input"),
        (r#"{"input":{"product_id":"PROD-001"},"stray":1}"#, "malformed_body"),
        (r#"{"input":{"product_id":"PROD-001"},"set":{"nothing.there":1}}"#, "invalid_override"),
    ] {
        assert_eq!(app.post(path, body).await.code(), code, "{body}");
    }
    let failing = app.post(path, r#"{"input":{"product_id":"NONE"}}"#).await;
    assert!(failing.text.contains("error: not_found"), "{}", failing.text);
    assert_eq!(app.get(path).await.code(), "method_not_allowed");
}

#[actix_web::test]
async fn a_test_of_a_flow_that_redacts_is_for_admins_and_holds_nothing_that_is_redacted() {
    let directory = tempfile::tempdir().expect("a directory");
    let graph = directory.path().join("graph.yaml");
    let text = r#"
flow: secretive
input: { product_id: { type: text } }
nodes:
  supplier:
    type: DBNode
    database: supplier_db
    query: "SELECT supplier_name FROM suppliers WHERE product_id = $1"
    redact: [supplier_name]
outcomes: [{ status: done, when: "supplier.supplier_name != null" }]
"#;
    std::fs::write(&graph, text).expect("written");
    let (_databases, app) = start(Setup { graphs: vec![graph], ..Setup::default() }).await;
    let path = "/console/flows/secretive/test";
    let body = r#"{"input":{"product_id":"PROD-001"}}"#;
    let refused = app.post(path, body).await;
    assert_eq!(refused.code(), "unauthorized");
    assert!(!refused.text.contains("ABC"), "{}", refused.text);
    let request = app.client.post(app.url(path)).bearer_auth(TOKEN).header("Content-Type", "application/json");
    let recorded = TestApp::answer(request.body(body)).await;
    assert!(recorded.text.contains("(redacted)") && !recorded.text.contains("ABC"), "{}", recorded.text);
}

#[actix_web::test]
async fn a_console_that_is_off_serves_nothing_of_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = directory.path().join("service.yaml");
    std::fs::write(&config, "console: { enabled: false }\n").expect("written");
    let (_databases, app) = start(Setup { config: Some(config), ..Setup::shipped() }).await;
    for path in ["/", "/events", "/console/flows/purchasing", "/console/assets/0/app.js"] {
        let answer = app.get(path).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "no_such_path"), "{path}");
    }
    assert_eq!(app.post("/console/flows/purchasing/test", "{}").await.status, 404);
    assert_eq!(app.purchasing("PROD-001").await.status, 200, "decisions are made all the same");
}

#[actix_web::test]
async fn where_callers_need_tokens_the_console_shows_each_what_it_may_ask() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |file: &str| directory.path().join(file);
    let ((erp, digest), (none, other)) = (tributary::config::new_token(), tributary::config::new_token());
    let tokens = format!(
        "tokens:\n- {{ name: erp, sha256: {digest}, flows: [purchasing], rights: [decide, explain] }}\n- {{ name: other, sha256: {other}, flows: [] }}\n"
    );
    let (graph, config) = (path("rules.yaml"), path("service.yaml"));
    let text = "flow: doubled\ninput: { n: { type: integer } }\noutcomes: [{ status: done, body: { twice: n * 2 } }]\nnodes: { known: { type: RuleNode, condition: \"n == n\" } }\n";
    for (file, text) in
        [("tokens.yaml", tokens.as_str()), ("rules.yaml", text), ("service.yaml", "http: { tokens: tokens.yaml }\n")]
    {
        std::fs::write(path(file), text).expect("written");
    }
    let shipped = Setup::shipped();
    let graphs = shipped.graphs.iter().cloned().chain([graph]).collect();
    let (_databases, app) = start(Setup { graphs, config: Some(config), ..shipped }).await;
    let get = async |path: &str, token: &str| TestApp::answer(app.client.get(app.url(path)).bearer_auth(token)).await;
    assert_eq!(app.get("/").await.status, 200, "the page itself holds nothing");
    for path in ["/events", "/console/flows/purchasing"] {
        assert_eq!(app.get(path).await.code(), "unauthorized", "{path}");
    }
    assert_eq!(get("/console/flows/purchasing", &erp).await.status, 200);
    assert_eq!(get("/console/flows/doubled", &erp).await.code(), "no_such_flow");
    assert_eq!(get("/console/flows/purchasing", &none).await.code(), "no_such_flow");
    let body = r#"{"input":{"product_id":"PROD-001"}}"#;
    assert_eq!(app.post("/console/flows/purchasing/test", body).await.code(), "unauthorized");
    for (token, flows) in [(&erp, json!(["purchasing"])), (&none, json!([]))] {
        let response = app.client.get(app.url("/events")).bearer_auth(token).send().await.expect("an answer");
        let mut events = Events { body: response.bytes_stream().boxed(), read: String::new() };
        let pulse = events.next("pulse").await.expect("a pulse");
        let heard: Vec<&String> = pulse["flows"].as_object().expect("flows").keys().collect();
        assert_eq!(json!(heard), flows);
    }
}
