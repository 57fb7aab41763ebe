//! The outcome of each SQLSTATE, for a single query and for coalesced ones.

use std::sync::Arc;
use std::time::Duration;

use actix::clock::sleep;
use futures_util::future::join_all;
use tributary::actors::domain::State;
use tributary::flow::QueryErrorKind;
use tributary::graph::Query;
use tributary::types::Value;

use crate::fixture::{
    Domain, Gate, LOCKED, LONG, ask, config, database, eventually, json, query, run, shared_server, single,
};
use crate::support::{Server, connect};

/// The pause between two interferences with a query.
const PAUSE: Duration = Duration::from_millis(5);

/// Functions that raise an error with any code, and one only for statements older than the last schema change.
const SETUP: &str = "
    CREATE FUNCTION raised(code text) RETURNS int LANGUAGE plpgsql STABLE AS $$
        BEGIN
            IF code <> '' THEN RAISE EXCEPTION 'raised' USING ERRCODE = code; END IF;
            RETURN 1;
        END $$;
    CREATE TABLE changes (at timestamptz);
    INSERT INTO changes VALUES (now());
    CREATE FUNCTION raised_where_outdated(code text) RETURNS int LANGUAGE plpgsql STABLE AS $$
        BEGIN
            IF (SELECT max(prepare_time) < (SELECT at FROM changes) FROM pg_prepared_statements
                WHERE statement LIKE '%raised_where_outdated%' AND statement NOT LIKE '%FROM changes%')
            THEN RAISE EXCEPTION 'raised' USING ERRCODE = code; END IF;
            RETURN 1;
        END $$;
";
const RAISED: &str = "SELECT raised($1) AS n";
const RAISED_WHERE_OUTDATED: &str = "SELECT raised_where_outdated($1) AS n";

/// Codes with severity ERROR, and their problem codes.
const CODES: [(&str, &str); 32] = [
    // Codes of other sessions, passed on by postgres_fdw or dblink.
    ("08000", "query_failed"),
    ("08001", "query_failed"),
    ("08003", "query_failed"),
    ("08006", "query_failed"),
    ("08P01", "query_failed"),
    ("57P01", "query_failed"),
    ("57P02", "query_failed"),
    ("57P03", "query_failed"),
    ("57P04", "query_failed"),
    ("57P05", "query_failed"),
    ("25P03", "query_failed"),
    ("28000", "query_failed"),
    ("28P01", "query_failed"),
    ("3D000", "query_failed"),
    ("22012", "query_failed"),
    ("25006", "query_failed"),
    ("P0001", "query_failed"),
    // The prepared statement may be outdated, so it is prepared again before these are reported.
    ("0A000", "query_failed"),
    ("26000", "query_failed"),
    ("42501", "query_failed"),
    ("42703", "query_failed"),
    ("42704", "query_failed"),
    ("42P01", "query_failed"),
    ("42P05", "query_failed"),
    ("XX000", "query_failed"),
    ("40001", "query_aborted"),
    ("40P01", "query_aborted"),
    ("53100", "query_aborted"),
    ("53200", "query_aborted"),
    ("53300", "query_aborted"),
    ("55P03", "query_aborted"),
    ("57014", "query_aborted"),
];

/// The problem code and SQLSTATE of an outcome. The code is empty for an answer.
fn code_of<T>(outcome: &Result<T, QueryErrorKind>) -> (&'static str, Option<&str>) {
    outcome.as_ref().err().map_or(("", None), |kind| (kind.code(), kind.sqlstate()))
}

async fn once(domain: &Domain, query: &Arc<Query>, param: &str) -> Result<Vec<Value>, QueryErrorKind> {
    let answer = ask(&domain.handle, query, &[Value::text(param)], LONG, None).await;
    answer.map(|answer| answer.rows).map_err(|error| error.kind)
}

