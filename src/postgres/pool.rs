//! The connections of one domain: deadpool's pool, each wait bounded, that never hands out a connection the server
//! has closed and does not ask the server at every checkout whether it has.
//!
//! Workers hold their connections for as long as they need them, so most connections are not in the pool but counted by it. A
//! worker takes a connection that lives on its own thread, and otherwise makes one; only where others wait for a connection it
//! takes any ([`Pool::lease`]).
//!
//! A closed connection is noticed by its own task, which gets its turn before a connection is handed out. One that is open on
//! our side only (a firewall forgot it, the server's machine is gone) is not: a connection that nobody has used for a while is
//! verified by a round trip before it is handed out. Connections are handed out in turn, the least recently used first.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use deadpool::Runtime;
use deadpool::managed::{Metrics, PoolError, TimeoutType, Timeouts};
use tokio::time::{sleep, timeout};

use super::connect::Connector;
use super::failure::{ConnectError, OVERLOAD_PAUSE};
use super::lifetime::Lifetime;
use super::manager::{Manager, Object, ServerConnection, verified_after};
use super::probe::ask;
use super::session::Session;
use crate::config::{Coalescing, DomainConfig, PoolConfig, Statements, Timeouts as Limits};
use crate::flow::QueryErrorKind;
use crate::types::Deadline;

