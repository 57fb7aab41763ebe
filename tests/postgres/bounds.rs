//! Results are read only up to one row more than the node takes, and a long result does not delay other queries.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tributary::config::{Coalescing, DomainConfig, Statements};
use tributary::graph::Query;
use tributary::types::Value;

use crate::fixture::{Domain, LONG, ask, config, database, eventually, json, query, query_of, sessions, shared_server};
use crate::logs::run;

const MILLION: &str = "SELECT n, repeat('x', 200) AS filler FROM generate_series(1, 1000000) AS n";

/// Much less than reading a million rows takes, which is several seconds in a debug build.
const QUICKLY: Duration = Duration::from_secs(3);

/// Longer than reading a million rows takes on a busy machine.
const MINUTES: Duration = Duration::from_secs(180);

fn configs(database: &str) -> impl Iterator<Item = (&'static str, DomainConfig)> {
    [("prepared", Statements::Prepared), ("unprepared", Statements::Unprepared)].into_iter().map(
        move |(word, statements)| {
            let mut config = config(shared_server(), database);
            config.pool.statements = statements;
            (word, config)
        },
    )
}

#[actix::test]
async fn a_million_rows_are_not_read_where_the_node_takes_one() {
    let database = database(shared_server(), "bounds_million", "").await;
    for (word, config) in configs(&database) {
        let domain = Domain::ready(config).await;
        let million = query_of(MILLION, 1);
        for _ in 0..5 {
            let asked = Instant::now();
            let answer = ask(&domain.handle, &million, &[], LONG, None).await.expect("rows");
            assert_eq!(answer.rows.len(), 2, "{word}: one row more than is taken");
            assert!(asked.elapsed() < QUICKLY, "{word}: {:?}", asked.elapsed());
            // Connections with unread rows are not used for other queries.
            assert_eq!(domain.value("SELECT 1 AS n", &[]).await, json("1"), "{word}");
        }
        domain.drain().await;
    }
}

#[actix::test]
async fn a_query_that_the_server_still_runs_is_stopped_once_its_node_has_too_many_rows() {
    let database = database(shared_server(), "bounds_stopped", "").await;
    let mut config = config(shared_server(), &database);
    config.timeouts.query = Duration::from_secs(600);
    let domain = Domain::ready(config).await;
    // Rows come slowly, so that only a cancel ends the query during this test.
    let endless =
        query_of("SELECT repeat(pg_sleep(0.001)::text || 'x', 9000) AS x, n FROM generate_series(1, 500000) AS n", 1);
    let answer = ask(&domain.handle, &endless, &[], LONG, None).await.expect("rows");
    assert_eq!(answer.rows.len(), 2);
    let running = "SELECT count(*) AS n FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%500000) AS n'";
    eventually("the server has stopped", || async { domain.value(running, &[]).await == Value::Integer(0) }).await;
    domain.drain().await;
}

#[actix::test]
async fn two_rows_where_the_node_takes_one_cost_no_connection() {
    let database = database(shared_server(), "bounds_two", "").await;
    let domain = Domain::ready(config(shared_server(), &database)).await;
    let three = query_of("SELECT n, pg_backend_pid() AS pid FROM generate_series(1, 3) AS n", 1);
    let mut pids = std::collections::HashSet::new();
    for _ in 0..200 {
        let answer = ask(&domain.handle, &three, &[], LONG, None).await.expect("rows");
        assert_eq!(answer.rows.len(), 2);
        let Value::Map(row) = &answer.rows[0] else { panic!("no row") };
        pids.insert(row.get("pid").expect("a column").to_string());
    }
    assert!(pids.len() <= 8, "{} sessions for 200 queries", pids.len());
    assert!(sessions(shared_server(), &database).await <= 5, "four of the pool and the probe's");
    domain.drain().await;
}

#[actix::test]
async fn rows_are_read_up_to_the_limit_of_the_node_and_one_more() {
    let database = database(shared_server(), "bounds_many", "").await;
    for (word, config) in configs(&database) {
        let domain = Domain::ready(config).await;
        for (rows, max, read) in [(0, 5, 0), (4, 5, 4), (5, 5, 5), (6, 5, 6), (7, 5, 6), (20_000, 10_000, 10_001)] {
            let rows = query_of(&format!("SELECT n FROM generate_series(1, {rows}) AS n"), max);
            // First exclusively, and then over a shared connection.
            for _ in 0..4 {
                let answer = ask(&domain.handle, &rows, &[], LONG, None).await.expect("rows");
                assert_eq!(answer.rows.len(), read, "{word}");
            }
        }
        domain.drain().await;
    }
}

