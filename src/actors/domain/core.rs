//! What one generation of a domain's actor shares with its workers and handles.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix::Addr;
use arc_swap::ArcSwapOption;
use futures_util::future::join_all;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::{sleep, timeout};

use super::state::{DomainStatus, Event, Moment, State};
use super::worker::{Ask, DomainWorker, Fill, Notice};
use crate::config::DomainConfig;
use crate::flow::{QueryAnswer, QueryErrorKind};
use crate::graph::{Description, Query};
use crate::metrics::Batches;
use crate::postgres::{ConnectError, Pool, PoolSetupError, PoolStatus, Session};
use crate::types::{Deadline, Value};

/// How long closed connections may take to be gone after everything else is.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a drain looks whether anything is still in flight.
const DRAIN_PAUSE: Duration = Duration::from_millis(5);
/// Connections that slow statements leave to quick ones at least.
const RESERVED: usize = 2;
/// Slow statements leave at least this part of the connections.
const RESERVED_PART: usize = 4;

/// The parts of one domain's actor.
#[derive(Debug)]
pub(in crate::actors) struct Core {
    config: DomainConfig,
    pool: Pool,
    status: watch::Sender<DomainStatus>,
    workers: Box<[Slot]>,
    /// Held while a worker is started.
    starting: Mutex<()>,
    restarts: Arc<AtomicU64>,
    in_flight: AtomicUsize,
    /// Slow statements that run, and how many may.
    slow: AtomicUsize,
    slow_places: usize,
    pub(super) batches: Batches,
    probe_request: Notify,
}

/// The worker of one thread, or of several where there are more threads than connections.
#[derive(Debug, Default)]
struct Slot {
    address: ArcSwapOption<Addr<DomainWorker>>,
    waiting: AtomicUsize,
    idle: AtomicUsize,
}

/// What is asked of a domain's worker.
#[derive(Debug, Clone)]
pub(in crate::actors) struct Question {
    pub(super) query: Arc<Query>,
    pub(super) params: Arc<[Value]>,
    /// How long it may wait for a connection.
    pub(super) wait: Duration,
    /// By when it is answered in any case.
    pub(super) deadline: Instant,
    /// How long it may take once it is sent.
    pub(super) work: Duration,
    /// Whether it belongs to a batch.
    pub(super) in_bulk: bool,
}

/// Counts a request as in flight for as long as it lives.
#[derive(Debug)]
pub(in crate::actors) struct InFlight(Arc<Core>);

impl InFlight {
    fn begin(core: &Arc<Core>) -> Self {
        core.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(core))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The place of a slow statement.
#[derive(Debug)]
pub(super) struct SlowPlace(Arc<Core>);

impl SlowPlace {
    pub(super) fn take(core: &Arc<Core>) -> Self {
        core.slow.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(core))
    }
}

impl Drop for SlowPlace {
    fn drop(&mut self) {
        self.0.slow.fetch_sub(1, Ordering::Relaxed);
        // Another worker may have a slow statement that waits.
        if self.0.workers.iter().any(|slot| slot.waiting.load(Ordering::Relaxed) > 0) {
            self.0.send_all(|| Notice::Dispatch);
        }
    }
}

thread_local! {
    /// The number of this thread among those that ask databases.
    static THREAD: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed)
    };
}

impl Core {
    /// The parts of a domain that has yet to connect. `restarts` counts replaced workers.
    pub(in crate::actors) fn new(config: DomainConfig, restarts: Arc<AtomicU64>) -> Result<Self, PoolSetupError> {
        let (pool, max) = (Pool::new(&config)?, config.pool.max);
        let slow_places = max.saturating_sub(1).saturating_sub(RESERVED.max(max / RESERVED_PART)).max(1);
        Ok(Self {
            workers: (0..pool.capacity()).map(|_| Slot::default()).collect(),
            pool,
            config,
            status: watch::Sender::new(DomainStatus::starting(Moment::now())),
            starting: Mutex::default(),
            restarts,
            in_flight: AtomicUsize::new(0),
            slow: AtomicUsize::new(0),
            slow_places,
            batches: Batches::default(),
            probe_request: Notify::new(),
        })
    }

    /// The configuration this actor was started with.
    pub(in crate::actors) fn config(&self) -> &DomainConfig {
        &self.config
    }

    /// The connections.
    pub(super) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The domain's status, and its changes.
    pub(in crate::actors) fn status(&self) -> watch::Receiver<DomainStatus> {
        self.status.subscribe()
    }

