//! Nodes that ask a REST interface, over a real one: what it is sent, and what becomes of each of its answers.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod interface;
#[path = "../support/mod.rs"]
mod support;

use interface::{Interface, Seen, json, with_headers, with_status};
use percent_encoding::percent_decode_str;
use serde_json::{Value as Json, json};
use support::{Answer, Setup, TestApp, repository};
use tempfile::TempDir;

const CUSTOMER: &str = r#"{"data":{"customer":{"name":"Ada","since":"2019-05-01","segment":{"code":"B"}}}}"#;
const SCORE: &str = r#"{"score":712,"limit":{"amount":"12345678901234567890.10"}}"#;

/// The flow of the documentation over one interface: the service, and the directory of its files.
async fn credit(interface: &Interface) -> (TestApp, TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let text = std::fs::read_to_string(repository().join("config/README.md")).expect("readable");
    let example = text.split("```yaml\n").find(|block| block.starts_with("flow: credit")).expect("an example");
    let graph = directory.path().join("graph.yaml");
    std::fs::write(&graph, example.split("```").next().expect("an end")).expect("written");
    let setup = Setup { graphs: vec![graph], ..Setup::default() };
    let setup = setup.domain("crm_db", &interface.url("/v1")).domain("bureau_db", &interface.url("/v1/"));
    let app = TestApp::start(setup);
    app.wait_for("/readyz", 200).await;
    support::eventually_async("both domains are up", async || app.get("/readyz").await.json()["status"] == "pass")
        .await;
    (app, directory)
}

async fn decide(app: &TestApp, customer: &str) -> Answer {
    app.post("/flows/credit", json!({ "customer_id": customer, "day": "2026-01-31" }).to_string()).await
}

/// Customers and scores as they should be.
#[expect(clippy::unnecessary_wraps, reason = "other replies are none")]
fn right(seen: &Seen) -> Option<String> {
    Some(json(if seen.target.starts_with("/v1/customers/") { CUSTOMER } else { SCORE }))
}

#[actix_web::test]
async fn facts_are_sent_encoded_and_rows_are_read_with_every_digit() {
    let interface = Interface::start(right);
    let (app, _directory) = credit(&interface).await;
    let customer = "A/b?c#d&e=ü %2e";
    let answer = decide(&app, customer).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(answer.text.contains("\"limit\":12345678901234567890.10"), "{}", answer.text);
    assert_eq!((&answer.json()["status"], &answer.json()["customer"]), (&json!("granted"), &json!("Ada")));

    let seen = interface.seen();
    let [asked, scored] = seen.as_slice() else { panic!("{seen:?}") };
    let (path, query) = asked.target.split_once('?').expect("a query");
    let segments: Vec<_> = path.split('/').map(|part| percent_decode_str(part).decode_utf8().expect("text")).collect();
    assert_eq!(segments, ["", "v1", "customers", customer]);
    assert_eq!(
        (asked.method.as_str(), query, asked.header("accept-language")),
        ("GET", "as_of=2026-01-31", Some("en"))
    );
    assert_eq!((asked.body.as_str(), asked.header("content-type")), ("", None));
    assert_eq!((scored.method.as_str(), scored.target.as_str()), ("POST", "/v1/v2/scores"));
    assert_eq!(scored.header("content-type"), Some("application/json"));
    let body: Json = serde_json::from_str(&scored.body).expect("JSON");
    assert_eq!(
        body,
        json!({ "customer": { "id": customer, "name": "Ada" }, "since": "2019-05-01", "source": "orders" })
    );
}

