//! Queries of clients that disconnect are cancelled. Probes are answered while all other connections are in use.

use crate::support::{Database, Setup, TestApp, connect, eventually_async};
use crate::wire::Wire;

const FLOW: &str = "flow: slow\ninput: { id: { type: integer } }\nnodes:\n  \
    nap: { type: DBNode, database: t_db, timeout_ms: 60000, params: [id], query: \"SELECT $1::int AS id FROM pg_sleep(60)\" }\n\
    outcomes: [{ status: rested, message: rested }]\n";

/// Serves the flow with these settings of `http` and of the domain's pool.
async fn serve(database: &Database, http: &str, pool: &str) -> (TestApp, tempfile::TempDir) {
    let files = tempfile::tempdir().expect("a directory");
    let (graph, config) = (files.path().join("graph.yaml"), files.path().join("service.yaml"));
    std::fs::write(&graph, FLOW).expect("written");
    std::fs::write(
        &config,
        format!("http: {{ request_timeout_ms: 60000, {http} }}\ndomains: {{ t_db: {{ pool: {{ {pool} }} }} }}\n"),
    )
    .expect("written");
    let setup = Setup { graphs: vec![graph], config: Some(config), ..Setup::default() };
    let app = TestApp::start(setup.domain("t_db", &database.url()));
    app.wait_for("/readyz", 200).await;
    (app, files)
}

/// The number of the flow's queries that run.
async fn running(watcher: &tokio_postgres::Client) -> i64 {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' \
               AND query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()";
    watcher.query_one(sql, &[]).await.expect("an answer").get(0)
}

async fn ask(app: &TestApp, path: &str, media_type: &str, body: &str) -> Wire {
    let mut wire = Wire::connect(app.address).await;
    let length = body.len();
    let fields = format!("Host: here\r\nContent-Type: {media_type}\r\nContent-Length: {length}");
    wire.send(format!("POST {path} HTTP/1.1\r\n{fields}\r\n\r\n{body}")).await;
    wire
}

#[actix_web::test]
async fn probes_are_answered_over_reserved_connections_while_all_others_are_in_use() {
    let database = Database::empty().await;
    // Of sixteen connections two are reserved.
    let (app, _files) = serve(&database, "workers: 1, max_connections: 16", "max: 40, coalesce: off").await;
    let watcher = connect(&database.url()).await;
    let mut waiting = Vec::new();
    for id in 0..14 {
        waiting.push(ask(&app, "/flows/slow", "application/json", &format!("{{\"id\": {id}}}")).await);
    }
    eventually_async("the queries run", async || running(&watcher).await == 14).await;
    for _ in 0..10 {
        let mut refused = ask(&app, "/flows/slow", "application/json", "{\"id\": 1}").await;
        let reply = refused.reply().await;
        assert_eq!(reply.status, 503, "{reply:?}");
        assert!(reply.body.contains("\"overloaded\"") && reply.head.contains("connection: close"), "{reply:?}");
        assert!(reply.head.contains("retry-after:"), "{reply:?}");
        for path in ["/livez", "/readyz", "/health", "/metrics"] {
            let mut probe = Wire::connect(app.address).await;
            probe.send(format!("GET {path} HTTP/1.1\r\nHost: here\r\n\r\n")).await;
            assert_eq!(probe.reply().await.status, 200, "{path}");
        }
    }
}

#[actix_web::test]
async fn the_queries_of_a_client_that_disconnects_are_cancelled() {
    let database = Database::empty().await;
    let (app, _files) = serve(&database, "workers: 2", "max: 20").await;
    let watcher = connect(&database.url()).await;
    let running = async || running(&watcher).await;
    let one = ask(&app, "/flows/slow", "application/json", "{\"id\": 1}").await;
    eventually_async("the query runs", async || running().await == 1).await;
    drop(one);
    eventually_async("the query is cancelled", async || running().await == 0).await;

    // A batch, whose decisions are distributed among the workers.
    let lines = "{\"id\": 1}\n{\"id\": 2}\n{\"id\": 3}\n";
    let batch = ask(&app, "/flows/slow/batch", "application/x-ndjson", lines).await;
    eventually_async("the queries run", async || running().await > 0).await;
    drop(batch);
    eventually_async("the queries are cancelled", async || running().await == 0).await;

    // Concurrent requests, some of which may be coalesced: the one that remains is not cancelled.
    let mut many = Vec::new();
    for id in 0..8 {
        many.push(ask(&app, "/flows/slow", "application/json", &format!("{{\"id\": {id}}}")).await);
    }
    eventually_async("the queries run", async || running().await > 0).await;
    let remaining = many.pop();
    drop(many);
    eventually_async("one query is left", async || running().await == 1).await;
    drop(remaining);
    eventually_async("none is left", async || running().await == 0).await;
}