/// A connection that nobody has needed for so long is closed, unless it is one of the configured minimum.
pub const IDLE: Duration = Duration::from_secs(60);
/// Where the server has no free slot, a connection is tried again after this.
const SLOT_PAUSE: Duration = Duration::from_millis(20);
/// So often a connection of the minimum is tried again at once.
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
    pub(super) limits: Limits,
    size: PoolConfig,
    /// Counts the times that all connections were given up: one made before the last of them is not used again.
    epoch: AtomicU64,
    /// How many leases wait because every connection is in use.
    contenders: AtomicUsize,
    /// Counts acquire timeouts.
    timeouts: AtomicU64,
    pub(super) lifetime: Lifetime,
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
    /// Acquire timeouts so far.
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
        let (lifetime, limits) = (Lifetime::new(config.pool.max_lifetime), config.timeouts);
        let manager = Manager { connector: connector.clone(), lifetime: lifetime.clone(), limits };
        let inner = deadpool::managed::Pool::builder(manager)
            .max_size(for_queries(config.pool.max))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| PoolSetupError::Refused { why: error.to_string() })?;
        let size = config.pool;
        let (contenders, epoch, timeouts) = (AtomicUsize::new(0), AtomicU64::new(0), AtomicU64::new(0));
        let shared = Shared { connector, limits, size, epoch, contenders, timeouts, lifetime };
        Ok(Self { inner, shared: Arc::new(shared) })
    }

    /// What makes this pool's connections.
    pub fn connector(&self) -> &Connector {
        &self.shared.connector
    }

    /// Whether waiting queries may go together.
    pub fn coalesces(&self) -> bool {
        self.shared.size.coalesce == Coalescing::Auto && self.shared.prepares()
    }

    /// What it shares with its sessions.
    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// How long to wait for what.
    pub fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// A connection for the current thread, within the acquire timeout and the deadline: one whose task lives here, or a new one.
    /// Where others wait for a connection it is any.
    ///
    /// # Errors
    /// As [`Self::acquire`].
    pub async fn lease(&self, deadline: Deadline) -> Result<Session, QueryErrorKind> {
        loop {
            let connection = self.get(deadline).await?;
            if connection.is_at_home() || self.is_contended() {
                return Ok(self.session(connection));
            }
            Self::discard(connection);
        }
    }

    /// A connection, made if need be, within the acquire timeout and the deadline.
    ///
    /// # Errors
    /// `Overloaded` where none came free in time, `Unavailable` where the server refuses us, `ConnectionLost` where none
    /// could be made.
    pub async fn acquire(&self, deadline: Deadline) -> Result<Session, QueryErrorKind> {
        Ok(self.session(self.get(deadline).await?))
    }

    fn session(&self, connection: Object) -> Session {
        Session::new(connection, Arc::clone(&self.shared))
    }

    async fn get(&self, deadline: Deadline) -> Result<Object, QueryErrorKind> {
        let waits_until = Instant::now() + self.shared.limits.acquire;
        loop {
            let remaining = deadline.remaining();
            let wait = waits_until.saturating_duration_since(Instant::now()).min(remaining);
            let create = self.shared.connector.patience().min(remaining);
            let limits = Timeouts {
                wait: Some(wait.max(Duration::from_millis(1))),
                create: Some(create),
                recycle: Some(self.shared.limits.probe.min(remaining)),
            };
            // A wait for a connection ends before this does: later it is the server that has not answered.
            let refused = match timeout(remaining + CONNECT_GRACE, self.inner.timeout_get(&limits)).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => refusal(error, create),
                Err(_) => Some(ConnectError::late(remaining)),
            };
            match refused {
                // The server's slots are taken, some by connections of this pool, which may come free.
                Some(ConnectError::Full) if wait > SLOT_PAUSE => sleep(SLOT_PAUSE).await,
                Some(ConnectError::Full) | None => return Err(self.acquire_timeout()),
                Some(refused) => return Err(refused.into_query_error(OVERLOAD_PAUSE)),
            }
        }
    }

    /// Whether a connection is idle, or can be made.
    pub fn has_room(&self) -> bool {
        let status = self.inner.status();
        status.available > 0 || status.size < status.max_size
    }

    /// Says, for as long as the returned value lives, that somebody waits for a connection because all are in use.
    pub fn contend(&self) -> Contention {
        self.shared.contenders.fetch_add(1, Ordering::Relaxed);
        Contention(Arc::clone(&self.shared))
    }

    /// Whether somebody waits for a connection because all are in use.
    pub fn is_contended(&self) -> bool {
        self.shared.contenders.load(Ordering::Relaxed) > 0
    }

    /// The most connections that queries can have.
    pub fn capacity(&self) -> usize {
        self.inner.status().max_size
    }

    /// The error of a query that has waited for a connection for as long as it may. It is counted.
    pub fn acquire_timeout(&self) -> QueryErrorKind {
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

    /// Closes the idle connections that are too old, and those that nobody has needed for a minute.
    pub fn shrink(&self) {
        let is_kept = |connection: &ServerConnection, metrics: Metrics| {
            !self.shared.lifetime.is_over(connection.born) && metrics.last_used() < IDLE
        };
        drop(self.inner.retain(is_kept));
    }

    /// For how long a connection may be unused before it is verified.
    pub fn verified_after(&self) -> Duration {
        verified_after(&self.shared.limits)
    }

    /// The connections that are open even if nobody needs them.
    pub fn minimum(&self) -> usize {
        self.shared.size.min.min(self.capacity())
    }

    /// Makes a connection of the minimum, which lives on the current thread; `None` where no more may be made.
    ///
    /// # Errors
    /// Why it could not be made.
    pub async fn fill(&self) -> Result<Option<Session>, ConnectError> {
        for _ in 0..FILL_ATTEMPTS {
            match self.at_once().await {
                Ok(connection) if connection.is_at_home() => return Ok(Some(self.session(connection))),
                Ok(foreign) => Self::discard(foreign),
                Err(error) => match refusal(error, self.shared.connector.patience()) {
                    None => return Ok(None),
                    // A session that was closed just now keeps its slot until the server has ended it.
                    Some(ConnectError::Full) => sleep(SLOT_PAUSE).await,
                    Some(refused) => return Err(refused),
                },
            }
        }
        Err(ConnectError::Full)
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

    /// A connection that is idle or can be made now; no waiting for one in use.
    async fn at_once(&self) -> Result<Object, PoolError<ConnectError>> {
        let limits =
            Timeouts { wait: Some(Duration::ZERO), create: Some(self.shared.connector.patience()), recycle: None };
        self.inner.timeout_get(&limits).await
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

/// See [`Pool::contend`].
#[derive(Debug)]
pub struct Contention(Arc<Shared>);

impl Drop for Contention {
    fn drop(&mut self) {
        self.0.contenders.fetch_sub(1, Ordering::Relaxed);
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