/// Asks with each of `params` concurrently, in one statement where that is possible.
async fn together(domain: &Domain, query: &Arc<Query>, params: &[&str]) -> Vec<Result<Vec<Value>, QueryErrorKind>> {
    let asked = params.iter().map(async |param| {
        let answer = ask(&domain.handle, query, &[Value::text(*param)], LONG, None).await;
        answer.map(|answer| answer.rows).map_err(|error| error.kind)
    });
    join_all(asked).await
}

#[actix::test]
async fn each_sqlstate_has_its_problem_code_and_affects_neither_the_domain_nor_other_queries() {
    let (domain, _) = single(shared_server(), "sqlstate_codes", SETUP).await;
    let query = query(RAISED);
    let since = domain.handle.health().since;
    for (sqlstate, expected) in CODES {
        for _ in 0..3 {
            assert_eq!(code_of(&once(&domain, &query, "").await), ("", None), "before {sqlstate}");
        }
        let single = once(&domain, &query, sqlstate).await;
        assert_eq!(code_of(&single), (expected, Some(sqlstate)), "{single:?}");
        let params = ["", "", sqlstate, ""].repeat(5);
        for (param, outcome) in params.iter().zip(together(&domain, &query, &params).await) {
            let expected = if param.is_empty() { ("", None) } else { (expected, Some(sqlstate)) };
            assert_eq!(code_of(&outcome), expected, "{sqlstate} among others: {outcome:?}");
        }
    }
    let health = domain.handle.health();
    let coalesces = crate::support::coalescing() == tributary::config::Coalescing::Auto;
    assert_eq!(health.batches.uncoalesced > 0, coalesces, "some queries were coalesced");
    assert_eq!((health.state, health.since), (State::Ready, since));
    domain.drain().await;
}

#[actix::test]
async fn a_statement_is_prepared_again_after_every_code_that_a_schema_change_can_raise() {
    let server = shared_server();
    let (domain, config) = single(server, "sqlstate_outdated", SETUP).await;
    let query = query(RAISED_WHERE_OUTDATED);
    let change = "UPDATE changes SET at = clock_timestamp()";
    for sqlstate in ["0A000", "26000", "42501", "42703", "42704", "42804", "42883", "42P01", "42P05", "42P18", "XX000"]
    {
        for together_too in [false, true] {
            assert_eq!(code_of(&once(&domain, &query, sqlstate).await), ("", None), "{sqlstate}");
            run(server, &config.connection.database, change).await;
            assert_eq!(code_of(&once(&domain, &query, sqlstate).await), ("", None), "{sqlstate} after a change");
            if together_too {
                run(server, &config.connection.database, change).await;
                for outcome in together(&domain, &query, &[sqlstate; 20]).await {
                    assert_eq!(code_of(&outcome), ("", None), "{sqlstate} after a change, among others");
                }
            }
        }
    }
    // After other codes it is not.
    run(server, &config.connection.database, change).await;
    for sqlstate in ["22012", "P0001", "08006"] {
        assert_eq!(code_of(&once(&domain, &query, sqlstate).await), ("query_failed", Some(sqlstate)));
    }
    domain.drain().await;
}

#[actix::test]
async fn a_type_that_is_dropped_and_created_again_is_found() {
    let server = shared_server();
    let setup = "CREATE TYPE mood AS ENUM ('glad')";
    let (domain, config) = single(server, "sqlstate_type", setup).await;
    let query = query("SELECT $1::mood AS mood");
    for _ in 0..3 {
        for _ in 0..3 {
            assert_eq!(code_of(&once(&domain, &query, "glad").await), ("", None));
        }
        run(server, &config.connection.database, &format!("DROP TYPE mood; {setup}")).await;
        for outcome in together(&domain, &query, &["glad"; 10]).await {
            assert_eq!(code_of(&outcome), ("", None), "{outcome:?}");
        }
    }
    domain.drain().await;
}

