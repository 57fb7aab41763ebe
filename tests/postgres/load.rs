//! A load of clients that check every answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use actix::clock::sleep;
use tokio::task::JoinHandle;
use tributary::actors::domain::DomainHandle;
use tributary::flow::QueryError;
use tributary::graph::Query;
use tributary::types::Value;

use crate::fixture::{ask, first, query};

/// The deadline of each query of the load.
pub(crate) const LIMIT: Duration = Duration::from_secs(4);

/// The pause between two queries of a client. The clients of many tests share two processors with the servers.
const PAUSE: Duration = Duration::from_millis(5);

/// The outcomes of a load.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) answers: usize,
    pub(crate) errors: Vec<QueryError>,
    pub(crate) slowest: Duration,
}

/// Running clients.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Tally>>,
}

impl Load {
    /// Starts this number of clients.
    pub(crate) fn start(handle: &DomainHandle, clients: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let question = query("SELECT $1::int8 * 2 AS n");
        let start = |client: i64| actix::spawn(work(handle.clone(), Arc::clone(&question), Arc::clone(&stop), client));
        let clients = (0..i64::try_from(clients).expect("few")).map(start).collect();
        Self { stop, clients }
    }

    /// Stops the clients.
    pub(crate) async fn finish(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Tally::default();
        for client in self.clients {
            let tally = client.await.expect("no client panics: no answer was wrong");
            all.answers += tally.answers;
            all.errors.extend(tally.errors);
            all.slowest = all.slowest.max(tally.slowest);
        }
        assert!(all.slowest < LIMIT + Duration::from_secs(1), "a client waited for {:?}", all.slowest);
        all
    }
}

async fn work(handle: DomainHandle, question: Arc<Query>, stop: Arc<AtomicBool>, client: i64) -> Tally {
    let mut tally = Tally::default();
    let mut n = client * 1_000_000;
    while !stop.load(Ordering::Relaxed) {
        n += 1;
        let asked = Instant::now();
        let params = [Value::Integer(n)];
        // Every second client has a longer timeout than the session.
        let timeout = (client % 2 == 1).then_some(LIMIT);
        let answer = ask(&handle, &question, &params, LIMIT, timeout).await;
        match answer {
            Ok(answer) => {
                assert_eq!((answer.rows.len(), first(&answer.rows[0])), (1, Value::Integer(n * 2)));
                tally.answers += 1;
            }
            Err(error) => tally.errors.push(error),
        }
        tally.slowest = tally.slowest.max(asked.elapsed());
        sleep(PAUSE).await;
    }
    tally
}
