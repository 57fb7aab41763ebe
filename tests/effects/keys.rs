//! Keys: the same key has the same answer, and one effect.

use serde_json::json;

use crate::fixture::{Purchasing, ask, text};
use crate::support::{Setup, TestApp, eventually_async};

fn header<'a>(answer: &'a crate::support::Answer, name: &str) -> Option<&'a str> {
    answer.headers.get(name).map(|value| value.to_str().expect("text"))
}

#[actix_web::test]
async fn the_same_key_has_the_same_bytes_and_one_order() {
    let flow = Purchasing::start().await;
    let first = flow.order("PROD-001", "k-1").await;
    assert_eq!(first.status, 200, "{}", first.text);
    let order = first.json()["purchase_order"]["po_number"].clone();
    assert!(order.is_string(), "{}", first.text);
    assert_eq!(header(&first, "idempotency-replayed"), None);
    for _ in 0..3 {
        let again = flow.order("PROD-001", "k-1").await;
        assert_eq!((again.status, &again.text), (200, &first.text));
        assert_eq!(header(&again, "idempotency-replayed"), Some("true"));
        assert_eq!(header(&again, "decision-id"), header(&first, "decision-id"));
    }
    // The quotes of the draft are not part of the key.
    assert_eq!(flow.order("PROD-001", "\"k-1\"").await.text, first.text);
    assert_eq!(flow.orders().await, 1);
    let event = "SELECT concat_ws(' ', aggregatetype, aggregateid, type, payload #>> '{purchase_order,po_number}') FROM tributary_outbox";
    let written = text(&flow.databases.url("oms_db"), event).await;
    assert_eq!(written, format!("purchase_order PROD-001 purchase_order.placed {}", order.as_str().expect("text")));
}

#[actix_web::test]
async fn requests_with_one_key_at_the_same_time_have_one_effect() {
    let flow = Purchasing::start().await;
    for round in 0..5 {
        let key = format!("race-{round}");
        let answers = futures_util::future::join_all((0..12).map(|_| flow.order("PROD-001", &key))).await;
        let first = &answers[0].text;
        assert!(answers.iter().all(|answer| answer.status == 200 && answer.text == *first), "{answers:?}");
        let fresh = answers.iter().filter(|answer| header(answer, "idempotency-replayed").is_none()).count();
        assert_eq!(fresh, 1);
        assert_eq!(flow.orders().await, round + 1);
    }
}

#[actix_web::test]
async fn a_key_with_other_inputs_is_refused_and_writes_nothing() {
    let flow = Purchasing::start().await;
    flow.order("PROD-001", "k-2").await;
    let other = flow.order("PROD-002", "k-2").await;
    assert_eq!((other.status, other.code().as_str()), (422, "key_reused"), "{}", other.text);
    assert_eq!(flow.orders().await, 1);
}

#[actix_web::test]
async fn every_final_answer_claims_its_key_and_no_error_does() {
    let flow = Purchasing::start().await;
    let missing = flow.order("PROD-404", "k-3").await;
    assert_eq!(missing.status, 404);
    let again = flow.order("PROD-404", "k-3").await;
    assert_eq!((again.status, &again.text), (404, &missing.text));
    assert_eq!(header(&again, "content-type"), Some("application/problem+json"));

    flow.run("inventory_db", "UPDATE inventory SET available_qty = 9000").await;
    let enough = flow.order("PROD-001", "k-4").await;
    assert_eq!(enough.json()["status"], "no_order", "{}", enough.text);
    flow.run("inventory_db", "UPDATE inventory SET available_qty = 0").await;
    assert_eq!(flow.order("PROD-001", "k-4").await.text, enough.text);

    flow.run("inventory_db", "ALTER TABLE inventory RENAME TO elsewhere").await;
    let failed = flow.order("PROD-001", "k-5").await;
    assert_eq!(failed.status, 500, "{}", failed.text);
    flow.run("inventory_db", "ALTER TABLE elsewhere RENAME TO inventory; UPDATE inventory SET available_qty = 500")
        .await;
    let order = flow.order("PROD-001", "k-5").await;
    assert_eq!(order.json()["status"], "success", "{}", order.text);
    assert_eq!(flow.orders().await, 1);
}