#[actix::test]
async fn statements_that_are_deallocated_are_prepared_again() {
    let server = shared_server();
    let setup = "CREATE FUNCTION forget() RETURNS int LANGUAGE plpgsql AS
        $$ BEGIN EXECUTE 'DEALLOCATE ALL'; RETURN 1; END $$";
    let (domain, _) = single(server, "sqlstate_deallocated", setup).await;
    for _ in 0..3 {
        assert_eq!(domain.value("SELECT $1::int8 AS n", &[json("7")]).await, json("7"));
        domain.value("SELECT forget() AS n", &[]).await;
    }
    assert_eq!(domain.handle.health().state, State::Ready);
    domain.drain().await;
}

#[actix::test]
async fn a_query_that_another_client_cancels_is_retried_and_then_aborted() {
    let server = shared_server();
    let setup = "CREATE FUNCTION forever() RETURNS int LANGUAGE sql AS 'SELECT 1 FROM pg_sleep(600)'";
    let database = database(server, "sqlstate_cancel", setup).await;
    let domain = Domain::ready(config(server, &database)).await;
    let admin = connect(&server.url(&database)).await;
    let cancel = async |text: &str| {
        let cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND \
                      state = 'active' AND query LIKE $1 AND pid <> pg_backend_pid()";
        admin.query(cancel, &[&text]).await.expect("cancelled").len()
    };
    // Once: the query is retried.
    let gate = Gate::shut(server, &database).await;
    let asked = domain.ask(LOCKED, &[]);
    let cancelled = async {
        eventually("the query is cancelled", async || cancel("%pg_advisory_xact_lock_shared%").await > 0).await;
        gate.open().await;
    };
    let (answer, ()) = tokio::join!(asked, cancelled);
    assert_eq!(answer.expect("rows").rows.len(), 1);
    // Repeatedly: the query is aborted. It is no timeout, because all limits are longer.
    let stop = tokio::sync::Notify::new();
    let again = async {
        tokio::select! {
            () = stop.notified() => {}
            () = async { loop { cancel("%forever%").await; sleep(PAUSE).await; } } => {}
        }
    };
    let asked = async {
        let outcome = domain.ask_within("SELECT forever() AS n", &[], LONG, Some(LONG)).await;
        stop.notify_one();
        outcome.map_err(|error| error.kind)
    };
    let (outcome, ()) = tokio::join!(asked, again);
    assert_eq!(code_of(&outcome), ("query_aborted", Some("57014")), "{outcome:?}");
    assert_eq!(domain.handle.health().state, State::Ready);
    domain.drain().await;
}

#[actix::test]
async fn a_statement_timeout_of_the_session_is_a_timeout() {
    let server = shared_server();
    let database = database(server, "sqlstate_timeout", "").await;
    let mut config = config(server, &database);
    config.timeouts.query = Duration::from_millis(200);
    let domain = Domain::ready(config).await;
    for _ in 0..3 {
        // The deadline is later, so the server ends the query.
        let outcome = domain.ask_within("SELECT 1 AS n FROM pg_sleep(30)", &[], LONG, None).await;
        let kind = outcome.expect_err("a timeout").kind;
        assert!(matches!(kind, QueryErrorKind::Timeout { .. }), "{kind:?}");
    }
    domain.drain().await;
}

