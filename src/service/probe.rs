//! Checks whether a service answers, over a connection of its own, so that a pool whose connections are all in use does not look like
//! a service that is down. Each probe also reads the description of the nodes.

use std::time::Duration;

use super::Pool;
use super::connection::HttpConnection;
use crate::pool::{Connect, ConnectError, Connected};

/// Probes one service. Keeps its connection between probes.
#[derive(Debug)]
pub struct Probe {
    pool: Pool,
    connection: Option<HttpConnection>,
}

impl Probe {
    /// A probe of the service of `pool`. Each probe takes at most the probe timeout, and the time to connect.
    pub fn new(pool: Pool) -> Self {
        Self { pool, connection: None }
    }

    /// Asks the service for its description and returns the latency, without the time to connect.
    ///
    /// # Errors
    /// [`ConnectError`] where there was no answer. The connection is closed, and the next probe makes a new one.
    pub async fn run(&mut self) -> Result<Duration, ConnectError> {
        let mut connection = match self.connection.take().filter(|kept| !kept.is_closed()) {
            Some(connection) => connection,
            None => self.pool.connector().connect().await?,
        };
        let latency = connection.check(self.pool.limits().probe).await?;
        self.connection = Some(connection);
        Ok(latency)
    }
}
