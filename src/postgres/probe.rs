//! Checks whether a database answers. A probe has its own connection, so that a pool whose connections are all in use does not look
//! like a database that is down. Where the server has no slot for it, the probe uses an idle connection of the pool.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{interval, sleep_until, timeout};

use super::backends::keep_their_sessions;
use super::connect::Connector;
use super::connection::{ServerConnection, ping};
use super::failure::{of_attempt, pooled};
use crate::pool::{Connect, ConnectError, Connected, Pool};

/// The interval at which the probe starts a further connection attempt beside those that have not ended.
const ATTEMPT_INTERVAL: Duration = Duration::from_millis(500);

/// Probes one database. Keeps its connection between probes, unless it is the only one that the pool may have.
#[derive(Debug)]
pub struct Probe {
    pool: Pool<Connector>,
    connection: Option<ServerConnection>,
}

impl Probe {
    /// A probe of the database of `pool`. Each probe takes at most the probe timeout.
    pub fn new(pool: Pool<Connector>) -> Self {
        Self { pool, connection: None }
    }

    /// Pings the database and returns the latency, without the time to connect. `None` where the probe found out
    /// nothing: the server has no slot for it, and the connections of the pool are in use.
    ///
    /// # Errors
    /// [`ConnectError`] where there was no answer. The connection is closed, and the next probe makes a new one.
    pub async fn run(&mut self) -> Result<Option<Duration>, ConnectError> {
        if self.pool.connector().backends().is_pooled() {
            self.connection = None;
            self.check_for_pooler().await?;
        }
        let status = self.pool.status();
        let latency = if status.max == 1 && status.size > 0 {
            Err(ConnectError::Full)
        } else {
            self.run_on_own_connection().await
        };
        match latency {
            Err(ConnectError::Full) if status.size > 0 => self.pool.probe_idle().await,
            latency => latency.map(Some),
        }
    }

    /// Pings over the probe's own connection.
    async fn run_on_own_connection(&mut self) -> Result<Duration, ConnectError> {
        let lifetime = &self.pool.shared().lifetime;
        let is_usable = |kept: &ServerConnection| !kept.is_closed() && !lifetime.is_expired(kept.birth().at);
        let kept = match self.connection.take().filter(is_usable) {
            // Its server may have fallen behind.
            Some(kept) => {
                let proved = timeout(self.pool.limits().probe, self.pool.connector().prove(&kept)).await;
                proved.is_ok_and(|proved| proved.is_ok()).then_some(kept)
            }
            None => None,
        };
        let connection = match kept {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let latency = ping(&connection, self.pool.limits().probe).await?;
        self.connection = Some(connection).filter(|_| self.pool.status().max > 1);
        Ok(latency)
    }

    /// Checks whether a pooler that was detected still gives each transaction another session.
    async fn check_for_pooler(&self) -> Result<(), ConnectError> {
        let connector = self.pool.connector();
        let kept = async {
            // One after the other: the second detects whether the first has kept its session.
            let (first, second) = (connector.connect().await?, connector.connect().await?);
            keep_their_sessions([&first, &second]).await.map_err(|error| of_attempt(&error))
        };
        let limit = connector.longest_connect();
        match timeout(limit, kept).await {
            Ok(Ok(true)) => {
                connector.backends().set_pooled(false);
                Ok(())
            }
            Ok(Ok(false)) => Err(pooled()),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(ConnectError::timed_out(limit)),
        }
    }

    /// Makes a connection. While an attempt has not ended, further ones are started at intervals: where the network drops packets,
    /// an attempt ends only at its timeout, although the network may have recovered long before.
    async fn connect(&self) -> Result<ServerConnection, ConnectError> {
        let connector = self.pool.connector();
        let started = Instant::now();
        let mut another = interval(ATTEMPT_INTERVAL);
        let mut attempts = FuturesUnordered::new();
        loop {
            // It grows when a lookup finds more addresses.
            let limit = connector.longest_connect();
            tokio::select! {
                biased;
                Some(made) = attempts.next() => match made {
                    Err(_) if !attempts.is_empty() => {}
                    made => return made,
                },
                () = sleep_until((started + limit).into()) => return Err(ConnectError::timed_out(limit)),
                _ = another.tick() => attempts.push(connector.connect()),
            }
        }
    }
}
