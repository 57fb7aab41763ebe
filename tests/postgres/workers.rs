//! The workers of a domain on several threads: each has its own connections while there are enough. Otherwise threads share workers, and
//! workers release connections to each other.

use std::time::{Duration, Instant};

use actix::Arbiter;
use futures_util::future::join_all;
use tokio::sync::oneshot;
use tributary::actors::domain::DomainHandle;
use tributary::flow::{QueryAnswer, QueryError};

use crate::fixture::{Domain, LONG, ask, config, database, eventually, json, query, sessions, shared_server};

/// Asks from another thread.
async fn ask_on(thread: &Arbiter, handle: &DomainHandle, text: &'static str) -> Result<QueryAnswer, QueryError> {
    let ((sender, receiver), handle) = (oneshot::channel(), handle.clone());
    thread.spawn_fn(move || {
        actix::spawn(async move {
            let answer = ask(&handle, &query(text), &[json("1")], LONG, None).await;
            drop(sender.send(answer));
        });
    });
    receiver.await.expect("an outcome")
}

/// A domain with `min` to `max` connections, one of which is the probe's.
async fn domain(name: &str, min: usize, max: usize) -> (String, Domain) {
    let server = shared_server();
    let database = database(server, name, "").await;
    let mut config = config(server, &database);
    (config.pool.min, config.pool.max) = (min, max);
    (database, Domain::ready(config).await)
}

#[actix::test]
async fn more_threads_than_connections_share_workers() {
    let (database, domain) = domain("shared_workers", 1, 2).await;
    let threads: Vec<Arbiter> = (0..4).map(|_| Arbiter::new()).collect();
    for _ in 0..20 {
        let answers = threads.iter().map(|thread| ask_on(thread, &domain.handle, "SELECT $1::int8 AS n"));
        for answer in join_all(answers).await {
            assert_eq!(answer.expect("rows").rows.len(), 1);
        }
    }
    assert!(sessions(shared_server(), &database).await <= 2, "the probe's and one for queries");
    domain.drain().await;
}

#[actix::test]
async fn a_worker_releases_idle_connections_for_which_another_waits() {
    let (_, domain) = domain("given_up", 0, 3).await;
    let slow = query("SELECT $1::int8 AS n FROM pg_sleep(0.2)");
    let one = [json("1")];
    let both = (0..2).map(|_| ask(&domain.handle, &slow, &one, LONG, None));
    for answer in join_all(both).await {
        assert_eq!(answer.expect("rows").rows.len(), 1);
    }
    assert_eq!(domain.handle.health().pool.size, 2, "both are held here");
    let (there, asked) = (Arbiter::new(), Instant::now());
    let answer = ask_on(&there, &domain.handle, "SELECT $1::int8 AS n").await;
    assert_eq!(answer.expect("rows").rows.len(), 1);
    // Well before the idle timeout of this worker.
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    eventually("the connections are counted", async || domain.handle.health().pool.size <= 2).await;
    domain.drain().await;
}

#[actix::test]
async fn each_thread_makes_its_own_connections_and_the_minimum_is_distributed() {
    let (database, domain) = domain("shared_out", 5, 10).await;
    let threads: Vec<Arbiter> = (0..2).map(|_| Arbiter::new()).collect();
    for thread in &threads {
        ask_on(thread, &domain.handle, "SELECT $1::int8 AS n").await.expect("rows");
    }
    eventually("the minimum is open", async || domain.handle.health().pool.size >= 5).await;
    assert!(domain.handle.health().pool.size <= 5 + 2, "{:?}", domain.handle.health().pool);
    domain.drain().await;
    eventually("every connection is closed", async || sessions(shared_server(), &database).await == 0).await;
}
