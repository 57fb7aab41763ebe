//! The pool, status and counters that one generation of a domain's actor shares with its workers and handles.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use actix::{Message, Recipient};
use arc_swap::ArcSwapOption;
use futures_util::future::join_all;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use super::access::{Pool, Session};
use super::state::{DomainStatus, Event, Moment, State};
use crate::config::DomainConfig;
use crate::flow::{QueryError, QueryErrorKind};
use crate::graph::{Description, Query};
use crate::metrics::Batches;
use crate::pool::{Connect, Contention, OpenConnections, PoolSetupError, PoolStatus};
use crate::postgres;
use crate::types::Deadline;

/// How long the last connections may take to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// The interval at which a drain checks for queries in flight.
const DRAIN_CHECK_INTERVAL: Duration = Duration::from_millis(5);
/// The fewest connections that slow statements leave to quick ones.
const RESERVED: usize = 2;
/// Slow statements leave at least this part of the connections.
const RESERVED_PART: usize = 4;

/// The shared parts of one domain's actor.
#[derive(Debug)]
pub(in crate::actors) struct Core {
    config: DomainConfig,
    pool: Pool,
    writes: Option<postgres::Pool>,
    status: watch::Sender<DomainStatus>,
    workers: Box<[WorkerEntry]>,
    in_flight: AtomicUsize,
    /// Slow statements in flight, and how many may be.
    slow: AtomicUsize,
    slow_places: usize,
    pub(super) batches: Batches,
    probe_request: Notify,
}

/// The address and counters of a worker.
#[derive(Debug, Default)]
struct WorkerEntry {
    address: ArcSwapOption<Recipient<Notice>>,
    waiting: AtomicUsize,
    idle: AtomicUsize,
}

/// A notice to a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub(super) enum Notice {
    /// Connections have to be closed, or another slow statement may run.
    Dispatch,
    /// The domain is down: fail every query.
    Outage,
    /// Accept no new queries, and end when none is in flight.
    Leave,
    /// End now.
    End,
    /// Panic. Only tests send this, to show that a worker is replaced.
    Panic,
}

/// Counts a query as in flight until it is dropped.
#[derive(Debug)]
pub(in crate::actors) struct InFlight(Arc<Core>);

impl InFlight {
    pub(super) fn begin(core: &Arc<Core>) -> Self {
        core.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(core))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts a slow statement as in flight until it is dropped.
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
        // Another worker may have a slow statement waiting.
        if self.0.workers.iter().any(|worker| worker.waiting.load(Ordering::Relaxed) > 0) {
            self.0.notify(Notice::Dispatch);
        }
    }
}

impl Core {
    /// The parts of a domain that has no connections yet.
    pub(in crate::actors) fn new(config: DomainConfig) -> Result<Self, PoolSetupError> {
        let (pool, writes, max) = (Pool::new(&config)?, Pool::for_writes(&config)?, config.pool.max);
        let slow_places = max.saturating_sub(1).saturating_sub(RESERVED.max(max / RESERVED_PART)).max(1);
        Ok(Self {
            workers: (0..pool.capacity()).map(|_| WorkerEntry::default()).collect(),
            pool,
            writes,
            config,
            status: watch::Sender::new(DomainStatus::starting(Moment::now())),
            in_flight: AtomicUsize::new(0),
            slow: AtomicUsize::new(0),
            slow_places,
            batches: Batches::default(),
            probe_request: Notify::new(),
        })
    }

    /// The configuration of this actor.
    pub(in crate::actors) fn config(&self) -> &DomainConfig {
        &self.config
    }

    /// The connections.
    pub(super) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The connections of effects. None is made before it is needed.
    pub(super) fn writes(&self) -> Option<&postgres::Pool> {
        self.writes.as_ref()
    }

    /// The domain's status and its changes.
    pub(in crate::actors) fn status(&self) -> watch::Receiver<DomainStatus> {
        self.status.subscribe()
    }

    /// The domain's current state.
    pub(in crate::actors) fn state(&self) -> State {
        self.status.borrow().state.clone()
    }

    /// Whether the domain serves queries now.
    ///
    /// # Errors
    /// `Unavailable` with the reason.
    pub(super) fn available(&self) -> Result<(), QueryError> {
        let state = self.state();
        if state.serves() {
            return Ok(());
        }
        Err(QueryError { domain: self.config.name.clone(), node: None, kind: unavailable(&state) })
    }

    /// Whether queries are accepted.
    pub(super) fn serves(&self) -> bool {
        self.status.borrow().state.serves()
    }

    /// The state of the pool. Connections that a worker holds without a statement in flight count as idle.
    pub(super) fn pool_status(&self) -> PoolStatus {
        let mut status = self.pool.status();
        let sum = |count: fn(&WorkerEntry) -> &AtomicUsize| -> usize {
            self.workers.iter().map(|worker| count(worker).load(Ordering::Relaxed)).sum()
        };
        status.idle += sum(|worker| &worker.idle);
        status.waiting = sum(|worker| &worker.waiting);
        status
    }

