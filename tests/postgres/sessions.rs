//! Sessions: privileges, time limits, cancellation, connecting and slots.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use secrecy::SecretString;
use tributary::actors::domain::State;
use tributary::config::Password;
use tributary::flow::QueryErrorKind;
use tributary::types::{Deadline, Value};

use crate::fixture::{
    Domain, Gate, LOCKED, LONG, ask, config, database, eventually, json, query, run, sessions, shared_server,
};
use crate::support::Server;

/// The number of sessions of `database` that run a query.
async fn running(server: &Server, database: &str) -> i64 {
    let (client, connection) =
        tokio_postgres::connect(&server.url("postgres"), tokio_postgres::NoTls).await.expect("the server answers");
    tokio::spawn(connection);
    let count = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND state = 'active'";
    client.query_one(count, &[&database]).await.expect("a count").get(0)
}

#[actix::test]
async fn a_session_can_only_read() {
    let server = shared_server();
    let setup = "CREATE TABLE stock (n int); CREATE SEQUENCE numbers; \
                 CREATE FUNCTION sell() RETURNS int LANGUAGE sql AS 'INSERT INTO stock VALUES (1) RETURNING n';";
    let database = database(server, "read_only", setup).await;
    let domain = Domain::ready(config(server, &database)).await;
    for text in [
        "INSERT INTO stock VALUES (1)",
        "WITH sold AS (DELETE FROM stock RETURNING n) SELECT * FROM sold",
        "SELECT nextval('numbers')",
        "SELECT sell()",
        "SELECT n FROM stock FOR UPDATE",
    ] {
        let refused = domain.refused(text, &[]).await;
        assert!(matches!(&refused, QueryErrorKind::Sql { sqlstate, .. } if sqlstate == "25006"), "{text}: {refused:?}");
    }
    assert_eq!(domain.value("SELECT count(*) AS n FROM stock", &[]).await, json("0"));
    domain.drain().await;
}

#[actix::test]
async fn sessions_have_keepalives_for_clients_that_disappear() {
    let server = shared_server();
    let database = database(server, "vanished", "").await;
    let domain = Domain::ready(config(server, &database)).await;
    for (setting, seconds) in
        [("tcp_keepalives_idle", "30"), ("tcp_keepalives_interval", "10"), ("tcp_keepalives_count", "3")]
    {
        assert_eq!(domain.value(&format!("SHOW {setting}"), &[]).await, Value::text(seconds));
    }
    domain.drain().await;
}

#[actix::test]
async fn a_pool_opens_its_minimum_and_sessions_have_the_application_name() {
    let server = shared_server();
    let database = database(server, "warm", "").await;
    let domain = Domain::ready(config(server, &database)).await;
    let pool = domain.handle.health().pool;
    assert_eq!((pool.size, pool.idle, pool.max), (2, 2, 4));
    // One more for the probe.
    assert_eq!(sessions(server, &database).await, 3);
    assert_eq!(domain.value("SHOW application_name", &[]).await, Value::text("test of warm"));
    assert_eq!(domain.value("SHOW statement_timeout", &[]).await, Value::text("5s"));
    domain.drain().await;
    eventually("every session has ended", async || sessions(server, &database).await == 0).await;
}

#[actix::test]
async fn a_query_past_its_deadline_is_cancelled_and_its_session_is_not_used_again() {
    let server = shared_server();
    let database = database(server, "deadline", "").await;
    let domain = Domain::ready(config(server, &database)).await;
    let asked = Instant::now();
    let limit = Duration::from_millis(300);
    let late = domain.ask_within("SELECT 1 AS n FROM pg_sleep(30)", &[], limit, None).await;
    let QueryErrorKind::Timeout { after } = late.expect_err("a timeout").kind else { panic!("no timeout") };
    assert!(after <= limit && asked.elapsed() < Duration::from_secs(2));
    eventually("the query is cancelled", async || running(server, &database).await == 0).await;
    // More queries than sessions: none of them gets an old answer or a late cancel.
    for n in 0..20_i64 {
        assert_eq!(domain.value("SELECT $1::int8 AS n", &[n.into()]).await, Value::Integer(n));
    }
    assert_eq!(domain.handle.health().state, State::Ready);
    domain.drain().await;
}

