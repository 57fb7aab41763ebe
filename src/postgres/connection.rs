//! An open connection, and what is prepared on it.
//!
//! The task that drives a connection runs on the thread that made it. A query that is sent from that thread wakes no other thread.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::convert::Infallible;
use std::ops::Deref;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use deadpool_postgres::ClientWrapper;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_postgres::{Client, Statement};

use super::backends::BackendClaim;
use super::coalesce::Wrapped;
use super::failure::of_attempt;
use super::sqlstate::keeps_session;
use super::staleness::Proof;
use super::statements::Plan;
use crate::graph::Query;
use crate::pool::{Birth, ConnectError, Connected};

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
pub struct ServerConnection {
    pub(super) client: ClientWrapper,
    /// When and where it was made. The task that drives it runs on that thread.
    birth: Birth,
    /// What is prepared for each query, by the address of the query.
    pub(super) prepared: RefCell<HashMap<usize, Prepared>>,
    pub(super) claim: Arc<BackendClaim>,
    /// Whether its transactions are read only by default. `None` where the server does not report it.
    pub(super) is_read_only: Option<bool>,
    /// What its server was last known to have, where the domain limits the age of rows.
    pub(super) proof: Cell<Option<Proof>>,
    /// Closes when this value is dropped.
    _drop_signal: oneshot::Sender<Infallible>,
}

impl ServerConnection {
    /// The connection of `client`, whose task watches for the end of `drop_signal`.
    pub(super) fn new(
        client: Client,
        claim: Arc<BackendClaim>,
        is_read_only: Option<bool>,
        drop_signal: oneshot::Sender<Infallible>,
    ) -> Self {
        // The wrapper aborts the task that it is given. The driving task has to send Terminate before it closes the socket.
        let client = ClientWrapper::new(client, tokio::spawn(std::future::ready(())));
        Self {
            client,
            birth: Birth::now(),
            prepared: RefCell::default(),
            claim,
            is_read_only,
            proof: Cell::new(None),
            _drop_signal: drop_signal,
        }
    }
}

impl Connected for ServerConnection {
    fn birth(&self) -> Birth {
        self.birth
    }

    fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    async fn check(&mut self, limit: Duration) -> Result<Duration, ConnectError> {
        ping(&self.client, limit).await
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

/// Pings over `client` and returns the latency. An error that keeps the session is an answer, too.
pub(super) async fn ping(client: &Client, limit: Duration) -> Result<Duration, ConnectError> {
    let sent = Instant::now();
    match timeout(limit, client.batch_execute("SELECT 1")).await {
        Ok(Ok(())) => Ok(sent.elapsed()),
        Ok(Err(error)) if keeps_session(&error) => Ok(sent.elapsed()),
        Ok(Err(error)) => Err(of_attempt(&error)),
        Err(_) => Err(ConnectError::timed_out(limit)),
    }
}
