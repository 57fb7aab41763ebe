//! The deadpool manager: makes connections, and checks whether one can be used again.
//!
//! The task that drives a connection runs on the thread that made it. A query that is sent from that thread wakes no other thread.

use std::cell::RefCell;
use std::collections::HashMap;
use std::convert::Infallible;
use std::ops::Deref;
use std::sync::{Arc, Weak};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use deadpool::managed::{Metrics, RecycleError, RecycleResult};
use deadpool_postgres::ClientWrapper;
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::timeout;
use tokio_postgres::{Client, Statement};

use super::backends::BackendClaim;
use super::coalesce::Wrapped;
use super::connect::Connector;
use super::failure::ConnectError;
use super::lifetime::Lifetime;
use super::statements::Plan;
use crate::config::Timeouts;
use crate::graph::Query;

/// A connection of the pool while a session uses it.
pub(super) type Object = deadpool::managed::Object<Manager>;

/// What is prepared on a connection for one query.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    /// Keeps the address, which is the key, from being reused. The query itself is dropped once no flow and no thread uses it.
    pub(super) query: Weak<Query>,
    pub(super) statement: Statement,
    pub(super) plan: Arc<Plan>,
    /// The wrapped query, which answers several queries with one statement.
    pub(super) wrapped: Option<(Arc<Wrapped>, Statement)>,
}

/// An open connection. The task that drives it ends after this value is dropped.
#[derive(Debug)]
pub(super) struct ServerConnection {
    pub(super) client: ClientWrapper,
    pub(super) created_at: Instant,
    /// The thread of the task that drives it.
    thread: ThreadId,
    /// What is prepared for each query, by the address of the query.
    pub(super) prepared: RefCell<HashMap<usize, Prepared>>,
    pub(super) claim: Arc<BackendClaim>,
    /// Whether the session is read only, as its startup packet requested. `true` where the server does not report it.
    pub(super) is_read_only: bool,
    /// Closes when this value is dropped.
    _drop_signal: oneshot::Sender<Infallible>,
}

impl ServerConnection {
    /// The connection of `client`, whose task watches for the end of `drop_signal`.
    pub(super) fn new(
        client: Client,
        claim: Arc<BackendClaim>,
        is_read_only: bool,
        drop_signal: oneshot::Sender<Infallible>,
    ) -> Self {
        // The wrapper aborts the task that it is given. The driving task has to send Terminate before it closes the socket.
        let client = ClientWrapper::new(client, tokio::spawn(std::future::ready(())));
        Self {
            client,
            created_at: Instant::now(),
            thread: std::thread::current().id(),
            prepared: RefCell::default(),
            claim,
            is_read_only,
            _drop_signal: drop_signal,
        }
    }

    /// Whether the task that drives it runs on the current thread.
    pub(super) fn is_on_current_thread(&self) -> bool {
        self.thread == std::thread::current().id()
    }
}

impl Deref for ServerConnection {
    type Target = ClientWrapper;

    fn deref(&self) -> &ClientWrapper {
        &self.client
    }
}

impl Drop for ServerConnection {
    fn drop(&mut self) {
        // Before the client is dropped, and so before the server ends the session.
        self.claim.release();
    }
}

/// A connection that was unused for this many probe intervals is verified before use.
const VERIFY_AFTER_INTERVALS: u32 = 5;

/// How long a connection may be unused before it is verified.
pub(super) fn verified_after(limits: &Timeouts) -> Duration {
    limits.probe_interval.saturating_mul(VERIFY_AFTER_INTERVALS)
}

/// Makes and checks the connections of one pool.
#[derive(Debug)]
pub(super) struct Manager {
    pub(super) connector: Connector,
    pub(super) lifetime: Lifetime,
    pub(super) limits: Timeouts,
}

impl deadpool::managed::Manager for Manager {
    type Type = ServerConnection;
    type Error = ConnectError;

    async fn create(&self) -> Result<ServerConnection, ConnectError> {
        self.connector.connect().await
    }

    async fn recycle(&self, connection: &mut ServerConnection, metrics: &Metrics) -> RecycleResult<ConnectError> {
        if self.lifetime.is_expired(connection.created_at) {
            return Err(RecycleError::message("too old"));
        }
        // Lets the tasks of connections run, so that a connection which the server has just closed is seen as closed.
        yield_now().await;
        if connection.is_closed() {
            return Err(RecycleError::message("closed"));
        }
        if metrics.last_used() <= verified_after(&self.limits) {
            return Ok(());
        }
        let limit = self.limits.probe;
        let answered =
            timeout(limit, connection.check_connection()).await.map_err(|_| ConnectError::timed_out(limit))?;
        Ok(answered.map_err(|error| ConnectError::of(&error))?)
    }
}
