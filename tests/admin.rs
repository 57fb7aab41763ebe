//! The running service is changed: domains restarted, files read again; nobody who is not allowed to, nothing by halves.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use support::{Answer, Database, SampleDatabases, Setup, TestApp, copy_shipped, eventually_async};

const TOKEN: &str = "planted-admin-token";

/// The shipped flow from a directory of its own, so that its files can be changed.
struct Copy {
    directory: tempfile::TempDir,
}

impl Copy {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        copy_shipped(directory.path());
        Self { directory }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    fn replace(&self, file: &str, from: &str, to: &str) {
        let path = self.path(file);
        let text = std::fs::read_to_string(&path).expect("the file");
        assert!(text.contains(from), "{file} has no {from}");
        std::fs::write(&path, text.replace(from, to)).expect("written");
    }
}

async fn start(copy: &Copy) -> (SampleDatabases, TestApp) {
    let databases = SampleDatabases::create().await;
    let setup = Setup { graphs: vec![copy.path("graph.yaml")], env_file: Some(copy.path(".env")), ..Setup::default() };
    let setup = databases.environment().into_iter().fold(setup, |setup, (name, value)| setup.set(&name, &value));
    let app = TestApp::start(setup.set("ADMIN_TOKEN", TOKEN));
    app.wait_for("/readyz", 200).await;
    (databases, app)
}

async fn admin(app: &TestApp, path: &str) -> Answer {
    TestApp::answer(app.client.post(app.url(path)).bearer_auth(TOKEN)).await
}

#[actix_web::test]
async fn admin_endpoints_are_off_without_a_token_and_closed_without_the_right_one() {
    let databases = SampleDatabases::create().await;
    let setup = Setup::shipped().on(&databases);
    let off = TestApp::start(setup);
    let answer = admin(&off, "/admin/reload").await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "admin_off"));
    let copy = Copy::new();
    let (_databases, app) = start(&copy).await;
    for header in [None, Some("Bearer wrong"), Some(TOKEN), Some("Basic planted-admin-token"), Some("Bearer ")] {
        let request = app.client.post(app.url("/admin/reload"));
        let request = match header {
            Some(header) => request.header("Authorization", header),
            None => request,
        };
        let answer = TestApp::answer(request).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "unauthorized"), "{header:?}");
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
        assert!(!answer.text.contains(TOKEN));
    }
    assert_eq!(app.get("/admin/reload").await.status, 405);
}

#[actix_web::test]
async fn a_reload_takes_a_new_admin_token_and_none() {
    let (copy, databases) = (Copy::new(), SampleDatabases::create().await);
    let say = |token: &str| std::fs::write(copy.path(".env"), token).expect("written");
    say("ADMIN_TOKEN=leaked\n");
    let setup = Setup { graphs: vec![copy.path("graph.yaml")], env_file: Some(copy.path(".env")), ..Setup::default() };
    let app = TestApp::start(setup.on(&databases));
    app.wait_for("/readyz", 200).await;
    let reload = async |token: &str| {
        let answer = TestApp::answer(app.client.post(app.url("/admin/reload")).bearer_auth(token)).await;
        if answer.status == 200 { "reloaded".to_owned() } else { answer.code() }
    };
    say("ADMIN_TOKEN=next\n");
    assert_eq!(reload("leaked").await, "reloaded");
    assert_eq!((reload("leaked").await, reload("next").await), ("unauthorized".to_owned(), "reloaded".to_owned()));
    say("");
    assert_eq!((reload("next").await, reload("next").await), ("reloaded".to_owned(), "admin_off".to_owned()));
}

#[actix_web::test]
async fn a_reload_serves_the_new_rules_or_changes_nothing() {
    let copy = Copy::new();
    let (_databases, app) = start(&copy).await;
    let before = app.get("/flows").await.json()["flows"][0]["versions"].clone();
    copy.replace("rules/discounts.csv", ">= 50000,0.10", ">= 50000,0.20");
    let reloaded = admin(&app, "/admin/reload").await;
    assert_eq!(reloaded.status, 200, "{}", reloaded.text);
    let order = app.purchasing("PROD-003").await.json()["purchase_order"].clone();
    assert_eq!(order["discount_amount"].to_string(), "34627.50");
    let after = app.get("/flows").await.json()["flows"][0]["versions"].clone();
    assert_eq!(before["graph"], after["graph"]);
    assert_ne!(before["rules"], after["rules"]);

    copy.replace("rules/purchase_order.grl", "discount.rate, 2);", "discount.rate, 2)");
    copy.replace("rules/discounts.csv", "0.20", "20 %");
    copy.replace("graph.yaml", "database: uom_db", "datenbank: uom_db");
    let refused = admin(&app, "/admin/reload").await;
    assert_eq!((refused.status, refused.code().as_str()), (422, "refused"));
    assert!(!refused.json()["diagnostics"]["diagnostics"].as_array().expect("diagnostics").is_empty());
    assert_eq!(app.get("/flows").await.json()["flows"][0]["versions"], after, "nothing was changed");
    assert_eq!(app.purchasing("PROD-001").await.status, 200);
}

