//! Who may ask, from where, how much at a time, and that what is asked is never taken for SQL.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod support;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use rcgen::{CertificateParams, Issuer, KeyPair};
use serde_json::json;
use support::{Answer, SampleDatabases, Setup, TestApp, eventually_async, repository};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tributary::config::new_token;

const ADMIN: &str = "planted-admin-token";

/// The shipped flow, and one of rules alone, served with this `http:` section beside files that it may name.
struct Served {
    directory: tempfile::TempDir,
    databases: SampleDatabases,
}

impl Served {
    async fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let flow = "flow: doubled\ninput: { n: { type: integer } }\nnodes:\n  known: { type: RuleNode, condition: \"n == n\" }\n\
                    outcomes:\n- { status: done, message: doubled, body: { twice: n * 2 } }\n";
        std::fs::write(directory.path().join("doubled.yaml"), flow).expect("written");
        Self { directory, databases: SampleDatabases::create().await }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.path(file), text).expect("written");
    }

    fn start(&self, http: &str) -> TestApp {
        self.start_with(http, "")
    }

    /// With `more` sections beside that of `http`.
    fn start_with(&self, http: &str, more: &str) -> TestApp {
        self.write("service.yaml", &format!("http:\n  {}\n{more}", http.replace('\n', "\n  ")));
        let setup = Setup {
            graphs: vec![repository().join("graph.yaml"), self.path("doubled.yaml")],
            config: Some(self.path("service.yaml")),
            ..Setup::default()
        };
        self.write("admin", ADMIN);
        let file = self.path("admin");
        TestApp::start(setup.on(&self.databases).set("ADMIN_TOKEN_FILE", file.to_str().expect("text")))
    }

    /// Waits until the service has looked at all its files again: it has when it takes a new admin token, twice, since
    /// with the first it may have been in the middle of its look. `url` is where it is asked.
    async fn is_looked_at(&self, client: &reqwest::Client, url: &str) {
        for token in ["another-admin-token", ADMIN] {
            self.write("admin", token);
            eventually_async("the new admin token is good", || async {
                let request = client.post(format!("{url}/admin/domains/nowhere/restart")).bearer_auth(token);
                TestApp::answer(request).await.status == 404
            })
            .await;
        }
    }
}

/// A file of tokens: name, digest, flows.
fn tokens(entries: &[(&str, &str, &str)]) -> String {
    entries.iter().fold("tokens:\n".to_owned(), |mut text, (name, digest, flows)| {
        writeln!(text, "- {{ name: {name}, sha256: {digest}, flows: {flows} }}").expect("text");
        text
    })
}

async fn post(app: &TestApp, path: &str, token: Option<&str>, body: &str) -> Answer {
    let request = app.client.post(app.url(path)).header("Content-Type", "application/json").body(body.to_owned());
    TestApp::answer(token.map_or_else(
        || request.try_clone().expect("a request"),
        |token| request.try_clone().expect("a request").bearer_auth(token),
    ))
    .await
}

async fn get(app: &TestApp, path: &str, token: &str) -> Answer {
    TestApp::answer(app.client.get(app.url(path)).bearer_auth(token)).await
}

