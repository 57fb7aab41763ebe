//! Queries that share connections: none waits behind a slow one, and none is cancelled with another.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::clock::{sleep, timeout};
use futures_util::future::join_all;
use tributary::actors::domain::DomainHandle;
use tributary::config::{Coalescing, DomainConfig};
use tributary::graph::Query;
use tributary::types::Value;

use crate::fixture::{
    Domain, LONG, ask, config, database, eventually, first, json, query, run, sessions, shared_server, stalls,
};

/// The duration of a slow query, and the limit of a quick one beyond the delays of the machine (see [`stalls`]).
const SLOW: Duration = Duration::from_secs(2);
const QUICK: Duration = Duration::from_secs(1);

async fn roomy(name: &str) -> DomainConfig {
    let server = shared_server();
    let database = database(server, name, "").await;
    let mut config = config(server, &database);
    config.pool.max = 8;
    config
}

/// A query whose second parameter is its duration in seconds.
fn sleeper() -> Arc<Query> {
    query("SELECT $1::int8 * 2 AS n FROM pg_sleep($2)")
}

/// Asks until the domain has measured that `query` is quick.
async fn warm_up(handle: &DomainHandle, query: &Arc<Query>) {
    for _ in 0..20 {
        ask(handle, query, &[json("1"), json("0")], LONG, None).await.expect("rows");
    }
}

/// Asks repeatedly with distinct numbers, checks every answer, and returns the duration of the slowest.
async fn slowest_of(handle: &DomainHandle, query: &Arc<Query>, client: i64, until: Instant) -> Duration {
    let (mut slowest, mut n) = (Duration::ZERO, client * 1_000_000);
    while Instant::now() < until {
        n += 1;
        let asked = Instant::now();
        let answer = ask(handle, query, &[n.into(), json("0")], LONG, None).await.expect("rows");
        assert_eq!((answer.rows.len(), first(&answer.rows[0])), (1, Value::Integer(n * 2)));
        slowest = slowest.max(asked.elapsed());
    }
    slowest
}

/// No quick query waited for a slow one. (On a machine that delays a plain query for as long, this cannot fail.)
fn assert_quick(slowest: &[Duration], stalled: Duration) {
    let slowest = slowest.iter().max().expect("clients");
    assert!(*slowest < QUICK + stalled, "a quick query took {slowest:?}, a plain one {stalled:?}");
}

#[actix::test]
async fn quick_queries_stay_quick_beside_many_slow_ones() {
    let domain = Domain::ready(roomy("quick_beside_slow").await).await;
    let (quick, slow) = (sleeper(), sleeper());
    warm_up(&domain.handle, &quick).await;
    let asleep = [json("1"), json(&format!("{}", SLOW.as_secs()))];
    ask(&domain.handle, &slow, &asleep, LONG, None).await.expect("rows");
    let until = Instant::now() + SLOW * 2;
    let sleepers = join_all((0..12).map(|_| async {
        // Some of them time out in the queue. None of them delays the quick ones.
        while Instant::now() < until {
            drop(ask(&domain.handle, &slow, &asleep, LONG, None).await);
        }
    }));
    let askers = join_all((0..16).map(|client| slowest_of(&domain.handle, &quick, client, until)));
    let (_, slowest, stalled) = tokio::join!(sleepers, askers, stalls(shared_server(), until));
    assert_quick(&slowest, stalled);
    domain.drain().await;
}

#[actix::test]
async fn a_query_behind_one_that_turns_out_slow_is_sent_over_another_connection() {
    let domain = Domain::ready(roomy("turns_slow").await).await;
    let query = sleeper();
    warm_up(&domain.handle, &query).await;
    let until = Instant::now() + SLOW;
    let surprise = async {
        sleep(Duration::from_millis(200)).await;
        let answer = ask(&domain.handle, &query, &[json("21"), json(&format!("{}", SLOW.as_secs()))], LONG, None).await;
        assert_eq!(first(&answer.expect("rows").rows[0]), json("42"));
    };
    let askers = join_all((0..16).map(|client| slowest_of(&domain.handle, &query, client, until)));
    let ((), slowest, stalled) = tokio::join!(surprise, askers, stalls(shared_server(), until));
    assert_quick(&slowest, stalled);
    domain.drain().await;
}

