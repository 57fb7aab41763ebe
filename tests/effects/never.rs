//! Nothing is written by accident: without a key no session of the write role is even opened.

use serde_json::json;

use crate::fixture::{ADMIN, ask};
use crate::support::{PrivateFamily, Setup, TestApp, repository, run};

/// How often the write role has logged in, by the server's log.
fn logins(family: &PrivateFamily) -> usize {
    let log = family.server("oms_db").data_dir().parent().expect("a directory").join("postgres.log");
    let log = std::fs::read_to_string(log).expect("the server has a log");
    assert!(log.contains("connection authorized"), "the server logs its connections");
    log.matches("connection authorized: user=tributary_writer").count()
}

#[actix_web::test]
async fn only_a_request_with_a_key_opens_a_session_that_writes() {
    let family = PrivateFamily::start_with(&[("log_connections", "on")]).await;
    let mut environment = family.environment();
    environment.extend(crate::support::write_environment());
    let setup = Setup { environment: environment.clone().into_iter().collect(), ..Setup::shipped() };
    let app = TestApp::start(setup.set("ADMIN_TOKEN", ADMIN).set("TRIBUTARY_MCP", "true"));
    app.wait_for("/readyz", 200).await;

    let body = json!({ "product_id": "PROD-001" });
    for path in ["/purchasing/flow", "/purchasing/flow?explain=true"] {
        assert_eq!(app.post(path, body.to_string()).await.status, 200);
    }
    let with_token = |path: &str| app.client.post(app.url(path)).bearer_auth(ADMIN);
    let what_if = json!({ "input": body, "set": { "inventory_levels.available_qty": 0 } });
    assert_eq!(TestApp::answer(with_token("/purchasing/flow/what-if").json(&what_if)).await.status, 200);
    let flip = json!({ "input": body, "facts": ["inventory_levels.available_qty"] });
    assert_eq!(TestApp::answer(with_token("/purchasing/flow/flip").json(&flip)).await.status, 200);
    let as_of = with_token("/purchasing/flow?as_of=2026-01-31T08:00:00Z").json(&body);
    assert_eq!(TestApp::answer(as_of).await.status, 200);
    let lines = app.client.post(app.url("/purchasing/flow/batch")).json(&json!([body, body]));
    assert_eq!(TestApp::answer(lines).await.status, 200);
    for (tool, arguments) in
        [("decide", body.clone()), ("explain", body.clone()), ("what_if", what_if.clone()), ("flip", flip.clone())]
    {
        let params = json!({ "name": format!("purchasing_{tool}"), "arguments": arguments });
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
        let call = with_token("/mcp").header("Accept", "application/json, text/event-stream").json(&call);
        let answer = TestApp::answer(call).await;
        assert_eq!(answer.json()["result"]["isError"], false, "{tool}: {}", answer.text);
    }
    assert_eq!(app.get("/openapi.json").await.status, 200);
    assert_eq!(app.get("/health").await.status, 200);

    let command = |arguments: &[&str]| {
        let (code, out, err) = run(repository(), &environment, arguments);
        assert_eq!(code, 0, "{arguments:?}: {out}{err}");
    };
    command(&["run", "--input", "product_id=PROD-001", "--explain"]);
    command(&["run", "--input", "product_id=PROD-001", "--flip", "inventory_levels.available_qty"]);
    command(&["run", "--input", "product_id=PROD-001", "--set", "inventory_levels.available_qty=0"]);
    command(&["test", "tests/flows/purchasing.test.yaml"]);
    command(&["check"]);
    assert_eq!(logins(&family), 0);

    // A key is refused where nothing is ever written.
    for refused in [
        with_token("/purchasing/flow/what-if").json(&what_if),
        with_token("/purchasing/flow/flip").json(&flip),
        with_token("/purchasing/flow?as_of=2026-01-31T08:00:00Z").json(&body),
    ] {
        let answer = TestApp::answer(refused.header("Idempotency-Key", "k")).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad_key"), "{}", answer.text);
    }
    assert_eq!(logins(&family), 0);

    assert_eq!(ask(&app, "/purchasing/flow", &body, "k").await.status, 200);
    assert!(logins(&family) > 0);
}
