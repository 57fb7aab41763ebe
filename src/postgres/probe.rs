//! Asking a database whether it is there, over a connection of the probe's own: a pool whose connections are all busy is
//! not a database that is down.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, sleep_until, timeout};
use tokio_postgres::Client;

use super::connect::Connector;
use super::failure::ConnectError;

/// How long an attempt to connect is alone.
const ANOTHER_ATTEMPT: Duration = Duration::from_millis(500);

/// Asks one database. Keeps its connection from one probe to the next.
#[derive(Debug)]
pub struct Probe {
    connector: Connector,
    limit: Duration,
    connection: Option<Connected>,
}

#[derive(Debug)]
struct Connected {
    client: Client,
    task: JoinHandle<()>,
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Probe {
    /// Probes over connections of `connector` that wait for an answer no longer than `limit`.
    pub fn new(connector: Connector, limit: Duration) -> Self {
        Self { connector, limit, connection: None }
    }

    /// Asks the database, and says how long it took to answer; connecting, where that was necessary, is not counted.
    ///
    /// # Errors
    /// Why there was no answer. The connection is given up, so the next probe makes a new one.
    pub async fn ask(&mut self) -> Result<Duration, ConnectError> {
        if self.connector.is_pooled() {
            return Err(ConnectError::Pooled);
        }
        let connection = match self.connection.take().filter(|connection| !connection.client.is_closed()) {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let asked = Instant::now();
        match timeout(self.limit, connection.client.batch_execute("SELECT 1")).await {
            Ok(Ok(())) => {
                self.connection = Some(connection);
                Ok(asked.elapsed())
            }
            Ok(Err(error)) => Err(ConnectError::of(&error)),
            Err(_) => Err(ConnectError::late(self.limit)),
        }
    }

    /// Makes a connection; an attempt that has not ended after a while gets company. Where the network swallows what is
    /// sent an attempt ends only at its timeout, and the network may have come back long before.
    async fn connect(&self) -> Result<Connected, ConnectError> {
        let begun = Instant::now();
        let mut another = interval(ANOTHER_ATTEMPT);
        let mut attempts = FuturesUnordered::new();
        loop {
            // It grows where a lookup finds more addresses.
            let patience = self.connector.patience();
            tokio::select! {
                biased;
                Some(made) = attempts.next() => match made {
                    Ok((client, task)) => return Ok(Connected { client, task }),
                    Err(error) if attempts.is_empty() => return Err(ConnectError::of(&error)),
                    Err(_) => {}
                },
                () = sleep_until(begun + patience) => return Err(ConnectError::late(patience)),
                _ = another.tick() => attempts.push(self.connector.dial()),
            }
        }
    }
}
