//! The deadpool manager: makes connections, and checks whether one can be used again.

use std::time::Duration;

use deadpool::managed::{Metrics, RecycleError, RecycleResult};
use tokio::task::yield_now;
use tokio::time::timeout;

use super::connect::Connector;
use super::connection::ServerConnection;
use super::failure::ConnectError;
use super::lifetime::Lifetime;
use crate::config::Timeouts;

/// A connection of the pool while a session uses it.
pub(super) type Object = deadpool::managed::Object<Manager>;

/// Removes a connection from its pool and closes it.
pub(super) fn discard(connection: Object) {
    drop(Object::take(connection));
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