#[actix_web::test]
async fn a_reload_brings_new_domains_and_retires_those_that_nothing_names() {
    let copy = Copy::new();
    let (_databases, app) = start(&copy).await;
    let extra = Database::with("CREATE TABLE risk (score int); INSERT INTO risk VALUES (3)").await;
    std::fs::write(copy.path(".env"), format!("RISK_DB_URL=\"{}\"\n", extra.url())).expect("written");
    let graph = "flow: risk\npath: /risk\nnodes:\n  risk: { type: DBNode, database: risk_db, query: 'SELECT score FROM risk' }\noutcomes:\n  - { status: ok, when: 'risk.score > 0', body: { score: risk.score } }\n";
    let purchasing = std::fs::read_to_string(copy.path("graph.yaml")).expect("the graph");
    std::fs::write(copy.path("graph.yaml"), graph).expect("written");
    let reloaded = admin(&app, "/admin/reload").await.json();
    assert_eq!(reloaded["added"].to_string(), r#"["risk_db"]"#);
    assert_eq!(reloaded["removed"].as_array().expect("a list").len(), 4);
    eventually_async("the new flow decides", async || {
        app.post("/risk", "{}").await.text == r#"{"status":"ok","score":3}"#
    })
    .await;
    assert_eq!(app.purchasing("PROD-001").await.code(), "no_such_path");
    assert_eq!(app.get("/health/oms_db").await.status, 404);

    std::fs::write(copy.path("graph.yaml"), purchasing).expect("written");
    assert_eq!(admin(&app, "/admin/reload").await.status, 200);
    eventually_async("the old flow decides again", async || app.purchasing("PROD-001").await.status == 200).await;
}

#[actix_web::test]
async fn restarts_and_reloads_under_load_fail_no_request() {
    let copy = Copy::new();
    let (_databases, app) = start(&copy).await;
    let (stop, asked, failed) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let url = app.url("/purchasing/flow");
    let clients: Vec<_> = (0..20)
        .map(|_| {
            let (client, url, stop, asked, failed) =
                (app.client.clone(), url.clone(), stop.clone(), asked.clone(), failed.clone());
            actix_web::rt::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let request = client
                        .post(&url)
                        .header("Content-Type", "application/json")
                        .body(r#"{"product_id":"PROD-001"}"#);
                    let answer = TestApp::answer(request).await;
                    asked.fetch_add(1, Ordering::Relaxed);
                    if answer.status != 200 || !answer.text.contains("8525.00") {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    for round in 0..3 {
        for domain in support::DOMAINS {
            let answer = admin(&app, &format!("/admin/domains/{domain}/restart")).await;
            assert_eq!(answer.status, 200, "round {round}: {}", answer.text);
        }
        assert_eq!(admin(&app, "/admin/reload").await.status, 200);
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.expect("a client");
    }
    assert!(asked.load(Ordering::Relaxed) > 100, "there was load");
    assert_eq!(failed.load(Ordering::Relaxed), 0, "of {} requests", asked.load(Ordering::Relaxed));
    assert!(app.get("/health/oms_db").await.json()["restarts"].as_u64().is_some());
}

#[actix_web::test]
async fn a_domain_that_cannot_be_replaced_keeps_its_old_actor() {
    let copy = Copy::new();
    let databases = SampleDatabases::create().await;
    let variables: Vec<String> =
        databases.environment().iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
    std::fs::write(copy.path(".env"), variables.join("\n")).expect("written");
    let setup = Setup { graphs: vec![copy.path("graph.yaml")], env_file: Some(copy.path(".env")), ..Setup::default() };
    let app = TestApp::start(setup.set("ADMIN_TOKEN", TOKEN));
    app.wait_for("/readyz", 200).await;
    move_away(&copy.path(".env"));
    for path in ["/admin/domains/oms_db/restart", "/admin/reload"] {
        let answer = admin(&app, path).await;
        assert_eq!((answer.status, answer.code().as_str()), (503, "not_replaced"), "{}", answer.text);
        assert_eq!(answer.json()["domain"], "oms_db");
        assert_eq!(app.purchasing("PROD-001").await.status, 200, "the old actor still serves");
    }
    let unknown = admin(&app, "/admin/domains/omz_db/restart").await;
    assert_eq!((unknown.status, unknown.code().as_str()), (404, "no_such_domain"));
}

/// Points `OMS_DB` to where nobody listens.
fn move_away(env_file: &Path) {
    let text = std::fs::read_to_string(env_file).expect("the file");
    let moved: Vec<String> = text
        .lines()
        .map(|line| {
            if line.starts_with("OMS_DB_URL") {
                "OMS_DB_URL=\"postgres://nobody@127.0.0.1:9/gone\"".to_owned()
            } else {
                line.to_owned()
            }
        })
        .collect();
    std::fs::write(env_file, moved.join("\n")).expect("written");
}
