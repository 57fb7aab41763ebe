//! Every state of a connection has a deadline.

use std::time::{Duration, Instant};

use rcgen::{CertificateParams, KeyPair};

use crate::support::{Database, Setup, TestApp};
use crate::wire::{Echo, Wire};

const QUICK: &str = "head_timeout_ms: 800, request_timeout_ms: 1200, keep_alive_ms: 1000, body_limit_bytes: 1000";
/// Twice the longest of these timeouts, and a margin for a busy machine.
const IN_TIME: Duration = Duration::from_secs(5);

/// As [`IN_TIME`], after the time that a busy machine needs to fill the socket buffers.
const FILLED: Duration = Duration::from_secs(40);

fn post(path: &str, fields: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: here\r\n{fields}\r\n")
}

#[actix_web::test]
async fn the_service_does_not_wait_for_a_body_that_it_does_not_read() {
    let echo = Echo::start(QUICK, &[]);
    let guarded = Echo::start(
        &format!("{QUICK}, tokens: tokens.yaml"),
        &[(
            "tokens.yaml",
            "tokens: [{ name: a, sha256: 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae, flows: all }]\n",
        )],
    );
    let json = "Content-Type: application/json\r\n";
    for (service, path, fields, status) in [
        (&echo, "/nowhere", json, 404),
        (&echo, "/livez", json, 405),
        (&echo, "/flows/echo", json, 408),
        (&echo, "/flows/echo", "Content-Type: text/plain\r\n", 415),
        (&echo, "/flows/echo/batch", "Content-Type: text/plain\r\n", 415),
        (&guarded, "/flows/echo", json, 401),
        (&guarded, "/flows/echo/batch", json, 401),
        (&echo, "/admin/reload", json, 404),
    ] {
        for (framing, part) in [("Content-Length: 900\r\n", "{"), ("Transfer-Encoding: chunked\r\n", "5\r\n{")] {
            let mut wire = service.connect().await;
            wire.send(post(path, &format!("{fields}{framing}")) + part).await;
            assert_eq!(wire.reply().await.status, status, "{path} {framing}");
            let took = wire.until_closed().await;
            assert!(took < IN_TIME, "{path} {framing}: closed after {took:?}");
        }
    }
    // 413 is sent after part of a body that is too large.
    for (framing, part) in [("Content-Length: 90000\r\n", ""), ("Transfer-Encoding: chunked\r\n", "15F90\r\n")] {
        let mut wire = echo.connect().await;
        wire.send(post("/flows/echo", &format!("{json}{framing}")) + part + &" ".repeat(2_000)).await;
        assert_eq!(wire.reply().await.status, 413, "{framing}");
        let took = wire.until_closed().await;
        assert!(took < IN_TIME, "{framing}: closed after {took:?}");
    }
}

#[actix_web::test]
async fn a_slow_body_after_an_answer_does_not_extend_the_deadline() {
    let echo = Echo::start(QUICK, &[]);
    for framing in ["Content-Length: 900\r\n", "Transfer-Encoding: chunked\r\n"] {
        let mut wire = echo.connect().await;
        wire.send(post("/nowhere", framing) + "5\r\n").await;
        assert_eq!(wire.reply().await.status, 404);
        let took = wire.send_until_closed_slowly(b"a").await;
        assert!(took < IN_TIME, "{framing}: closed after {took:?}");
    }
}

#[actix_web::test]
async fn a_slow_element_of_a_batch_has_the_timeout_of_a_request() {
    let echo = Echo::start(QUICK, &[]);
    let mut wire = echo.connect().await;
    wire.send(post("/flows/echo/batch", "Content-Type: application/x-ndjson\r\nContent-Length: 900\r\n")).await;
    let took = wire.send_until_closed_slowly(b" ").await;
    assert!(took < IN_TIME, "closed after {took:?}");
}

#[actix_web::test]
async fn a_slow_head_has_a_deadline_on_every_request_of_a_connection() {
    let echo = Echo::start(QUICK, &[]);
    for before in [0, 1, 3] {
        let mut wire = echo.connect().await;
        for _ in 0..before {
            wire.send("GET /livez HTTP/1.1\r\nHost: here\r\n\r\n").await;
            assert_eq!(wire.reply().await.status, 200);
        }
        wire.send("GET /livez HTTP/1.1\r\nX: ").await;
        let took = wire.send_until_closed_slowly(b"a").await;
        assert!(took < IN_TIME, "closed after {took:?}");
        assert!(wire.unread().starts_with("HTTP/1.1 408"), "{}", wire.unread());
    }
}