#[actix::test]
async fn an_abandoned_query_does_not_fail_others_of_its_statement() {
    let config = roomy("leavers").await;
    let domain = Domain::ready(config.clone()).await;
    let query = sleeper();
    warm_up(&domain.handle, &query).await;
    for round in 0..20_i64 {
        let asked = (0..30_i64).map(|n| {
            let (handle, query, n) = (domain.handle.clone(), Arc::clone(&query), round * 100 + n);
            async move {
                let params = [n.into(), json("0.002")];
                let asked = ask(&handle, &query, &params, LONG, None);
                if n % 3 == 0 {
                    drop(timeout(Duration::from_millis(3), asked).await);
                } else {
                    let answer = asked.await.expect("rows: only its neighbour was abandoned");
                    assert_eq!((answer.rows.len(), first(&answer.rows[0])), (1, Value::Integer(n * 2)));
                }
            }
        });
        join_all(asked).await;
    }
    eventually("no query is in flight", async || domain.handle.health().in_flight == 0).await;
    let most = i64::try_from(config.pool.max + 1).expect("few");
    assert!(sessions(shared_server(), &config.connection.database).await <= most);
    eventually("no session is left over", async || {
        let pool = domain.handle.health().pool;
        (pool.idle, pool.waiting) == (pool.size, 0)
    })
    .await;
    domain.drain().await;
}

#[actix::test]
async fn a_query_past_its_deadline_is_stopped_without_its_neighbours() {
    let domain = Domain::ready(roomy("late_among_others").await).await;
    let query = sleeper();
    warm_up(&domain.handle, &query).await;
    let late = async {
        let limit = Duration::from_millis(300);
        let outcome = ask(&domain.handle, &query, &[json("1"), json("30")], limit, None).await;
        outcome.expect_err("a timeout");
    };
    let until = Instant::now() + Duration::from_secs(1);
    let ((), _) = tokio::join!(late, slowest_of(&domain.handle, &query, 1, until));
    eventually("the query is stopped", async || {
        let pool = domain.handle.health().pool;
        pool.idle == pool.size
    })
    .await;
    domain.drain().await;
}

#[actix::test]
async fn one_slow_key_does_not_delay_those_coalesced_with_it() {
    let mut config = roomy("slow_key").await;
    config.pool.coalesce = Coalescing::Auto;
    let nap = "CREATE FUNCTION nap(seconds float8) RETURNS text LANGUAGE plpgsql STABLE AS \
               $$ BEGIN PERFORM pg_sleep(seconds); RETURN 'rested'; END $$";
    run(shared_server(), &config.connection.database, nap).await;
    let domain = Domain::ready(config).await;
    let query = query("SELECT $1::int8 * 2 AS n, nap($2) AS nap");
    warm_up(&domain.handle, &query).await;
    let until = Instant::now() + SLOW;
    let sleepers = join_all((0..3_i64).map(|n| {
        let (handle, query) = (&domain.handle, &query);
        async move {
            sleep(Duration::from_millis(200 * n.unsigned_abs())).await;
            let params = [n.into(), json(&format!("{}", SLOW.as_secs()))];
            let answer = ask(handle, query, &params, LONG, None).await.expect("rows");
            assert_eq!(first(&answer.rows[0]), Value::Integer(n * 2));
        }
    }));
    let askers = join_all((0..24).map(|client| slowest_of(&domain.handle, &query, client, until)));
    let (_, slowest, stalled) = tokio::join!(sleepers, askers, stalls(shared_server(), until));
    assert_quick(&slowest, stalled);
    domain.drain().await;
}