#[actix::test]
async fn coalesced_queries_each_have_their_own_row_limit() {
    let database = database(shared_server(), "bounds_together", "").await;
    let domain = Domain::ready(config(shared_server(), &database)).await;
    let node = query_of("SELECT n FROM generate_series(1, $1::int8) AS n", 1);
    let mut together = 0;
    for round in 0..40 {
        // One of the keys has a million rows in some rounds, and a few in others.
        let large = if round % 4 == 0 { 1_000_000 } else { 3 };
        let asked = Instant::now();
        let asks = (0..24).map(async |number| {
            let rows = match number {
                7 => large,
                8 => 0,
                _ => number % 2,
            };
            let answer = ask(&domain.handle, &node, &[Value::Integer(rows)], LONG, None).await;
            let answer = answer.expect("rows");
            let read = usize::try_from(rows.min(2)).expect("few");
            assert_eq!(answer.rows.len(), read, "{rows} rows");
            answer.together
        });
        let most = futures_util::future::join_all(asks).await.into_iter().max().expect("some");
        together = together.max(most);
        assert!(asked.elapsed() < QUICKLY, "{:?}", asked.elapsed());
    }
    if crate::support::coalescing() == Coalescing::Auto {
        assert!(together > 1, "some queries were coalesced");
    }
    domain.drain().await;
}

#[actix::test]
async fn the_error_of_too_many_rows_names_the_node_and_the_remedy() {
    let database = database(shared_server(), "bounds_flow", "").await;
    let url = shared_server().url(&database);
    let flow = |rows: &str| {
        format!(
            "flow: lines\ninput:\n  person: {{ type: text }}\nnodes:\n  lines:\n    type: DBNode\n    database: credit_db\n    \
             query: \"SELECT n FROM generate_series(1, 20000) AS n WHERE $1 = $1::text\"\n    {rows}\noutcomes:\n  - \
             {{ status: fine }}\n"
        )
    };
    for (rows, expected) in [
        ("rows: one", "node `lines` expects one row and found more in domain `credit_db`"),
        ("rows: optional", "node `lines` expects one row and found more in domain `credit_db`"),
        (
            "{ rows: many }",
            "node `lines` found more rows than its `max_rows` of 10000 in domain `credit_db`: raise `max_rows`",
        ),
        (
            "{ rows: many, max_rows: 3 }",
            "node `lines` found more rows than its `max_rows` of 3 in domain `credit_db`: raise `max_rows`",
        ),
    ] {
        let rows = rows.trim_matches(['{', '}', ' ']).replace(", ", "\n    ");
        let asked = Instant::now();
        let output = run(&flow(&rows), &url, "warn");
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!output.status.success() && text.contains(expected), "{rows}: {text}");
        assert!(asked.elapsed() < LONG, "{rows}");
    }
    let output = run(&flow("rows: many\n    max_rows: 20000"), &url, "warn");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[actix::test]
async fn other_queries_are_answered_while_a_million_rows_are_read() {
    let database = database(shared_server(), "bounds_others", "").await;
    let mut config = config(shared_server(), &database);
    config.timeouts.query = MINUTES;
    let domain = Domain::ready(config).await;
    let quick: Arc<Query> = query("SELECT $1::int8 AS n");
    let question = &quick;
    for number in 0..50 {
        ask(&domain.handle, question, &[Value::Integer(number)], LONG, None).await.expect("an answer");
    }
    let done = AtomicBool::new(false);
    let million = query_of("SELECT n FROM generate_series(1, 1000000) AS n", 2_000_000);
    let reading = async {
        let asked = Instant::now();
        let answer = ask(&domain.handle, &million, &[], MINUTES, Some(MINUTES)).await.expect("rows");
        let took = asked.elapsed();
        done.store(true, Ordering::Relaxed);
        (answer.rows.len(), took)
    };
    // On the same thread as the reader of the rows.
    let asking = async {
        let (mut answers, mut slowest) = (0_u32, Duration::ZERO);
        while !done.load(Ordering::Relaxed) {
            let asked = Instant::now();
            ask(&domain.handle, question, &[Value::Integer(1)], LONG, None).await.expect("an answer");
            slowest = slowest.max(asked.elapsed());
            answers += 1;
        }
        (answers, slowest)
    };
    let ((rows, took), (answers, slowest)) = tokio::join!(reading, asking);
    assert_eq!(rows, 1_000_000);
    assert!(answers > 100, "{answers} answers while a million rows were read, which took {took:?}");
    // If the reader did not yield, one of the other queries would take as long as the reader.
    assert!(slowest < took / 4, "the slowest of {answers} answers took {slowest:?} of {took:?}");
    domain.drain().await;
}