#[actix::test]
async fn a_lock_timeout_aborts_the_query_unless_the_lock_is_released_in_time() {
    let server = shared_server();
    let database = database(server, "sqlstate_lock", "CREATE TABLE locked AS SELECT 1 AS n").await;
    let mut config = config(server, &database);
    config.connection.options = "-c lock_timeout=50".to_owned();
    let domain = Domain::ready(config).await;
    let holder = connect(&server.url(&database)).await;
    holder.batch_execute("BEGIN; LOCK TABLE locked").await.expect("locked");
    let asked = query("SELECT n FROM locked WHERE n = $1");
    let one = [json("1")];
    let outcomes = join_all((0..10).map(|_| ask(&domain.handle, &asked, &one, LONG, None))).await;
    for outcome in outcomes {
        let outcome = outcome.map_err(|error| error.kind);
        assert_eq!(code_of(&outcome), ("query_aborted", Some("55P03")), "{outcome:?}");
    }
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'locked'::regclass";
    let released = async {
        eventually("the query waits", async || {
            holder.query_one(waiting, &[]).await.expect("a count").get::<_, i64>(0) > 0
        })
        .await;
        holder.batch_execute("ROLLBACK").await.expect("released");
    };
    let (answer, ()) = tokio::join!(ask(&domain.handle, &asked, &one, LONG, None), released);
    assert_eq!(answer.expect("rows").rows.len(), 1);
    assert_eq!(domain.handle.health().state, State::Ready);
    domain.drain().await;
}

/// A read-only anomaly, as PostgreSQL's documentation ("Transaction Isolation") and the wiki's page on SSI describe it.
#[actix::test]
async fn a_query_with_a_serialization_failure_is_retried() {
    let server = shared_server();
    let setup = "CREATE TABLE batch AS SELECT 1 AS number; CREATE TABLE receipts (batch int);
        INSERT INTO receipts VALUES (1)";
    let database = database(server, "sqlstate_serialization", setup).await;
    let mut config = config(server, &database);
    config.connection.options = "-c default_transaction_isolation=serializable".to_owned();
    let domain = Domain::ready(config).await;
    let (clerk, closer) = (connect(&server.url(&database)).await, connect(&server.url(&database)).await);
    let serializable = "BEGIN ISOLATION LEVEL SERIALIZABLE";
    clerk.batch_execute(&format!("{serializable}; SELECT number FROM batch")).await.expect("read");
    closer.batch_execute(&format!("{serializable}; UPDATE batch SET number = 2; COMMIT")).await.expect("closed");
    let gate = Gate::shut(server, &database).await;
    let report = "SELECT counted.n FROM (SELECT number, pg_advisory_xact_lock_shared(7) AS gate FROM batch OFFSET 0) AS b \
                  CROSS JOIN LATERAL (SELECT count(*) AS n FROM receipts WHERE batch < b.number AND b.gate IS NOT NULL) \
                  AS counted";
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory' AND database = \
                   (SELECT oid FROM pg_database WHERE datname = current_database())";
    let interfere = async {
        eventually("the report waits", async || {
            closer.query_one(waiting, &[]).await.expect("a count").get::<_, i64>(0) > 0
        })
        .await;
        clerk.batch_execute("INSERT INTO receipts VALUES (1); COMMIT").await.expect("written");
        gate.open().await;
    };
    let (counted, ()) = tokio::join!(domain.value(report, &[]), interfere);
    // Without the retry the count would be 1: the first snapshot is older than the second receipt.
    assert_eq!(counted, json("2"));
    domain.drain().await;
}

#[actix::test]
async fn a_query_in_a_deadlock_is_retried() {
    let server = shared_server();
    let database = database(server, "sqlstate_deadlock", "").await;
    let mut config = config(server, &database);
    config.connection.options = "-c deadlock_timeout=50ms".to_owned();
    let domain = Domain::ready(config).await;
    let other = connect(&server.url(&database)).await;
    // Only the service's session checks for deadlocks early.
    other
        .batch_execute("SET deadlock_timeout = '10min'; BEGIN; SELECT pg_advisory_xact_lock(2)")
        .await
        .expect("locked");
    let text = "SELECT 1 AS n FROM (SELECT pg_advisory_xact_lock(1) AS gate OFFSET 0) AS a \
                CROSS JOIN LATERAL (SELECT pg_advisory_xact_lock(2) WHERE a.gate IS NOT NULL) AS b";
    let admin = connect(&server.url(&database)).await;
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory' AND database = \
                   (SELECT oid FROM pg_database WHERE datname = current_database())";
    let interfere = async {
        eventually("the query waits", async || {
            admin.query_one(waiting, &[]).await.expect("a count").get::<_, i64>(0) > 0
        })
        .await;
        other.batch_execute("SELECT pg_advisory_xact_lock(1); COMMIT").await.expect("the service gave way");
    };
    let (answer, ()) = tokio::join!(domain.value(text, &[]), interfere);
    assert_eq!(answer, json("1"));
    domain.drain().await;
}