#[actix_web::test]
async fn a_flow_is_asked_with_a_token_for_it_and_tokens_change_without_a_restart() {
    let served = Served::new().await;
    let ((erp, erp_digest), (all, all_digest), (late, late_digest)) = (new_token(), new_token(), new_token());
    let doubled = |token| (token, r#"{"n": 21}"#);
    served.write("tokens.yaml", &tokens(&[("erp", &erp_digest, "[purchasing]"), ("all", &all_digest, "all")]));
    let app = served.start("tokens: tokens.yaml");
    app.wait_for("/readyz", 200).await;
    let product = r#"{"product_id": "PROD-001"}"#;
    for (token, path, body, status, code) in [
        (None, "/purchasing/flow", product, 401, "unauthorized"),
        (Some("wrong"), "/purchasing/flow", product, 401, "unauthorized"),
        (Some(ADMIN), "/purchasing/flow", product, 401, "unauthorized"),
        (Some(late.as_str()), "/purchasing/flow", product, 401, "unauthorized"),
        (Some(erp.as_str()), "/purchasing/flow", product, 200, ""),
        (Some(erp.as_str()), "/flows/doubled", doubled(()).1, 403, "forbidden"),
        (Some(erp.as_str()), "/flows/doubled/batch", "[{\"n\": 1}]", 403, "forbidden"),
        (None, "/purchasing/flow/batch", "[]", 401, "unauthorized"),
        (Some(all.as_str()), "/flows/doubled", doubled(()).1, 200, ""),
        (Some(all.as_str()), "/flows/doubled/batch", "[{\"n\": 1}]", 200, ""),
    ] {
        let answer = post(&app, path, token, body).await;
        assert_eq!(answer.status, status, "{path} {token:?}: {}", answer.text);
        if status >= 400 {
            assert_eq!(answer.code(), code);
            assert_eq!(answer.headers.contains_key("www-authenticate"), status == 401);
        }
    }
    let listed = get(&app, "/flows", &erp).await.json();
    assert_eq!(listed["flows"].as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(get(&app, "/flows/doubled/graph", &erp).await.code(), "no_such_flow");
    assert_eq!(get(&app, "/flows/purchasing/graph", &erp).await.status, 200);
    assert_eq!(app.get("/flows").await.code(), "unauthorized");
    assert_eq!(app.get("/livez").await.status, 200, "probes need no token");

    // A file that is wrong changes nothing; a good one is taken without being asked.
    served.write("tokens.yaml", "tokens: [ { name: erp, sha256: short, flows: all } ]\n");
    served.is_looked_at(&app.client, &app.url("")).await;
    assert_eq!(post(&app, "/purchasing/flow", Some(&erp), product).await.status, 200);
    served.write("tokens.yaml", &tokens(&[("erp", &late_digest, "[purchasing]")]));
    eventually_async("the new token is good", || async {
        post(&app, "/purchasing/flow", Some(&late), product).await.status == 200
    })
    .await;
    assert_eq!(post(&app, "/purchasing/flow", Some(&erp), product).await.code(), "unauthorized");
}

#[actix_web::test]
async fn a_token_without_the_right_to_explain_reads_no_row_and_one_without_what_if_supposes_nothing() {
    let served = Served::new().await;
    let mut tokens = "tokens:\n".to_owned();
    let mut token = |name: &str, rights: &str| {
        let (token, digest) = new_token();
        writeln!(tokens, "- {{ name: {name}, sha256: {digest}, flows: [purchasing]{rights} }}").expect("text");
        token
    };
    let plain = token("plain", "");
    let explains = token("auditor", ", rights: [decide, explain]");
    let supposes = token("planner", ", rights: [decide, what_if]");
    let reads = token("reader", ", rights: [explain, approve]");
    served.write("tokens.yaml", &tokens);
    let app = served.start("tokens: tokens.yaml");
    app.wait_for("/readyz", 200).await;
    let product = r#"{"product_id": "PROD-001"}"#;
    let what_if = r#"{"input": {"product_id": "PROD-001"}, "set": {"inventory_levels.available_qty": 0}}"#;
    let search = r#"{"input": {"product_id": "PROD-001"}, "facts": ["inventory_levels.available_qty"]}"#;
    let (flow, explained, supposed) = ("/purchasing/flow", "/purchasing/flow?explain=true", "/purchasing/flow/what-if");
    let (batch, at) = ("/purchasing/flow/batch?explain=true", "/purchasing/flow?as_of=2026-01-05T10:00:00Z");
    let (test, input) = ("/console/flows/purchasing/test", r#"{"input": {"product_id": "PROD-001"}}"#);
    for (token, path, body, lacks) in [
        (&plain, flow, product, None),
        (&plain, explained, product, Some("explain")),
        (&plain, batch, "[]", Some("explain")),
        (&plain, test, input, Some("explain")),
        (&plain, supposed, what_if, Some("what_if")),
        (&plain, at, product, Some("what_if")),
        (&plain, "/purchasing/flow/batch?as_of=2026-01-05T10:00:00Z", "[]", Some("what_if")),
        (&explains, explained, product, None),
        (&explains, batch, "[]", None),
        (&explains, test, input, None),
        (&explains, supposed, what_if, Some("what_if")),
        (&plain, "/purchasing/flow/flip", search, Some("what_if")),
        (&explains, "/purchasing/flow/flip", search, Some("what_if")),
        (&supposes, "/purchasing/flow/flip", search, None),
        (&supposes, supposed, what_if, None),
        (&supposes, at, product, None),
        (&supposes, "/purchasing/flow/what-if?explain=true", what_if, Some("explain")),
        (&reads, flow, product, Some("decide")),
        (&reads, explained, product, Some("decide")),
    ] {
        let answer = post(&app, path, Some(token), body).await;
        let Some(right) = lacks else {
            assert_eq!(answer.status, 200, "{path}: {}", answer.text);
            continue;
        };
        assert_eq!((answer.status, answer.code().as_str()), (403, "forbidden"), "{path}: {}", answer.text);
        let detail = answer.json()["detail"].as_str().expect("a detail").to_owned();
        assert!(detail.contains(&format!("the right `{right}`")), "{path}: {detail}");
        assert!(answer.json()["explain"].is_null() && !answer.text.contains("rows"), "{}", answer.text);
    }
    // The admin token still supposes, and sees why.
    assert_eq!(post(&app, "/purchasing/flow/what-if?explain=true", Some(ADMIN), what_if).await.status, 200);
    assert_eq!(post(&app, supposed, Some("wrong"), what_if).await.code(), "unauthorized");
    assert_eq!(post(&app, supposed, None, what_if).await.code(), "unauthorized");
    // Timings of the last decision are for those who may explain.
    post(&app, explained, Some(&explains), product).await;
    assert!(get(&app, "/console/flows/purchasing", &explains).await.json()["last"].is_object());
    assert!(get(&app, "/console/flows/purchasing", &plain).await.json()["last"].is_null());
    let document = get(&app, "/openapi.json", &plain).await.json();
    for path in ["/purchasing/flow/what-if", "/purchasing/flow/flip"] {
        let security = &document["paths"][path]["post"]["security"];
        assert_eq!(security, &json!([{ "admin": [] }, { "caller": [] }]), "{path}");
    }
}

#[actix_web::test]
async fn a_decision_has_an_id_and_its_caller_and_clock_on_record_and_replays_the_same() {
    let served = Served::new().await;
    let (planner, digest) = new_token();
    served.write(
        "tokens.yaml",
        &format!("tokens:\n- {{ name: planner, sha256: {digest}, flows: all, rights: [decide, what_if] }}\n"),
    );
    let dated = "flow: dated\nnodes: { n: { type: RuleNode, condition: \"true\" } }\n\
                 outcomes: [ { status: ok, when: n.result, body: { day: \"today()\" } } ]\n";
    served.write("doubled.yaml", dated);
    let records = served.path("decisions.ndjson");
    let app = served.start_with(
        "tokens: tokens.yaml\ncors: { origins: [\"*\"] }",
        &format!("records: {{ to: file, path: {} }}\n", records.display()),
    );
    app.wait_for("/readyz", 200).await;
    let ask = async |query: &str| {
        let request = app.client.post(app.url(&format!("/flows/dated{query}"))).bearer_auth(&planner);
        let request = request.header("Origin", "https://erp.example.com").header("X-Request-Id", "same");
        TestApp::answer(request.header("Content-Type", "application/json").body("{}")).await
    };
    let header = |answer: &Answer, name: &str| answer.headers[name].to_str().expect("text").to_owned();
    let answer = ask("?as_of=2020-02-29T23:30:00%2B14:00").await;
    assert_eq!((answer.status, &answer.json()["day"]), (200, &json!("2020-02-29")), "{}", answer.text);
    let other = ask("").await;
    let (id, other_id) = (header(&answer, "decision-id"), header(&other, "decision-id"));
    assert_ne!(id, other_id, "requests of one name are decisions of their own");
    let exposed = header(&answer, "access-control-expose-headers").to_lowercase();
    for name in ["decision-id", "graph-version", "rules-version"] {
        assert!(exposed.contains(name), "{exposed}");
    }
    for refused in ["yesterday", "2026-02-30T00:00:00Z", "2026-01-05", "2026-01-05T00:00:00+25:00", ""] {
        let refused = ask(&format!("?as_of={refused}")).await;
        assert_eq!((refused.status, refused.code().as_str()), (400, "bad_query"), "{}", refused.text);
        assert!(!refused.headers.contains_key("decision-id"));
    }
    let lines = || std::fs::read_to_string(&records).unwrap_or_default();
    eventually_async("both are on record", || async { lines().lines().count() == 2 }).await;
    let record: serde_json::Value = serde_json::from_str(lines().lines().next().expect("a line")).expect("JSON");
    assert_eq!((&record["id"], &record["caller"]), (&json!(id), &json!("planner")), "{record}");
    assert_eq!(record["at"], "2020-02-29T09:30:00Z");
    for (name, version) in [("graph-version", "graph"), ("rules-version", "rules")] {
        assert_eq!(header(&answer, name), record["versions"][version].as_str().expect("a hash"));
    }
    assert!(!lines().contains(&planner));
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_tributary"))
        .env_clear()
        .args([
            "replay",
            records.to_str().expect("text"),
            "--graph",
            served.path("doubled.yaml").to_str().expect("text"),
        ])
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("2 records replayed: 2 the same"), "{said}");
}

#[actix_web::test]
async fn where_no_tokens_are_asked_for_the_clock_is_set_with_the_admin_token() {
    let served = Served::new().await;
    let app = served.start("max_connections: 100");
    app.wait_for("/readyz", 200).await;
    let path = "/flows/doubled?as_of=2026-01-05T10:00:00Z";
    assert_eq!(post(&app, path, None, r#"{"n": 1}"#).await.code(), "unauthorized");
    assert_eq!(post(&app, path, Some(ADMIN), r#"{"n": 1}"#).await.status, 200);
    assert_eq!(post(&app, "/flows/doubled?explain=true", None, r#"{"n": 1}"#).await.status, 200);
}

#[actix_web::test]
async fn a_byte_order_mark_before_a_body_is_no_part_of_it() {
    let served = Served::new().await;
    let app = served.start("max_connections: 100");
    app.wait_for("/readyz", 200).await;
    assert_eq!(app.post("/flows/doubled", "\u{feff}{\"n\": 21}").await.json()["twice"], 42);
    let array = app.post("/flows/doubled/batch", "\u{feff}[{\"n\": 21}, {\"n\": 4}]").await;
    assert!(array.text.contains("\"twice\":42") && array.text.contains("\"twice\":8"), "{}", array.text);
    let lines = app.client.post(app.url("/flows/doubled/batch")).header("Content-Type", "application/x-ndjson");
    let lines = TestApp::answer(lines.body("\u{feff}{\"n\": 21}\n{\"n\": 4}\n")).await;
    assert!(lines.text.contains("\"twice\":42") && lines.text.contains("\"twice\":8"), "{}", lines.text);
    let what_if = TestApp::answer(
        app.client
            .post(app.url("/flows/doubled/what-if"))
            .bearer_auth(ADMIN)
            .header("Content-Type", "application/json")
            .body("\u{feff}{\"input\": {\"n\": 1}, \"set\": {\"input.n\": 5}}"),
    );
    assert_eq!(what_if.await.json()["twice"], 10);
}

#[actix_web::test]
async fn the_files_that_are_watched_are_those_of_the_configuration_in_service() {
    let served = Served::new().await;
    let ((old, old_digest), (new, new_digest), (newest, newest_digest)) = (new_token(), new_token(), new_token());
    let write = |file: &str, digest: &str| served.write(file, &tokens(&[("erp", digest, "[purchasing]")]));
    let service = |http: &str| served.write("service.yaml", &format!("http: {{ {http} }}\n"));
    write("old.yaml", &old_digest);
    let app = served.start("tokens: old.yaml");
    app.wait_for("/readyz", 200).await;
    let status =
        async |token: Option<&str>| post(&app, "/purchasing/flow", token, r#"{"product_id": "PROD-001"}"#).await.status;
    let reload = async || assert_eq!(post(&app, "/admin/reload", Some(ADMIN), "").await.status, 200);
    assert_eq!(status(Some(&old)).await, 200);

    // The file moves: the old one is not looked at any more, the new one is.
    write("new.yaml", &new_digest);
    service("tokens: new.yaml");
    reload().await;
    write("old.yaml", &old_digest);
    served.is_looked_at(&app.client, &app.url("")).await;
    assert_eq!((status(Some(&old)).await, status(Some(&new)).await), (401, 200));
    write("new.yaml", &newest_digest);
    eventually_async("the newest token is good", || async { status(Some(&newest)).await == 200 }).await;
    assert_eq!(status(Some(&new)).await, 401);

    // No file: the gate stays open, whatever becomes of those that were.
    service("request_timeout_ms: 5000");
    reload().await;
    write("new.yaml", &old_digest);
    served.is_looked_at(&app.client, &app.url("")).await;
    assert_eq!(status(None).await, 200);

    // A file that only a reload brings.
    service("tokens: first.yaml");
    write("first.yaml", &new_digest);
    reload().await;
    assert_eq!((status(None).await, status(Some(&new)).await), (401, 200));
    write("first.yaml", &old_digest);
    eventually_async("the watch follows it", || async { status(Some(&old)).await == 200 }).await;
}

#[actix_web::test]
async fn an_admin_token_is_rotated_without_a_restart_and_a_file_that_is_empty_changes_nothing() {
    let served = Served::new().await;
    let app = served.start("max_connections: 100");
    app.wait_for("/readyz", 200).await;
    let status = async |token: &str| post(&app, "/admin/domains/nowhere/restart", Some(token), "").await.status;
    assert_eq!((status(ADMIN).await, status("rotated").await), (404, 401));
    served.write("admin", "rotated\n");
    eventually_async("the new token is good", || async { status("rotated").await == 404 }).await;
    assert_eq!(status(ADMIN).await, 401, "the old one is not");
    served.write("admin", "");
    assert_eq!(post(&app, "/admin/reload", Some("rotated"), "").await.status, 422, "it says what is wrong");
    assert_eq!(status("rotated").await, 404, "nobody is locked out");
}

#[actix_web::test]
async fn the_admin_endpoints_keep_to_an_address_of_their_own() {
    let served = Served::new().await;
    let app = served.start("admin_bind: 127.0.0.1:0");
    app.wait_for("/readyz", 200).await;
    let admin = app.admin.expect("an address of its own");
    assert_ne!(admin, app.address);
    let what_if = r#"{"input": {"product_id": "PROD-001"}, "set": {"inventory_levels.available_qty": 0}}"#;
    let search = r#"{"input": {"product_id": "PROD-001"}, "facts": ["inventory_levels.available_qty"]}"#;
    for (path, body) in
        [("/admin/reload", ""), ("/purchasing/flow/what-if", what_if), ("/purchasing/flow/flip", search)]
    {
        assert_eq!(post(&app, path, Some(ADMIN), body).await.code(), "no_such_path", "{path}");
        let there = app.client.post(format!("http://{admin}{path}")).header("Content-Type", "application/json");
        let answer = TestApp::answer(there.bearer_auth(ADMIN).body(body)).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    }
    assert_eq!(app.purchasing("PROD-001").await.status, 200);
}

#[actix_web::test]
async fn what_is_too_long_or_too_slow_is_refused_and_said_to_be() {
    let served = Served::new().await;
    let app =
        served.start("url_limit_bytes: 300\nheader_limit_bytes: 600\nhead_timeout_ms: 1500\nrequest_timeout_ms: 2500");
    app.wait_for("/readyz", 200).await;
    assert_eq!(app.get(&format!("/flows?{}", "a".repeat(290))).await.status, 200);
    let long = app.get(&format!("/flows?{}", "a".repeat(300))).await;
    assert_eq!((long.status, long.code().as_str()), (414, "url_too_long"));
    let large = TestApp::answer(app.client.get(app.url("/flows")).header("X-Large", "b".repeat(600))).await;
    assert_eq!((large.status, large.code().as_str()), (431, "headers_too_large"));

    // A body that never ends, and a head that never does.
    let head =
        "POST /purchasing/flow HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: 30\r\n\r\n{";
    let slow = raw(&app, head, "slow_body").await;
    assert!(slow.starts_with("HTTP/1.1 408") && slow.contains("slow_body"), "{slow}");
    let slow = raw(&app, "POST /purchasing/flow HTTP/1.1\r\nHost: he", " 408 ").await;
    assert!(slow.starts_with("HTTP/1.1 408"), "{slow}");
    // A batch of which the next part does not come.
    let head = "POST /flows/doubled/batch HTTP/1.1\r\nHost: here\r\nContent-Type: application/x-ndjson\r\n\
                Content-Length: 3000\r\nConnection: close\r\n\r\n{\"n\": 4}\n{\"n\"";
    let slow = raw(&app, head, "slow_body").await;
    assert!(slow.contains("\"twice\":8") && slow.contains("slow_body"), "{slow}");
}

/// Sends this and reads until the service says `last`, closes the connection, or has said neither for long.
async fn raw(app: &TestApp, text: &str, last: &str) -> String {
    let mut stream = TcpStream::connect(app.address).await.expect("a connection");
    stream.write_all(text.as_bytes()).await.expect("sent");
    let (mut answer, mut part) = (Vec::new(), [0; 4096]);
    while !String::from_utf8_lossy(&answer).contains(last) {
        match tokio::time::timeout(Duration::from_secs(20), stream.read(&mut part)).await {
            Ok(Ok(count)) if count > 0 => answer.extend_from_slice(&part[..count]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[actix_web::test]
async fn pages_of_other_origins_may_ask_only_where_that_is_configured() {
    let served = Served::new().await;
    let origin_of = |answer: &Answer| {
        answer.headers.get("access-control-allow-origin").map(|value| value.to_str().expect("text").to_owned())
    };
    let preflight = |app: &TestApp, origin: &str| {
        let request = app.client.request(reqwest::Method::OPTIONS, app.url("/purchasing/flow"));
        let request = request.header("Origin", origin).header("Access-Control-Request-Method", "POST");
        TestApp::answer(
            request.header("Access-Control-Request-Headers", "content-type, authorization, idempotency-key"),
        )
    };
    let ours = "https://erp.example.com";
    let off = served.start("max_connections: 100");
    assert_eq!(origin_of(&preflight(&off, ours).await), None);
    let on = served.start(&format!("cors: {{ origins: [\"{ours}\"] }}"));
    let allowed = preflight(&on, ours).await;
    assert_eq!((allowed.status, origin_of(&allowed).as_deref()), (200, Some(ours)));
    assert_eq!(origin_of(&preflight(&on, "https://evil.example.com").await), None);
    let answer = TestApp::answer(on.client.get(on.url("/flows")).header("Origin", ours)).await;
    assert_eq!((answer.status, origin_of(&answer).as_deref()), (200, Some(ours)));
    let exposed = answer.headers["access-control-expose-headers"].to_str().expect("text").to_lowercase();
    assert!(["decision-id", "idempotency-replayed"].iter().all(|header| exposed.contains(header)), "{exposed}");
}

/// An authority and a certificate of it for the local machine.
fn certificate() -> (String, String, String) {
    let authority_key = KeyPair::generate().expect("a key");
    let mut authority = CertificateParams::new(Vec::new()).expect("parameters");
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let root = authority.self_signed(&authority_key).expect("a certificate").pem();
    let key = KeyPair::generate().expect("a key");
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).expect("parameters");
    let leaf = leaf.signed_by(&key, &Issuer::from_params(&authority, &authority_key)).expect("a certificate").pem();
    (root, leaf, key.serialize_pem())
}

fn trusting(root: &str) -> reqwest::Client {
    let root = reqwest::Certificate::from_pem(root.as_bytes()).expect("a certificate");
    reqwest::Client::builder().add_root_certificate(root).pool_max_idle_per_host(0).build().expect("a client")
}

#[actix_web::test]
async fn the_listener_speaks_tls_and_takes_a_new_certificate_without_a_restart() {
    let served = Served::new().await;
    let (root, leaf, key) = certificate();
    served.write("server.crt", &leaf);
    served.write("server.key", &key);
    let app = served.start("tls: { certificate: server.crt, key: server.key }");
    let url = format!("https://{}/livez", app.address);
    assert_eq!(trusting(&root).get(&url).send().await.expect("an answer").status(), 200);
    assert!(app.client.get(&url).send().await.is_err(), "the authority is not known");
    assert!(app.client.get(app.url("/livez")).send().await.is_err(), "no plain HTTP");

    let (next_root, next_leaf, next_key) = certificate();
    served.write("server.crt", &next_leaf);
    served.write("server.key", "not a key");
    served.is_looked_at(&trusting(&root), &format!("https://{}", app.address)).await;
    assert!(trusting(&root).get(&url).send().await.is_ok(), "a pair that does not fit changes nothing");
    served.write("server.key", &next_key);
    let next = trusting(&next_root);
    eventually_async("the new certificate is used", || async { next.get(&url).send().await.is_ok() }).await;
}

#[actix_web::test]
async fn what_an_input_holds_is_never_taken_for_sql() {
    let served = Served::new().await;
    let app = served.start("max_connections: 100");
    app.wait_for("/readyz", 200).await;
    let hostile = [
        "' OR '1'='1",
        "'; DROP TABLE inventory; --",
        "PROD-001'; DELETE FROM suppliers; --",
        "\\'; SELECT pg_sleep(5); --",
        "$1; $$DROP TABLE oms_history$$",
        "PROD-001' UNION SELECT 1 --",
        "PROD-001/*",
        "%' LIKE '%",
        "\u{2019}; DROP TABLE inventory",
    ];
    for text in hostile {
        let answer = app.purchasing(text).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{text}: {}", answer.text);
    }
    let batch: Vec<_> = hostile.iter().map(|text| json!({ "product_id": text })).collect();
    let answer = app.post("/purchasing/flow/batch", json!(batch).to_string()).await;
    assert_eq!(answer.text.matches("\"code\":\"not_found\"").count(), hostile.len(), "{}", answer.text);
    // A real product with a hostile name is found by it, alone and among others.
    let name = hostile[1];
    for (database, table) in [
        ("oms_db", "oms_history"),
        ("inventory_db", "inventory"),
        ("supplier_db", "suppliers"),
        ("uom_db", "uom_conversions"),
    ] {
        let escaped = name.replace('\'', "''");
        let sql = format!("UPDATE {table} SET product_id = '{escaped}' WHERE product_id = 'PROD-001'");
        served.databases.database(database).run(&sql).await;
    }
    let asked: Vec<_> = (0..8).map(|_| app.purchasing(name)).collect();
    for answer in futures_util::future::join_all(asked).await {
        assert_eq!(answer.json()["purchase_order"]["product_id"], name, "{}", answer.text);
    }
}