#[actix::test]
async fn a_query_whose_caller_has_gone_away_is_cancelled() {
    let server = shared_server();
    let database = database(server, "abandoned", "").await;
    let domain = Domain::ready(config(server, &database)).await;
    let handle = domain.handle.clone();
    let asked =
        actix::spawn(
            async move { ask(&handle, &query("SELECT 1 AS n FROM pg_sleep(30)"), &[], LONG, Some(LONG)).await },
        );
    eventually("the query runs", async || running(server, &database).await == 1).await;
    asked.abort();
    eventually("the query is cancelled", async || running(server, &database).await == 0).await;
    eventually("it is no longer in flight", async || domain.handle.health().in_flight == 0).await;
    domain.drain().await;
}

#[actix::test]
async fn the_server_stops_a_query_at_the_timeout_of_the_domain() {
    let server = shared_server();
    let database = database(server, "statement_timeout", "").await;
    let mut config = config(server, &database);
    config.timeouts.query = Duration::from_millis(200);
    let domain = Domain::ready(config).await;
    let slow = "SELECT 1 AS n FROM pg_sleep(0.6)";
    assert!(matches!(domain.refused(slow, &[]).await, QueryErrorKind::Timeout { .. }));
    // A node with a longer timeout gets it, and the session is restored afterwards.
    let longer = domain.ask_within(slow, &[], LONG, Some(Duration::from_secs(10))).await.expect("rows");
    assert_eq!(longer.rows.len(), 1);
    assert!(longer.took >= Duration::from_millis(600));
    for _ in 0..4 {
        assert_eq!(domain.value("SHOW statement_timeout", &[]).await, Value::text("200ms"));
    }
    assert_eq!(domain.handle.health().state, State::Ready);
    domain.drain().await;
}