#[actix_web::test]
async fn what_is_no_key_is_refused_with_its_place() {
    let flow = Purchasing::start().await;
    for key in ["", "  ", "\"\"", &"k".repeat(256), "a\tb", "\u{e4}"] {
        let answer = flow.order("PROD-001", key).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad_key"), "{key:?}: {}", answer.text);
        assert!(answer.json()["detail"].as_str().expect("text").starts_with("Idempotency-Key: "), "{}", answer.text);
    }
    let request = flow.app.client.post(flow.app.url("/purchasing/flow")).json(&json!({ "product_id": "PROD-001" }));
    let two = TestApp::answer(request.header("Idempotency-Key", "a").header("Idempotency-Key", "b")).await;
    assert_eq!((two.status, two.code().as_str()), (400, "bad_key"));
    assert_eq!(flow.orders().await, 0);
}

#[actix_web::test]
async fn without_a_write_role_a_key_is_refused_with_the_variable_to_set() {
    let (_databases, app) = TestApp::shipped_with(|setup: Setup| setup).await;
    let answer = ask(&app, "/purchasing/flow", &json!({ "product_id": "PROD-001" }), "k").await;
    assert_eq!((answer.status, answer.code().as_str()), (501, "effects_off"), "{}", answer.text);
    assert!(answer.text.contains("OMS_DB_WRITE_USER"), "{}", answer.text);
}

#[actix_web::test]
async fn tables_that_are_missing_are_named_and_nothing_is_written() {
    let flow = Purchasing::start().await;
    for table in ["tributary_outbox", "tributary_keys", "purchase_orders"] {
        flow.run("oms_db", &format!("ALTER TABLE {table} RENAME TO aside")).await;
        let answer = flow.order("PROD-001", "k-6").await;
        assert_eq!((answer.status, answer.code().as_str()), (500, "query_failed"), "{table}: {}", answer.text);
        assert_eq!(answer.json()["sqlstate"], "42P01");
        flow.run("oms_db", &format!("ALTER TABLE aside RENAME TO {table}")).await;
        assert_eq!(flow.orders().await, 0, "{table}");
    }
    assert_eq!(flow.order("PROD-001", "k-6").await.status, 200);
    assert_eq!(flow.orders().await, 1);
}

#[actix_web::test]
async fn expired_keys_are_deleted_and_waiting_approvals_are_kept() {
    let flow = Purchasing::start().await;
    let waiting = flow.order("PROD-002", "k-7").await;
    assert_eq!(waiting.status, 202, "{}", waiting.text);
    let expire = "INSERT INTO tributary_keys (caller, flow, key, inputs, decision, status, answer, expires_at)
        SELECT '', 'purchasing', 'old-' || n, '', gen_random_uuid(), 200, '{}', now() - interval '1 second'
        FROM generate_series(1, 1500) AS n;
        UPDATE tributary_keys SET expires_at = now() - interval '1 second'";
    flow.run("oms_db", expire).await;
    // A service deletes expired keys once a minute, at its first request with a key too.
    let again = Purchasing { app: restarted(&flow), databases: flow.databases };
    again.order("PROD-001", "k-8").await;
    let left = "SELECT string_agg(key, ' ' ORDER BY key) FROM tributary_keys WHERE key LIKE 'k-%' OR key = 'old-1'";
    let keys = "SELECT count(*)::text FROM tributary_keys";
    let url = again.databases.url("oms_db");
    eventually_async("a thousand keys are deleted", async || text(&url, keys).await == "502").await;
    assert!(text(&url, left).await.starts_with("k-7 k-8"));
}

fn restarted(flow: &Purchasing) -> TestApp {
    TestApp::start(Setup::shipped().on(&flow.databases).writing())
}
