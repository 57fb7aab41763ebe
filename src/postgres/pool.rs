//! The connections of one domain: deadpool's pool, each wait bounded, that never hands out a connection the server
//! has closed and does not ask the server at every checkout whether it has.
//!
//! A closed connection is noticed by its own task, which gets its turn before a connection is handed out. One that is open on our side alone (a firewall forgot it, the server's
//! machine is gone) is not: so a connection that nobody has used for a while is verified by a round trip before it is
//! handed out, and [`Pool::keep`], which runs after each probe, verifies those ahead of time. Connections are handed out
//! in turn, the least recently used first, so that under load none stays unverified.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use deadpool::Runtime;
use deadpool::managed::{PoolError, TimeoutType, Timeouts};
use futures_util::future::join_all;
use tokio::time::{sleep, timeout};

use super::connect::Connector;
use super::error::QueryErrorKind;
use super::failure::{ConnectError, OVERLOAD_PAUSE};
use super::lifetime::Lifetime;
use super::manager::{Manager, Object};
use super::session::Session;
use super::statements::Plans;
use super::verification::{Verification, ask};
use crate::config::{Coalescing, DomainConfig, PoolConfig, Statements, Timeouts as Limits};
use crate::types::Deadline;

/// Connections beyond the configured minimum are closed where none of them was needed for so long.
const SHRINK_AFTER: Duration = Duration::from_secs(60);
/// Where the server has no free slot, a connection is tried again after this.
const SLOT_PAUSE: Duration = Duration::from_millis(20);
/// So often the pool's care tries again at once.
const FILL_ATTEMPTS: u32 = 10;

/// How long after the deadline of a query the pool itself says why there is no connection.
const CONNECT_GRACE: Duration = Duration::from_millis(10);

/// The connections of one domain. Cheap to clone; all clones are one pool.
#[derive(Debug, Clone)]
pub struct Pool {
    inner: deadpool::managed::Pool<Manager>,
    shared: Arc<Shared>,
}

/// What a pool shares with its sessions.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) connector: Connector,
    pub(super) plans: Plans,
    pub(super) limits: Limits,
    size: PoolConfig,
    demand: Demand,
    /// Counts the times that all connections were given up: one made before the last of them is not used again.
    epoch: AtomicU64,
    /// Counts those who waited for a connection in vain.
    timeouts: AtomicU64,
    pub(super) lifetime: Lifetime,
}

/// How many connections were in use at once, at most, since the pool was last shrunk.
#[derive(Debug)]
struct Demand {
    peak: AtomicUsize,
    since: Mutex<Instant>,
}

/// What a pool is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct PoolStatus {
    /// The most connections it may have, the probe's among them.
    pub max: usize,
    /// The connections it has for queries.
    pub size: usize,
    /// Those of them that nobody uses.
    pub idle: usize,
    /// Queries that wait for one.
    pub waiting: usize,
    /// Queries that have waited for one in vain, so far.
    pub timeouts: u64,
}

/// Why there is no pool.
#[derive(Debug, thiserror::Error)]
pub enum PoolSetupError {
    /// The pool refused its configuration.
    #[error("the connection pool refused its configuration: {why}")]
    Refused {
        /// Why.
        why: String,
    },
}

