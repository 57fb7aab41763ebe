//! The write role of a domain: sessions that write, on the primary, beside those that only read.

use std::time::Duration;

use tributary::config::{DomainConfig, Password, SessionAttrs, WriteRole};
use tributary::flow::QueryErrorKind;
use tributary::postgres::{Call, EFFECT_TABLES, Pool, QueryState, Session};
use tributary::types::{Deadline, Value};

use crate::fixture::{Domain, LONG, config, database, eventually, first, query, run, sessions, shared_server};
use crate::support::server::PRIMARY;
use crate::support::{Server, sql};

/// The settings of a session in the order of their names, and its role.
const SETTINGS: &str = "SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) || ' ' || current_user FROM pg_settings \
                        WHERE name IN ('default_transaction_read_only', 'idle_in_transaction_session_timeout', \
                        'lock_timeout', 'statement_timeout', 'TimeZone')";

/// The session.
const ME: &str = "SELECT pg_backend_pid()::int8";

const INSERT: &str = "INSERT INTO orders VALUES (7) RETURNING n";

/// A domain on `database` whose write role is `role`.
fn written_by(server: &Server, database: &str, role: &str) -> DomainConfig {
    let write = Some(WriteRole { user: role.to_owned(), password: Password::None });
    DomainConfig { write, ..config(server, database) }
}

/// A domain on a new database that `role` may write, and the name of the database.
async fn writable(name: &str, role: &str) -> (DomainConfig, String) {
    let setup =
        format!("CREATE TABLE orders (n int8); CREATE ROLE {role} LOGIN; GRANT SELECT, INSERT ON orders TO {role}");
    let database = database(shared_server(), name, &setup).await;
    (written_by(shared_server(), &database, role), database)
}

/// The value of the first column of the only row of `text`, which the write role runs in a transaction that writes.
async fn written(pool: &Pool, text: &str) -> Result<Value, QueryErrorKind> {
    let session = Session::from(pool.acquire(Deadline::after(LONG)).await?);
    let written = session.write(&Call { statement: query(text), params: Vec::new() }).await?;
    Ok(first(&written.rows[0]))
}

fn has_sqlstate<T: std::fmt::Debug>(outcome: &Result<T, QueryErrorKind>, expected: &str) {
    assert!(matches!(outcome, Err(QueryErrorKind::Sql { sqlstate, .. }) if sqlstate == expected), "{outcome:?}");
}

#[actix::test]
async fn the_write_role_writes_and_all_other_sessions_stay_read_only() {
    let (mut config, database) = writable("written", "orders_writer").await;
    config.timeouts.query = Duration::from_secs(21);
    config.pool.min = 1;
    config.pool.max = 1;
    let domain = Domain::ready(config).await;
    let writer = domain.handle.writer().expect("a write role");
    // No connection of the write role is made before it is needed.
    assert_eq!(sessions(shared_server(), &database).await, 1);
    assert_eq!(written(writer.pool(), INSERT).await, Ok(Value::Integer(7)));
    assert_eq!(sessions(shared_server(), &database).await, 2);
    assert_eq!(domain.value("SELECT n FROM orders", &[]).await, Value::Integer(7));

    has_sqlstate::<()>(&Err(domain.refused(INSERT, &[]).await), "25006");
    has_sqlstate(&written(writer.pool(), "DELETE FROM orders RETURNING n").await, "42501");
    // Outside of a transaction that writes it writes nothing. So what was sent with a BEGIN that failed does not, either.
    let session = Session::from(writer.pool().acquire(Deadline::after(LONG)).await.expect("a session"));
    has_sqlstate(&session.query(&QueryState::new(query(INSERT)), &[], LONG).await, "25006");
    has_sqlstate(&session.call(&Call { statement: query(INSERT), params: Vec::new() }).await, "25006");
    drop(session);
    assert_eq!(domain.value("SELECT count(*) FROM orders", &[]).await, Value::Integer(1));
    assert_eq!(
        domain.value(SETTINGS, &[]).await,
        Value::from(
            "TimeZone=UTC default_transaction_read_only=on idle_in_transaction_session_timeout=0 lock_timeout=0 \
             statement_timeout=21000 postgres"
        )
    );
    assert_eq!(
        written(writer.pool(), SETTINGS).await,
        Ok(Value::from(
            "TimeZone=UTC default_transaction_read_only=on idle_in_transaction_session_timeout=21000 \
             lock_timeout=21000 statement_timeout=21000 orders_writer"
        ))
    );
    drop(writer);
    domain.drain().await;
}

#[actix::test]
async fn a_notification_that_fails_leaves_the_session_as_it_was() {
    let (config, _) = writable("notified", "notifying_writer").await;
    let domain = Domain::ready(config).await;
    let writer = domain.handle.writer().expect("a write role");
    let session = Session::from(writer.pool().acquire(Deadline::after(LONG)).await.expect("a session"));
    session.notify("orders").await.expect("notified");
    // A payload has less than 8,000 bytes.
    has_sqlstate(&session.notify(&format!("orders, '{}'", "x".repeat(8_000))).await, "22023");
    let setting = Call { statement: query("SELECT current_setting('synchronous_commit')"), params: Vec::new() };
    let written = session.call(&setting).await.expect("no transaction is open");
    assert_eq!(first(&written.rows[0]), Value::text("on"));
    drop((session, writer));
    domain.drain().await;
}