    /// Queries of all workers that are in flight or wait for a connection.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Applies `event`, and logs a change of the state.
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
            State::Down { .. } => self.notify(Notice::Outage),
            State::Stopped => self.notify(Notice::Leave),
            _ => {}
        }
    }

    /// Requests a probe now.
    pub(super) fn request_probe(&self) {
        self.probe_request.notify_one();
    }

    /// Requests a probe now where the error of a query may mean that the database is down.
    pub(super) fn probe_after(&self, kind: &QueryErrorKind) {
        if matches!(kind, QueryErrorKind::ConnectionLost { .. } | QueryErrorKind::Timeout { .. }) {
            self.request_probe();
        }
    }

    /// Waits until a probe is requested.
    pub(super) async fn wait_probe_request(&self) {
        self.probe_request.notified().await;
    }

    /// Registers the worker of this number.
    pub(super) fn register(&self, worker: usize, address: Recipient<Notice>) {
        if let Some(entry) = self.workers.get(worker) {
            entry.address.store(Some(Arc::new(address)));
        }
    }

    /// Notifies every worker. One that has ended needs no notice.
    pub(super) fn notify(&self, notice: Notice) {
        for address in self.workers.iter().filter_map(|worker| worker.address.load_full()) {
            address.do_send(notice);
        }
    }

    /// Stores how many queries wait at a worker and how many of its connections are idle.
    pub(super) fn report(&self, worker: usize, waiting: usize, idle: usize) {
        if let Some(entry) = self.workers.get(worker) {
            entry.waiting.store(waiting, Ordering::Relaxed);
            entry.idle.store(idle, Ordering::Relaxed);
        }
    }

    /// Whether another slow statement may be sent.
    pub(super) fn has_slow_place(&self) -> bool {
        self.slow.load(Ordering::Relaxed) < self.slow_places
    }

    /// Where all connections are in use, has the workers release those that they do not need, until the result is dropped.
    fn contend(&self) -> Option<Contention> {
        let contention = (!self.pool.has_room()).then(|| self.pool.contend());
        if contention.is_some() {
            self.notify(Notice::Dispatch);
        }
        contention
    }

    /// A connection for the current thread.
    pub(super) async fn lease(self: Arc<Self>) -> Result<Session, QueryErrorKind> {
        let _contention = self.contend();
        self.pool.lease(Deadline::after(self.config.timeouts.acquire)).await
    }

    /// Closes every connection, those in use once they are free.
    pub(super) fn recycle(&self) {
        self.pool.recycle();
        self.writes.iter().for_each(postgres::Pool::recycle);
        self.notify(Notice::Dispatch);
    }

    /// Closes idle connections that are not needed.
    pub(super) fn shrink(&self) {
        self.pool.shrink();
        self.writes.iter().for_each(postgres::Pool::shrink);
    }

    /// Describes a query by PREPARE.
    pub(super) async fn describe(
        self: &Arc<Self>,
        query: &Query,
        deadline: Deadline,
    ) -> Result<Description, QueryErrorKind> {
        let (_in_flight, _contention) = (InFlight::begin(self), self.contend());
        self.pool.describe(query, deadline).await.inspect_err(|kind| self.probe_after(kind))
    }

    /// Waits until the domain drains or has stopped.
    pub(super) async fn leaving(&self) {
        // The sender is in `self`, so waiting cannot fail.
        drop(self.status().wait_for(|status| status.state.is_leaving()).await);
    }

    /// Waits for queries in flight, for at most `limit`, and closes every connection.
    pub(super) async fn drain(&self, limit: Duration) {
        self.record(Event::Drain);
        let drained = async {
            while self.in_flight() > 0 {
                sleep(DRAIN_CHECK_INTERVAL).await;
            }
        };
        if timeout(limit, drained).await.is_err() {
            tracing::warn!(domain = %self.config.name, in_flight = self.in_flight(), "domain.drain.unfinished");
        }
        self.notify(Notice::End);
        self.pool.close();
        self.writes.iter().for_each(postgres::Pool::close);
        let connections = || [Some(self.pool.open()), self.writes.as_ref().map(|pool| pool.connector().open())];
        let closed = join_all(connections().into_iter().flatten().map(OpenConnections::closed));
        if timeout(CLOSE_TIMEOUT, closed).await.is_err() {
            let open: usize = connections().into_iter().flatten().map(OpenConnections::number).sum();
            tracing::warn!(domain = %self.config.name, connections.open = open, "domain.drain.unfinished");
        }
        self.record(Event::Stop);
    }
}

/// The error of a query in a state that accepts none.
pub(in crate::actors) fn unavailable(state: &State) -> QueryErrorKind {
    let (why, retry_after) = match state {
        State::Down { why, next } => (why.to_string(), next.saturating_duration_since(Instant::now())),
        State::Starting => ("its connections are still being made".to_owned(), Duration::from_secs(1)),
        _ => ("it has been stopped".to_owned(), Duration::from_secs(1)),
    };
    QueryErrorKind::Unavailable { why, retry_after }
}
