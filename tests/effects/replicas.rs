//! A primary whose commits its replica must confirm: no answer before that, whatever is interrupted meanwhile.

use serde_json::json;
use tributary::demo::DATABASES;

use crate::fixture::{ask, count, text};
use crate::support::server::PRIMARY;
use crate::support::{SampleDatabases, Server, Setup, TestApp, eventually_async, fill, require_replica};

/// The sessions whose COMMIT waits for the replica.
const WAITING: &str = "pg_stat_activity WHERE wait_event = 'SyncRep'";
const SETTINGS: &str = "http: { request_timeout_ms: 1500 }\n";

#[actix_web::test]
async fn no_answer_is_given_before_the_replica_has_it() {
    let primary = Server::disposable(&PRIMARY).expect("a server");
    fill(&primary, &DATABASES[..1]).await;
    let (url, others) = (primary.url("oms_db"), SampleDatabases::create().await);
    let files = tempfile::tempdir().expect("a directory");
    let config = files.path().join("service.yaml");
    std::fs::write(&config, SETTINGS).expect("written");
    let setup = Setup { config: Some(config), ..Setup::shipped() };
    let app = TestApp::start(setup.on(&others).domain("oms_db", &url).writing());
    app.wait_for("/readyz", 200).await;
    let body = json!({ "product_id": "PROD-001" });
    let order = async || ask(&app, "/purchasing/flow", &body, "k").await;

    // The application reads without a commit, so it is not affected by a replica that is absent.
    require_replica(&url, "absent").await;
    let unknown = order().await;
    assert_eq!((unknown.status, unknown.code().as_str()), (503, "effect_unknown"), "{}", unknown.text);
    // What waits is not interrupted: it would be committed without the replica.
    assert_eq!((count(&url, WAITING).await, count(&url, "tributary_keys").await), (1, 0));
    let taken = order().await;
    assert!(matches!(taken.status, 409 | 503 | 504), "{} {}", taken.status, taken.text);
    assert_eq!(count(&url, "tributary_keys").await, 0);

    // Somebody else interrupts it.
    let end = "SELECT count(pg_terminate_backend(pid))::text FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    assert_eq!(text(&url, end).await, "1");
    eventually_async("it is committed", async || count(&url, "tributary_keys").await == 1).await;
    let unconfirmed = order().await;
    assert!(matches!(unconfirmed.status, 503 | 504), "{} {}", unconfirmed.status, unconfirmed.text);

    require_replica(&url, "").await;
    let confirmed = order().await;
    assert_eq!(confirmed.status, 200, "{}", confirmed.text);
    assert_eq!(confirmed.headers.get("idempotency-replayed").map(|value| value.as_bytes()), Some(&b"true"[..]));
    assert_eq!(count(&url, "purchase_orders").await, 1);
    eventually_async("nothing waits", async || count(&url, WAITING).await == 0).await;
}