impl Pool {
    /// An empty pool for the domain of `config`: nothing is connected yet.
    ///
    /// # Errors
    /// [`PoolSetupError`].
    pub fn new(config: &DomainConfig) -> Result<Self, PoolSetupError> {
        let connector = Connector::new(config);
        let lifetime = Lifetime::new(config.pool.max_lifetime);
        let manager = Manager {
            connector: connector.clone(),
            lifetime: lifetime.clone(),
            verification: Verification::new(&config.timeouts),
        };
        let inner = deadpool::managed::Pool::builder(manager)
            .max_size(for_queries(config.pool.max))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| PoolSetupError::Refused { why: error.to_string() })?;
        let demand = Demand { peak: AtomicUsize::new(0), since: Mutex::new(Instant::now()) };
        let (size, limits) = (config.pool, config.timeouts);
        let (plans, epoch, timeouts) = (Plans::default(), AtomicU64::new(0), AtomicU64::new(0));
        let shared = Shared { connector, plans, limits, size, demand, epoch, timeouts, lifetime };
        Ok(Self { inner, shared: Arc::new(shared) })
    }

    /// What makes this pool's connections.
    pub fn connector(&self) -> &Connector {
        &self.shared.connector
    }

    /// Whether waiting queries may go together.
    pub(super) fn coalesces(&self) -> bool {
        self.shared.size.coalesce == Coalescing::Auto && self.shared.prepares()
    }

    /// What it shares with its sessions.
    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// How long to wait for what.
    pub(super) fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// A connection, made if need be, within the acquire timeout and the deadline.
    ///
    /// # Errors
    /// `Overloaded` where none came free in time, `Unavailable` where the server refuses us, `ConnectionLost` where none
    /// could be made.
    pub async fn acquire(&self, deadline: Deadline) -> Result<Session, QueryErrorKind> {
        let waits_until = Instant::now() + self.shared.limits.acquire;
        loop {
            let remaining = deadline.remaining();
            let wait = waits_until.saturating_duration_since(Instant::now()).min(remaining);
            let create = self.shared.connector.patience().min(remaining);
            let limits =
                Timeouts { wait: Some(wait.max(Duration::from_millis(1))), create: Some(create), recycle: None };
            // A wait for a connection ends before this does: later it is the server that has not answered.
            let refused = match timeout(remaining + CONNECT_GRACE, self.inner.timeout_get(&limits)).await {
                Ok(Ok(connection)) => {
                    self.note_demand();
                    return Ok(Session::new(connection, Arc::clone(&self.shared)));
                }
                Ok(Err(error)) => refusal(error, create),
                Err(_) => Some(ConnectError::late(remaining)),
            };
            match refused {
                // The server's slots are taken, some by connections of this pool, which may come free.
                Some(ConnectError::Full) if wait > SLOT_PAUSE => sleep(SLOT_PAUSE).await,
                Some(ConnectError::Full) | None => return Err(self.waited_in_vain()),
                Some(refused) => return Err(refused.into_query_error(OVERLOAD_PAUSE)),
            }
        }
    }

    /// The most connections that queries can have.
    pub(super) fn capacity(&self) -> usize {
        self.inner.status().max_size
    }

    /// What a query is told that has waited for a connection for as long as it may; it is counted.
    pub(super) fn waited_in_vain(&self) -> QueryErrorKind {
        self.shared.timeouts.fetch_add(1, Ordering::Relaxed);
        QueryErrorKind::Overloaded { retry_after: OVERLOAD_PAUSE }
    }

    /// What the pool is doing.
    pub fn status(&self) -> PoolStatus {
        let status = self.inner.status();
        PoolStatus {
            max: self.shared.size.max,
            size: status.size,
            idle: status.available,
            waiting: status.waiting,
            timeouts: self.shared.timeouts.load(Ordering::Relaxed),
        }
    }

    /// Brings the pool to its minimum, verifies connections that have long been idle, and closes those that are too old and
    /// those beyond the minimum that a minute's load did not need.
    ///
    /// # Errors
    /// Why a missing connection could not be made.
    pub async fn keep(&self) -> Result<(), ConnectError> {
        self.shrink();
        drop(self.inner.retain(|connection, _| !self.shared.lifetime.is_over(connection.born)));
        self.verify_idle().await;
        let mut filled = self.fill().await;
        for _ in 0..FILL_ATTEMPTS {
            if filled != Err(ConnectError::Full) {
                break;
            }
            // A session that was closed just now keeps its slot until the server has ended it.
            sleep(SLOT_PAUSE).await;
            filled = self.fill().await;
        }
        filled
    }

    /// Closes every connection, those in use when they are given back, so that the next queries connect anew.
    pub fn recycle(&self) {
        self.shared.epoch.fetch_add(1, Ordering::Relaxed);
        drop(self.inner.retain(|_, _| false));
    }

    /// Refuses further work and closes idle connections; those in use close when they are given back.
    pub fn close(&self) {
        self.inner.close();
    }

    /// Takes a connection out of its pool and closes it.
    pub(super) fn discard(connection: Object) {
        drop(Object::take(connection));
    }

    async fn fill(&self) -> Result<(), ConnectError> {
        let status = self.inner.status();
        let missing = self.shared.size.min.min(status.max_size).saturating_sub(status.size);
        if missing == 0 {
            return Ok(());
        }
        // To make the missing ones the idle ones must be held at the same time.
        let wanted = status.available + missing;
        let connections = join_all((0..wanted).map(|_| self.at_once())).await;
        connections
            .into_iter()
            .filter_map(Result::err)
            .find_map(|error| refusal(error, self.shared.connector.patience()))
            .map_or(Ok(()), Err)
    }

    /// Asks the database over an idle connection of the pool, and says how long it took to answer; `None` where all are busy.
    ///
    /// # Errors
    /// Why there was no answer.
    pub(super) async fn ask_idle(&self) -> Result<Option<Duration>, ConnectError> {
        let connection = match self.at_once().await {
            Ok(connection) => connection,
            Err(error) => {
                let refused = refusal(error, self.shared.connector.patience());
                return refused.filter(|refused| *refused != ConnectError::Full).map_or(Ok(None), Err);
            }
        };
        let answered = ask(&connection, self.shared.limits.probe).await;
        if answered.is_err() {
            Self::discard(connection);
        }
        answered.map(Some)
    }

    async fn verify_idle(&self) {
        let verification = &self.inner.manager().verification;
        let mut unverified = 0;
        drop(self.inner.retain(|_, metrics| {
            unverified += usize::from(verification.is_due(&metrics));
            true
        }));
        let silent = verification.silent();
        for _ in 0..unverified {
            // The oldest come first, and being lent again verifies them.
            drop(self.at_once().await);
            if verification.silent() != silent {
                // Whatever happened to this one happened to the others too, and each would cost the same wait.
                self.recycle();
                return;
            }
        }
    }

    fn shrink(&self) {
        let Some(peak) = self.shared.demand.over(SHRINK_AFTER) else { return };
        let keep = self.shared.size.min.max(peak);
        let mut excess = self.inner.status().size.saturating_sub(keep);
        drop(self.inner.retain(|_, _| {
            let close = excess > 0;
            excess = excess.saturating_sub(1);
            !close
        }));
    }

    /// A connection that is idle or can be made now; no waiting for one in use.
    async fn at_once(&self) -> Result<Object, PoolError<ConnectError>> {
        let limits =
            Timeouts { wait: Some(Duration::ZERO), create: Some(self.shared.connector.patience()), recycle: None };
        self.inner.timeout_get(&limits).await
    }

    fn note_demand(&self) {
        let status = self.inner.status();
        self.shared.demand.peak.fetch_max(status.size.saturating_sub(status.available), Ordering::Relaxed);
    }
}

impl Shared {
    /// Whether statements are prepared once a connection.
    pub(super) fn prepares(&self) -> bool {
        self.size.statements == Statements::Prepared
    }

    /// See [`Pool::recycle`].
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }
}

impl Demand {
    /// The peak, once `span` has passed; the count then begins anew.
    fn over(&self, span: Duration) -> Option<usize> {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        if since.elapsed() < span {
            return None;
        }
        *since = Instant::now();
        Some(self.peak.swap(0, Ordering::Relaxed))
    }
}

/// The connections of `max` that queries can have: one is the probe's.
fn for_queries(max: usize) -> usize {
    max.saturating_sub(1).max(1)
}

/// Why no connection was made; `None` where none was free.
fn refusal(error: PoolError<ConnectError>, limit: Duration) -> Option<ConnectError> {
    match error {
        PoolError::Backend(error) => Some(error),
        PoolError::Timeout(TimeoutType::Create) => Some(ConnectError::late(limit)),
        PoolError::Closed => Some(ConnectError::Unreachable { why: "the domain is being stopped".to_owned() }),
        PoolError::PostCreateHook(_) | PoolError::NoRuntimeSpecified | PoolError::Timeout(_) => None,
    }
}