#[actix::test]
async fn a_statement_is_prepared_again_when_its_tables_have_changed() {
    let server = shared_server();
    let setup = "CREATE TABLE stock (product text, qty int); INSERT INTO stock VALUES ('a', 1);";
    let database = database(server, "drift", setup).await;
    let domain = Domain::ready(config(server, &database)).await;
    let asked = query("SELECT * FROM stock WHERE qty = $1");
    let row = async || {
        let answer = ask(&domain.handle, &asked, &[json("1")], LONG, None).await.expect("rows");
        serde_json::to_string(&answer.rows).expect("JSON")
    };
    for _ in 0..4 {
        assert_eq!(row().await, r#"[{"product":"a","qty":1}]"#);
    }
    run(server, &database, "ALTER TABLE stock ADD COLUMN shelf text DEFAULT 's'").await;
    for _ in 0..4 {
        assert_eq!(row().await, r#"[{"product":"a","qty":1,"shelf":"s"}]"#);
    }
    run(server, &database, "ALTER TABLE stock ALTER COLUMN qty TYPE numeric(9, 2)").await;
    for _ in 0..4 {
        assert_eq!(row().await, r#"[{"product":"a","qty":1.00,"shelf":"s"}]"#);
    }
    run(server, &database, "DROP TABLE stock").await;
    let dropped = ask(&domain.handle, &asked, &[json("1")], LONG, None).await.expect_err("a refusal").kind;
    assert!(matches!(&dropped, QueryErrorKind::Sql { sqlstate, .. } if sqlstate == "42P01"), "{dropped:?}");
    domain.drain().await;
}

#[actix::test]
async fn queries_that_wait_longer_than_the_acquire_timeout_fail_and_the_others_are_served() {
    let server = shared_server();
    let database = database(server, "overload", "").await;
    let mut config = config(server, &database);
    (config.pool.min, config.pool.max, config.timeouts.acquire) = (1, 1, Duration::from_millis(300));
    let domain = Domain::ready(config).await;
    let gate = Gate::shut(server, &database).await;
    let started = Instant::now();
    let mut outcomes: FuturesUnordered<_> = (0..20).map(|_| domain.ask(LOCKED, &[])).collect();
    // One has the connection.
    for _ in 0..19 {
        let error = outcomes.next().await.expect("an outcome").expect_err("a refusal");
        assert!(matches!(error.kind, QueryErrorKind::Overloaded { .. }), "{error}");
    }
    assert!(started.elapsed() >= Duration::from_millis(300), "{:?}", started.elapsed());
    gate.open().await;
    let served: Vec<_> = outcomes.collect().await;
    assert!(served.len() == 1 && served[0].is_ok(), "{served:?}");
    domain.drain().await;
}

#[actix::test]
async fn a_server_without_free_slots_degrades_the_domain_which_uses_its_connections() {
    let server = Server::disposable(&[]).expect("a server");
    let database = database(&server, "slots", "CREATE ROLE few LOGIN CONNECTION LIMIT 3").await;
    let mut config = config(&server, &database);
    config.connection.user = "few".to_owned();
    let domain = Domain::ready(config).await;
    let gate = Gate::shut(&server, &database).await;
    let mut outcomes: FuturesUnordered<_> = (0..4).map(|_| domain.ask(LOCKED, &[])).collect();
    for _ in 0..2 {
        let error = outcomes.next().await.expect("an outcome").expect_err("a refusal");
        assert!(matches!(error.kind, QueryErrorKind::Overloaded { .. }), "{error}");
    }
    gate.open().await;
    let served: Vec<_> = outcomes.collect().await;
    assert!(served.len() == 2 && served.iter().all(Result::is_ok), "{served:?}");
    run(&server, &database, "ALTER ROLE few CONNECTION LIMIT 1").await;
    domain.handle.recycle();
    eventually("the domain is degraded", async || {
        let health = domain.handle.health();
        matches!(&health.state, State::Degraded { why } if why.contains("slots"))
    })
    .await;
    run(&server, &database, "ALTER ROLE few CONNECTION LIMIT 3").await;
    domain.handle.wait_ready(Deadline::after(LONG)).await.expect("a ready domain");
    eventually("the domain is ready", async || domain.handle.health().state == State::Ready).await;
    domain.drain().await;
}

/// A server that requires a password of the role `locked`.
async fn locked_server() -> (Server, String) {
    let server = Server::disposable(&[]).expect("a server");
    let setup = "SET password_encryption = 'scram-sha-256'; CREATE ROLE locked LOGIN PASSWORD 'right p@ss/word';";
    let database = database(&server, "vault", setup).await;
    let rules = "host all locked 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n";
    server.put_file("pg_hba.conf", rules).expect("the rules");
    server.reload();
    (server, database)
}

#[actix::test]
async fn the_error_of_a_wrong_password_names_the_domain_and_never_the_password() {
    let (server, database) = locked_server().await;
    for (password, expected) in [
        (Password::Given(SecretString::from("hunter2 is wrong")), "the server refused the password"),
        (Password::None, "password missing"),
        (Password::File("/nowhere/hunter2".into()), "the password file cannot be read"),
    ] {
        let mut config = config(&server, &database);
        config.connection.user = "locked".to_owned();
        config.connection.password = password;
        let shown = format!("{config:?}");
        let domain = Domain::start(config);
        let error = domain.ask("SELECT 1 AS n", &[]).await.expect_err("a refusal");
        assert!(matches!(error.kind, QueryErrorKind::Unavailable { .. }), "{error:?}");
        let health = serde_json::to_string(&domain.handle.health()).expect("JSON");
        for text in [error.to_string(), health] {
            assert!(text.contains("oms_db") && text.contains(expected), "{text}");
            assert!(!text.contains("hunter2"), "neither the password nor its path: {text}");
            assert!(
                expected != "the password file cannot be read" || text.contains("see OMS_DB_PASSWORD_FILE"),
                "{text}"
            );
        }
        assert!(!shown.contains("hunter2 is wrong"), "{shown}");
        domain.drain().await;
    }
}

#[actix::test]
async fn a_password_file_is_read_at_each_connect() {
    let (server, database) = locked_server().await;
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "wrong\n").expect("written");
    let mut config = config(&server, &database);
    config.connection.user = "locked".to_owned();
    config.connection.password = Password::File(file.path().to_owned());
    let domain = Domain::start(config);
    assert!(matches!(domain.refused("SELECT 1 AS n", &[]).await, QueryErrorKind::Unavailable { .. }));
    std::fs::write(file.path(), "right p@ss/word\n").expect("written");
    domain.handle.wait_ready(Deadline::after(LONG)).await.expect("a ready domain");
    assert_eq!(domain.value("SELECT current_user::text AS u", &[]).await, Value::text("locked"));
    domain.drain().await;
}

#[actix::test]
async fn the_error_of_a_missing_database_says_so() {
    let domain = Domain::start(config(shared_server(), "nowhere"));
    let error = domain.ask("SELECT 1 AS n", &[]).await.expect_err("a refusal");
    assert!(error.to_string().contains("there is no such database"), "{error}");
    domain.drain().await;
}

#[actix::test]
async fn hosts_are_tried_in_their_order() {
    let server = shared_server();
    let database = database(server, "hosts", "").await;
    let mut config = config(server, &database);
    // A port without a listener, and a name without an address.
    config.connection.hosts.insert(0, ("127.0.0.1".to_owned(), 1));
    config.connection.hosts.insert(1, ("nobody.invalid".to_owned(), server.port()));
    let domain = Domain::ready(config).await;
    assert_eq!(domain.value("SELECT 1 AS n", &[]).await, json("1"));
    domain.drain().await;
}

#[actix::test]
async fn a_unix_socket_is_a_host_too() {
    let server = Server::disposable(&[("unix_socket_directories", ".")]).expect("a server");
    let mut config = config(&server, "postgres");
    let directory = server.data_dir().to_str().expect("a path").to_owned();
    config.connection.hosts = vec![(directory, server.port())];
    let domain = Domain::ready(config).await;
    let local = domain.value("SELECT inet_client_addr() IS NULL AS local", &[]).await;
    assert_eq!(local, Value::Boolean(true));
    // A cancel request uses the socket, too.
    let limit = Duration::from_millis(200);
    domain.ask_within("SELECT 1 AS n FROM pg_sleep(30)", &[], limit, None).await.expect_err("a timeout");
    eventually("the query is cancelled", async || running(&server, "postgres").await == 1).await;
    domain.drain().await;
}

#[actix::test]
async fn errors_of_queries_do_not_make_the_domain_down() {
    let server = shared_server();
    let database = database(server, "errors", "").await;
    let domain = Domain::ready(config(server, &database)).await;
    let since = domain.handle.health().since;
    for text in ["SELECT 1 / 0 AS n", "SELECT nothing", "SELEC", "SELECT 'x'::int AS n", "SELECT 1 AS n FROM gone"] {
        let error = domain.ask(text, &[]).await.expect_err("a refusal");
        let QueryErrorKind::Sql { detail, .. } = &error.kind else { panic!("{error:?}") };
        assert!(!error.to_string().contains(detail.as_str()), "{error}");
    }
    let limit = Duration::from_millis(50);
    for _ in 0..10 {
        domain.ask_within("SELECT 1 AS n FROM pg_sleep(30)", &[], limit, None).await.expect_err("a timeout");
    }
    let health = domain.handle.health();
    assert_eq!((health.state, health.since), (State::Ready, since));
    domain.drain().await;
}