#[actix_web::test]
async fn a_connection_without_a_request_is_closed_at_its_timeout() {
    let echo = Echo::start("head_timeout_ms: 500, keep_alive_ms: 1500", &[]);
    let mut silent = echo.connect().await;
    let took = silent.until_closed().await;
    assert!(took < IN_TIME && silent.unread().is_empty(), "closed after {took:?}: {}", silent.unread());
    let mut idle = echo.connect().await;
    idle.send("GET /livez HTTP/1.1\r\nHost: here\r\n\r\n").await;
    assert_eq!(idle.reply().await.status, 200);
    let took = idle.until_closed().await;
    assert!(took > Duration::from_millis(1_400) && took < IN_TIME, "closed after {took:?}");
}

#[actix_web::test]
async fn the_connection_of_an_answer_that_is_not_read_is_closed() {
    let echo = Echo::start(QUICK, &[]);
    let get = "GET /openapi.json HTTP/1.1\r\nHost: here\r\n\r\n";
    let mut many = Wire::connect_narrow(echo.app.address).await;
    let took = many.send_until_closed(get.repeat(10).as_bytes()).await;
    assert!(took < FILLED, "many answers: closed after {took:?}");
    // Large lines, because a debug build would fill the socket buffers slowly with small ones.
    let echo = Echo::start(&QUICK.replace("body_limit_bytes: 1000", "body_limit_bytes: 200000"), &[]);
    let mut batch = Wire::connect_narrow(echo.app.address).await;
    batch.send(post("/flows/echo/batch", "Content-Type: application/x-ndjson\r\nContent-Length: 900000000\r\n")).await;
    let took = batch.send_until_closed(format!("{{\"v\": \"{}\"}}\n", "long ".repeat(20_000)).as_bytes()).await;
    assert!(took < FILLED, "a batch: closed after {took:?}");
}

#[actix_web::test]
async fn a_tls_handshake_has_a_deadline() {
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(["here".to_owned()]).expect("names").self_signed(&key).expect("signed");
    let (certificate, key) = (certificate.pem(), key.serialize_pem());
    let files = [("server.crt", certificate.as_str()), ("server.key", key.as_str())];
    let tls = format!("{QUICK}, tls: {{ certificate: server.crt, key: server.key }}");
    let echo = Echo::start(&tls, &files);
    // Nothing, the first byte of a record, and an incomplete record.
    for bytes in [&b""[..], b"\x16", b"\x16\x03\x01\x01\x00\x01"] {
        let mut wire = echo.connect().await;
        wire.send(bytes).await;
        let took = wire.until_closed().await;
        assert!(took < IN_TIME, "{bytes:?}: closed after {took:?}");
    }
}

#[actix_web::test]
async fn slow_decisions_and_event_streams_are_not_taken_for_stalled_clients() {
    let database = Database::empty().await;
    let files = tempfile::tempdir().expect("a directory");
    let (graph, config) = (files.path().join("graph.yaml"), files.path().join("service.yaml"));
    let flow = "flow: slow\nnodes:\n  nap: { type: DBNode, database: t_db, query: \"SELECT 1 AS n FROM pg_sleep(2)\" }\n\
                outcomes: [{ status: rested, message: rested }]\n";
    std::fs::write(&graph, flow).expect("written");
    std::fs::write(&config, "http: { head_timeout_ms: 400, keep_alive_ms: 400 }\n").expect("written");
    let setup = Setup { graphs: vec![graph], config: Some(config), ..Setup::default() };
    let app = TestApp::start(setup.domain("t_db", &database.url()));
    app.wait_for("/readyz", 200).await;
    let mut slow = Wire::connect(app.address).await;
    slow.send(post("/flows/slow", "Content-Type: application/json\r\nContent-Length: 2\r\n") + "{}").await;
    let mut events = Wire::connect(app.address).await;
    events.send("GET /events HTTP/1.1\r\nHost: here\r\n\r\n").await;
    assert_eq!(slow.reply().await.status, 200);
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(2) {
        assert!(events.more(IN_TIME).await, "the events go on");
    }
}