    /// The domain's state at this moment.
    pub(in crate::actors) fn state(&self) -> State {
        self.status.borrow().state.clone()
    }

    /// Whether queries are taken.
    pub(super) fn serves(&self) -> bool {
        self.status.borrow().state.serves()
    }

    /// What the pool is doing. Connections that a worker holds without a statement in flight are idle.
    pub(super) fn pool_status(&self) -> PoolStatus {
        let mut status = self.pool.status();
        let sum = |count: fn(&Slot) -> &AtomicUsize| -> usize {
            self.workers.iter().map(|slot| count(slot).load(Ordering::Relaxed)).sum()
        };
        status.idle += sum(|slot| &slot.idle);
        status.waiting = sum(|slot| &slot.waiting);
        status
    }

    /// Requests that a worker has: in flight, or waiting for a connection.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Takes note of `event`, and tells of it in the log where the state changed.
    pub(in crate::actors) fn record(&self, event: Event) {
        let mut before = "";
        self.status.send_modify(|status| {
            before = status.state.name();
            status.apply(event, Moment::now());
        });
        let now = self.status.borrow().state.clone();
        if now.name() == before {
            return;
        }
        let (domain, state) = (&self.config.name, now.name());
        match &now {
            State::Degraded { why } | State::Down { why, .. } => {
                tracing::warn!(%domain, domain.state = state, domain.was = before, why = &**why, "domain.state");
            }
            _ => tracing::info!(%domain, domain.state = state, domain.was = before, "domain.state"),
        }
        match now {
            State::Down { .. } => self.send_all(|| Notice::Outage),
            State::Stopped => self.send_all(|| Notice::Leave),
            _ => {}
        }
    }

    /// Asks for a probe at once.
    pub(super) fn request_probe(&self) {
        self.probe_request.notify_one();
    }

    /// Asks for a probe at once where a query has failed as it does when the database is gone.
    fn probe_after(&self, kind: &QueryErrorKind) {
        if matches!(kind, QueryErrorKind::ConnectionLost { .. } | QueryErrorKind::Timeout { .. }) {
            self.request_probe();
        }
    }

    /// Waits until a probe is asked for.
    pub(super) async fn probe_requested(&self) {
        self.probe_request.notified().await;
    }

    /// Asks the worker of this thread. `None` where the worker ended under the question: then it is to be asked again.
    pub(super) async fn ask(
        self: &Arc<Self>,
        question: Question,
        asked: Instant,
    ) -> Option<Result<QueryAnswer, QueryErrorKind>> {
        let (reply, answer) = oneshot::channel();
        let ask = Ask { question, asked, reply, _in_flight: InFlight::begin(self) };
        self.send_to_worker(ask);
        let outcome = answer.await.ok()?;
        if let Err(kind) = &outcome {
            self.probe_after(kind);
        }
        Some(outcome)
    }

    fn send_to_worker(self: &Arc<Self>, ask: Ask) {
        let Some((index, slot)) = self.slot() else { return };
        if let Some(address) = &*slot.address.load()
            && address.connected()
        {
            address.do_send(ask);
            return;
        }
        self.start_worker(index, slot).do_send(ask);
    }

    /// The place of this thread's worker.
    fn slot(&self) -> Option<(usize, &Slot)> {
        let index = THREAD.with(|number| *number).checked_rem(self.workers.len())?;
        Some((index, self.workers.get(index)?))
    }

    /// Starts the worker of `slot` on this thread, unless another thread has done so.
    fn start_worker(self: &Arc<Self>, index: usize, slot: &Slot) -> Addr<DomainWorker> {
        let _starting = self.starting.lock().unwrap_or_else(PoisonError::into_inner);
        let before = slot.address.load_full();
        if let Some(address) = before.as_ref().filter(|address| address.connected()) {
            return Addr::clone(address);
        }
        if before.is_some() {
            let restarts = self.restarts.fetch_add(1, Ordering::Relaxed) + 1;
            tracing::warn!(domain = %self.config.name, actor.restarts = restarts, "domain.worker.replaced");
        }
        let address = DomainWorker::start_here(self, index);
        slot.address.store(Some(Arc::new(address.clone())));
        if self.status.borrow().state.is_leaving() {
            address.do_send(Notice::Leave);
        }
        address
    }