#[actix::test]
async fn a_domain_without_a_write_role_has_no_writer() {
    let database = database(shared_server(), "unwritten", "").await;
    let domain = Domain::start(config(shared_server(), &database));
    assert!(domain.handle.writer().is_none());
    domain.drain().await;
}

#[actix::test]
async fn write_connections_are_bounded_replaced_at_a_restart_and_closed_by_a_drain() {
    let (mut config, database) = writable("bounded_writes", "bounded_writer").await;
    config.pool.write_max = 2;
    config.timeouts.acquire = Duration::from_millis(50);
    let domain = Domain::ready(config).await;
    let writer = domain.handle.writer().expect("a write role");
    let pool = writer.pool().clone();
    let before = written(&pool, ME).await.expect("a session");
    assert_eq!(written(&pool, ME).await.expect("a session"), before);
    let held = [
        pool.acquire(Deadline::after(LONG)).await.expect("a connection"),
        pool.acquire(Deadline::after(LONG)).await.expect("a connection"),
    ];
    let third = pool.acquire(Deadline::after(LONG)).await.map(drop);
    assert!(matches!(third, Err(QueryErrorKind::Overloaded { .. })), "{third:?}");
    drop(held);
    domain.handle.recycle();
    assert_ne!(written(&pool, ME).await.expect("a session"), before);

    drop(writer);
    domain.drain().await;
    eventually("every session has ended", async || sessions(shared_server(), &database).await == 0).await;
    let refused = written(&pool, ME).await.expect_err("the pool is closed");
    assert!(
        matches!(&refused, QueryErrorKind::ConnectionLost { sent: false, detail } if detail == "the domain is being stopped"),
        "{refused:?}"
    );
}

#[actix::test]
async fn effects_are_written_to_the_primary_wherever_rows_are_read() {
    let primary = Server::disposable(&PRIMARY).expect("a primary");
    run(&primary, "postgres", "CREATE TABLE orders (n int8); CREATE ROLE writer LOGIN; GRANT ALL ON orders TO writer")
        .await;
    let replica = primary.replica(primary.port()).expect("a replica");
    let mut config = written_by(&replica, "postgres", "writer");
    config.connection.session_attrs = SessionAttrs::PreferStandby;
    eventually("the replica has the role", async || {
        sql::run(&replica.url("postgres"), "it", "SELECT 'writer'::regrole").await.is_ok()
    })
    .await;

    let alone = Domain::ready(config.clone()).await;
    let writer = alone.handle.writer().expect("a write role");
    let refused = written(writer.pool(), INSERT).await.expect_err("a standby");
    let expected = "the server is a standby, and effects are written to the primary: name it among the hosts";
    assert!(
        matches!(&refused, QueryErrorKind::ConnectionLost { sent: false, detail } if detail == expected),
        "{refused:?}"
    );
    drop(writer);
    alone.drain().await;

    config.connection.hosts.push((primary.host().to_owned(), primary.port()));
    let both = Domain::ready(config).await;
    let writer = both.handle.writer().expect("a write role");
    assert_eq!(both.value("SELECT pg_is_in_recovery()", &[]).await, Value::from(true));
    assert_eq!(written(writer.pool(), INSERT).await, Ok(Value::Integer(7)));
    drop(writer);
    both.drain().await;
}

#[actix::test]
async fn the_tables_of_effects_can_be_created_twice_and_need_no_more_than_their_grants() {
    let (name, role) = ("effect_tables", "tables_writer");
    let database = database(shared_server(), name, &format!("CREATE ROLE {role} LOGIN")).await;
    let grants = EFFECT_TABLES.lines().filter_map(|line| line.strip_prefix("-- GRANT"));
    let grants: Vec<String> = grants.map(|grant| format!("GRANT{grant}").replace("tributary_writer", role)).collect();
    assert_eq!(grants.len(), 1);
    for statements in [EFFECT_TABLES, EFFECT_TABLES, &grants[0]] {
        run(shared_server(), &database, statements).await;
    }
    let domain = Domain::ready(written_by(shared_server(), &database, role)).await;
    let writer = domain.handle.writer().expect("a write role");
    for (statement, answer) in [
        (
            "INSERT INTO tributary_keys (caller, flow, key, inputs, decision, expires_at) \
             VALUES ('', 'purchasing', 'k', 'd', gen_random_uuid(), now() + interval '1 day') RETURNING key",
            Value::from("k"),
        ),
        ("UPDATE tributary_keys SET status = 200, answer = '{}' RETURNING status", Value::Integer(200)),
        ("DELETE FROM tributary_keys RETURNING flow", Value::from("purchasing")),
        (
            "INSERT INTO tributary_outbox (id, aggregatetype, aggregateid, type, payload) \
             VALUES (gen_random_uuid(), 'purchase_order', 'PROD-001', 'placed', '{}') RETURNING position",
            Value::Integer(1),
        ),
        ("SELECT count(*) FROM tributary_outbox WHERE sent_at IS NULL", Value::Integer(1)),
        ("UPDATE tributary_outbox SET sent_at = now() RETURNING type", Value::from("placed")),
    ] {
        assert_eq!(written(writer.pool(), statement).await, Ok(answer), "{statement}");
    }
    drop(writer);
    domain.drain().await;
}