#[actix_web::test]
async fn a_request_is_shown_where_a_query_is() {
    let interface = Interface::start(right);
    let (app, directory) = credit(&interface).await;
    let flow = app.get("/console/flows/credit").await.json();
    let customer = &flow["nodes"][0];
    assert_eq!((&customer["method"], &customer["coalesce"]), (&json!("GET"), &json!("off")));
    assert_eq!(customer["query"], "GET /customers/{customer_id}?as_of={input.day}\nAccept-Language: en");
    assert_eq!(customer["columns"][1], json!({ "name": "since", "type": "date" }));
    let explained = app.post("/flows/credit?explain=true", r#"{"customer_id":"C","day":"2026-01-31"}"#).await.json();
    let nodes = explained["explain"]["nodes"].as_array().expect("nodes");
    assert_eq!(
        (&nodes[0]["domain"], &nodes[0]["rows"], &nodes[0]["params"][0]),
        (&json!("crm_db"), &json!(1), &json!("C"))
    );
    // Nothing is prepared, and nothing is asked.
    interface.change(|_| None);
    let environment = ["CRM_DB_URL", "BUREAU_DB_URL"].map(|name| (name.to_owned(), interface.url("/v1")));
    let (code, stdout, stderr) = support::run(directory.path(), &environment, &["check", "--db"]);
    assert_eq!((code, stdout.as_str()), (0, "ok: 1 flow, 2 nodes, 2 domains\n"), "{stderr}");
    assert_eq!(interface.seen().len(), 0);
}

#[actix_web::test]
async fn each_status_has_the_documented_meaning() {
    let interface = Interface::start(right);
    let (app, _directory) = credit(&interface).await;
    for (status, code) in [
        (404, "not_found"),
        (301, "request_failed"),
        (307, "request_failed"),
        (400, "request_failed"),
        (410, "request_failed"),
        (500, "request_failed"),
        (408, "timeout"),
        (504, "timeout"),
        (429, "domain_overloaded"),
        (401, "domain_unavailable"),
        (403, "domain_unavailable"),
        (502, "domain_unavailable"),
        (503, "domain_unavailable"),
    ] {
        let elsewhere = interface.url("/v1/elsewhere");
        let headers = format!("Retry-After: 1\r\nLocation: {elsewhere}\r\n");
        interface.change(move |_| Some(with_headers(status, &headers, CUSTOMER)));
        let answer = decide(&app, "C").await;
        let problem = answer.json();
        assert_eq!((problem["code"].as_str(), &problem["node"]), (Some(code), &json!("customer")), "{status}");
        if matches!(status, 429 | 502 | 503) {
            assert_eq!(answer.headers["Retry-After"], "1", "{status}");
            tokio::time::sleep(std::time::Duration::from_millis(1_050)).await;
        }
        assert!(interface.seen().iter().all(|seen| seen.target.starts_with("/v1/customers/")), "{status}");
    }
    // The second request finds no path: a POST that is answered 404 has failed.
    interface.change(|seen| if seen.method == "POST" { Some(with_status(404, "{}")) } else { right(seen) });
    assert_eq!(decide(&app, "C").await.code(), "request_failed");
    interface.change(|seen| if seen.method == "POST" { Some(with_status(503, "{}")) } else { right(seen) });
    let degraded = decide(&app, "C").await.json();
    assert_eq!((&degraded["status"], &degraded["degraded"]), (&json!("refused"), &json!(["score"])));
    interface.change(right);
    assert_eq!(decide(&app, "C").await.status, 200, "the domains serve as before");
}

#[actix_web::test]
async fn a_surprise_names_node_and_place_and_repeats_nothing() {
    let interface = Interface::start(right);
    let (app, _directory) = credit(&interface).await;
    for (body, place) in [
        ("<html>secret</html>", "at / is HTML or XML, not JSON"),
        ("", "at / is empty, not JSON"),
        (r#"{"data":{"customer":{"name":"secret","since":"secret"}}}"#, "at /data/customer/since must be of type date"),
        (r#"{"data":{"customer":{"name":null}}}"#, "at /data/customer/name must not be null"),
        (r#"{"data":{"secret":{}}}"#, "at /data/customer is absent"),
        (r#"{"data":{"customer":{"name":"secret""#, "at / is not JSON: EOF"),
    ] {
        interface.change(move |_| Some(json(body)));
        let answer = decide(&app, "C").await;
        let problem = answer.json();
        assert_eq!(
            (answer.status, &problem["code"], &problem["node"], &problem["domain"]),
            (500, &json!("bad_answer"), &json!("customer"), &json!("crm_db")),
            "{problem}"
        );
        assert!(answer.text.contains(place) && !answer.text.contains("secret"), "{body}: {}", answer.text);
    }
    let two = r#"{"data":{"customer":[{"name":"A","since":"2026-01-31"},{"name":"B","since":"2026-01-31"}]}}"#;
    interface.change(move |_| Some(json(two)));
    assert_eq!(decide(&app, "C").await.code(), "too_many_rows");
    interface.change(|_| Some(with_headers(200, "", CUSTOMER).replace("}}}}", "")));
    assert!(["timeout", "connection_lost"].contains(&decide(&app, "C").await.code().as_str()), "half an answer");
}

#[actix_web::test]
async fn what_its_place_cannot_hold_is_not_sent() {
    let interface = Interface::start(right);
    let (app, _directory) = credit(&interface).await;
    for customer in ["", ".", "..", "../../admin", "a\\..\\b"] {
        let answer = decide(&app, customer).await;
        assert_eq!(answer.code(), "bad_parameter", "{customer}: {}", answer.text);
        assert!(!answer.text.contains("admin"), "{}", answer.text);
    }
    assert_eq!(interface.seen().len(), 0);
}

#[actix_web::test]
async fn a_post_is_asked_once_and_a_get_again_where_an_idle_connection_was_closed() {
    let interface = Interface::start(right);
    let (app, _directory) = credit(&interface).await;
    // Both domains have connections that were used.
    assert_eq!(decide(&app, "C").await.status, 200);
    interface.change(|seen| if seen.method == "POST" { None } else { right(seen) });
    assert_eq!(decide(&app, "C").await.code(), "connection_lost");
    let posts = interface.seen().iter().filter(|seen| seen.method == "POST").count();
    assert_eq!(posts, 1);

    interface.change(right);
    assert_eq!(decide(&app, "C").await.status, 200);
    let is_first = std::sync::atomic::AtomicBool::new(true);
    interface.change(
        move |seen| {
            if is_first.swap(false, std::sync::atomic::Ordering::Relaxed) { None } else { right(seen) }
        },
    );
    let answer = decide(&app, "C").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let gets = interface.seen().iter().filter(|seen| seen.method == "GET").count();
    assert_eq!(gets, 2);
}

#[actix_web::test]
async fn a_recorded_decision_replays_without_the_interface() {
    let interface = Interface::start(right);
    let (app, directory) = credit(&interface).await;
    drop(app);
    std::fs::write(directory.path().join("service.yaml"), "records: { to: file, path: rec.ndjson }\n")
        .expect("written");
    let environment = ["CRM_DB_URL", "BUREAU_DB_URL"].map(|name| (name.to_owned(), interface.url("/v1")));
    let inputs = ["run", "--config", "service.yaml", "--input", "customer_id=C", "--input", "day=2026-01-31"];
    let (code, stdout, stderr) = support::run(directory.path(), &environment, &inputs);
    assert!(code == 0 && stdout.contains("granted"), "{stdout}{stderr}");
    let (code, stdout, stderr) = support::run(directory.path(), &[], &["replay", "rec.ndjson"]);
    assert!(code == 0 && stdout.contains("1 record replayed: 1 the same"), "{stdout}{stderr}");
}