#[actix::test]
async fn an_unreachable_foreign_server_is_no_lost_connection() {
    let server = shared_server();
    let setup = "CREATE EXTENSION postgres_fdw; CREATE SERVER gone FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', \
        port '1'); CREATE USER MAPPING FOR postgres SERVER gone; CREATE FOREIGN TABLE away (n int) SERVER gone";
    let database = database(server, "sqlstate_fdw", setup).await;
    let domain = Domain::ready(config(server, &database)).await;
    for _ in 0..3 {
        let outcome = domain.ask("SELECT n FROM away", &[]).await.map_err(|error| error.kind);
        assert_eq!(code_of(&outcome), ("query_failed", Some("08001")), "{outcome:?}");
    }
    assert_eq!(domain.handle.health().state, State::Ready);
    domain.drain().await;
}

#[actix::test]
async fn a_query_whose_session_the_server_ends_is_retried_and_then_a_lost_connection() {
    let server = shared_server();
    let database = database(server, "sqlstate_fatal", "").await;
    let domain = Domain::ready(config(server, &database)).await;
    let admin = connect(&server.url(&database)).await;
    let terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND \
                     state = 'active' AND query LIKE $1 AND pid <> pg_backend_pid()";
    let end = async |text: &str| admin.query(terminate, &[&text]).await.expect("terminated").len();
    let gate = Gate::shut(server, &database).await;
    let once = async {
        eventually("the session is ended", async || end("%pg_advisory_xact_lock_shared%").await > 0).await;
        gate.open().await;
    };
    let (answer, ()) = tokio::join!(domain.ask(LOCKED, &[]), once);
    assert_eq!(answer.expect("rows").rows.len(), 1);
    let stop = tokio::sync::Notify::new();
    let always = async {
        tokio::select! {
            () = stop.notified() => {}
            () = async { loop { end("%pg_sleep(601)%").await; sleep(PAUSE).await; } } => {}
        }
    };
    let asked = async {
        let outcome = domain.ask_within("SELECT 1 AS n FROM pg_sleep(601)", &[], LONG, Some(LONG)).await;
        stop.notify_one();
        outcome.map_err(|error| error.kind)
    };
    let (outcome, ()) = tokio::join!(asked, always);
    assert_eq!(code_of(&outcome).0, "connection_lost", "{outcome:?}");
    domain.drain().await;
}

#[actix::test]
async fn a_rejected_login_and_a_missing_database_make_the_domain_down() {
    let server = Server::disposable(&[]).expect("a server");
    run(&server, "postgres", "CREATE ROLE insider LOGIN").await;
    database(&server, "vault", "REVOKE CONNECT ON DATABASE vault FROM PUBLIC").await;
    let cases = [("nobody", "postgres", "28000"), ("insider", "nowhere", "3D000"), ("insider", "vault", "42501")];
    for (user, database, sqlstate) in cases {
        let mut config = config(&server, database);
        config.connection.user = user.to_owned();
        let domain = Domain::start(config);
        let outcome = domain.ask("SELECT 1 AS n", &[]).await.map_err(|error| error.kind);
        assert_eq!(code_of(&outcome).0, "domain_unavailable", "{outcome:?}");
        let State::Down { why, .. } = domain.handle.health().state else { panic!("{sqlstate}: not down") };
        assert!(why.contains(sqlstate), "{why}");
        domain.drain().await;
    }
}