    /// Starts the worker of this thread, so that its connections are made before they are needed.
    pub(super) fn join(self: &Arc<Self>) {
        if let Some((index, slot)) = self.slot()
            && slot.address.load().is_none()
        {
            self.start_worker(index, slot);
            self.request_probe();
        }
    }

    fn addresses(&self) -> Vec<Arc<Addr<DomainWorker>>> {
        let addresses = self.workers.iter().filter_map(|slot| slot.address.load_full());
        addresses.filter(|address| address.connected()).collect()
    }

    fn send_all(&self, message: impl Fn() -> Notice) {
        for address in self.addresses() {
            address.do_send(message());
        }
    }

    /// A worker tells how many queries wait there and how many of its connections are idle.
    pub(super) fn report(&self, worker: usize, waiting: usize, idle: usize) {
        if let Some(slot) = self.workers.get(worker) {
            slot.waiting.store(waiting, Ordering::Relaxed);
            slot.idle.store(idle, Ordering::Relaxed);
        }
    }

    /// Whether another slow statement may run.
    pub(super) fn has_slow_place(&self) -> bool {
        self.slow.load(Ordering::Relaxed) < self.slow_places
    }

    /// A connection for the current thread. Where all are in use, the workers give up those that they do not need.
    pub(super) async fn lease(self: Arc<Self>) -> Result<Session, QueryErrorKind> {
        let contention = (!self.pool.has_room()).then(|| self.pool.contend());
        if contention.is_some() {
            self.send_all(|| Notice::Dispatch);
        }
        self.pool.lease(Deadline::after(self.config.timeouts.acquire)).await
    }

    /// Closes every connection, those in use once they are free.
    pub(super) fn recycle(&self) {
        self.pool.recycle();
        self.send_all(|| Notice::Dispatch);
    }

    /// Brings the connections to their minimum, shared out among the workers, and looks after those that are idle.
    ///
    /// # Errors
    /// Why a missing connection could not be made.
    pub(super) async fn maintain(&self) -> Result<(), ConnectError> {
        self.pool.shrink();
        let (addresses, minimum) = (self.addresses(), self.pool.minimum());
        let count = addresses.len();
        let share = |rank: usize| (minimum + count - 1 - rank) / count;
        let kept = addresses.iter().enumerate().map(|(rank, worker)| worker.send(Fill { to: share(rank) }));
        // A worker that is gone is replaced when it is needed.
        join_all(kept).await.into_iter().filter_map(Result::ok).collect()
    }

    /// Makes every worker panic, for tests.
    pub(super) fn panic_workers(&self) {
        self.send_all(|| Notice::Panic);
    }

    /// Says what PREPARE says.
    pub(super) async fn describe(
        self: Arc<Self>,
        query: Arc<Query>,
        deadline: Deadline,
    ) -> Result<Description, QueryErrorKind> {
        let _in_flight = InFlight::begin(&self);
        let described = async { self.pool.acquire(deadline).await?.describe(&query, deadline).await };
        described.await.inspect_err(|kind| self.probe_after(kind))
    }

    /// Waits until the domain leaves.
    pub(super) async fn leaving(&self) {
        // The sender is in `self`, so waiting cannot fail.
        drop(self.status().wait_for(|status| status.state.is_leaving()).await);
    }

    /// Finishes what is in flight, for at most `limit`, and closes every connection.
    pub(super) async fn drain(&self, limit: Duration) {
        self.record(Event::Drain);
        let drained = async {
            while self.in_flight() > 0 {
                sleep(DRAIN_PAUSE).await;
            }
        };
        if timeout(limit, drained).await.is_err() {
            tracing::warn!(domain = %self.config.name, in_flight = self.in_flight(), "domain.drain.unfinished");
        }
        self.send_all(|| Notice::End);
        self.pool.close();
        if timeout(CLOSE_TIMEOUT, self.pool.connector().closed()).await.is_err() {
            let open = self.pool.connector().open();
            tracing::warn!(domain = %self.config.name, connections.open = open, "domain.drain.unfinished");
        }
        self.record(Event::Stop);
    }
}

/// The error of a query in a state that does not serve it.
pub(in crate::actors) fn unavailable(state: &State) -> QueryErrorKind {
    let (why, retry_after) = match state {
        State::Down { why, next } => (why.to_string(), next.saturating_duration_since(Instant::now())),
        State::Starting => ("its connections are still being made".to_owned(), Duration::from_secs(1)),
        _ => ("it has been stopped".to_owned(), Duration::from_secs(1)),
    };
    QueryErrorKind::Unavailable { why, retry_after }
}
