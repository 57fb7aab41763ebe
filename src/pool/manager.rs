//! The deadpool manager: makes connections, and checks whether one can be used again.

use std::time::Duration;

use deadpool::managed::{Metrics, RecycleError, RecycleResult};
use tokio::task::yield_now;

use super::error::ConnectError;
use super::lifetime::Lifetime;
use super::ports::{Connect, Connected};
use crate::config::Timeouts;

/// A connection of the pool while a session uses it.
pub type Object<C> = deadpool::managed::Object<Manager<C>>;

/// Removes a connection from its pool and closes it.
pub fn discard<C: Connect>(connection: Object<C>) {
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
pub struct Manager<C> {
    pub(super) connector: C,
    pub(super) lifetime: Lifetime,
    pub(super) limits: Timeouts,
}

impl<C: Connect> deadpool::managed::Manager for Manager<C> {
    type Type = C::Connection;
    type Error = ConnectError;

    async fn create(&self) -> Result<C::Connection, ConnectError> {
        self.connector.connect().await
    }

    async fn recycle(&self, connection: &mut C::Connection, metrics: &Metrics) -> RecycleResult<ConnectError> {
        if self.lifetime.is_expired(connection.birth().at) {
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
        connection.check(self.limits.probe).await?;
        Ok(())
    }
}
