//! Asking a database whether it is there, over a connection of the probe's own: a pool whose connections are all busy is
//! not a database that is down. Where the server has no slot for that connection, an idle one of the pool will do.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{interval, sleep_until, timeout};
use tokio_postgres::Client;

use super::backends::keep_their_sessions;
use super::failure::ConnectError;
use super::manager::ServerConnection;
use super::pool::Pool;
use super::sqlstate::leaves_session;

/// How long an attempt to connect is alone.
const ANOTHER_ATTEMPT: Duration = Duration::from_millis(500);

/// Asks one database. Keeps its connection from one probe to the next, unless it is the only one that the pool may have.
#[derive(Debug)]
pub struct Probe {
    pool: Pool,
    connection: Option<ServerConnection>,
}

impl Probe {
    /// Probes the database of `pool`, each for no longer than the probe timeout.
    pub fn new(pool: Pool) -> Self {
        Self { pool, connection: None }
    }

    /// Asks the database, and says how long it took to answer; connecting, where that was necessary, is not counted. `None`
    /// where nothing new is known: the server has no slot for the probe, and the connections of the pool are busy.
    ///
    /// # Errors
    /// Why there was no answer. The connection is given up, so the next probe makes a new one.
    pub async fn ask(&mut self) -> Result<Option<Duration>, ConnectError> {
        if self.pool.connector().is_pooled() {
            self.connection = None;
            self.find_sessions_kept().await?;
        }
        let status = self.pool.status();
        let asked = if status.max == 1 && status.size > 0 { Err(ConnectError::Full) } else { self.ask_itself().await };
        match asked {
            Err(ConnectError::Full) if status.size > 0 => self.pool.ask_idle().await,
            asked => asked.map(Some),
        }
    }

    /// Asks over the probe's own connection.
    async fn ask_itself(&mut self) -> Result<Duration, ConnectError> {
        let lifetime = &self.pool.shared().lifetime;
        let is_good = |kept: &ServerConnection| !kept.is_closed() && !lifetime.is_over(kept.born);
        let connection = match self.connection.take().filter(is_good) {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let latency = ask(&connection, self.pool.limits().probe).await?;
        self.connection = Some(connection).filter(|_| self.pool.status().max > 1);
        Ok(latency)
    }

    /// Sees whether the pooler that was noticed gives each connection a session of its own by now.
    async fn find_sessions_kept(&self) -> Result<(), ConnectError> {
        let connector = self.pool.connector();
        let kept = async {
            // One after the other: the second finds out whether the first keeps its session.
            let (first, second) = (connector.connect().await?, connector.connect().await?);
            keep_their_sessions([&first, &second]).await.map_err(|error| ConnectError::of(&error))
        };
        let limit = connector.patience();
        match timeout(limit, kept).await {
            Ok(Ok(true)) => {
                connector.note_no_pooler();
                Ok(())
            }
            Ok(Ok(false)) => Err(ConnectError::Pooled),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(ConnectError::late(limit)),
        }
    }

    /// Makes a connection; an attempt that has not ended after a while gets company. Where the network swallows what is
    /// sent an attempt ends only at its timeout, and the network may have come back long before.
    async fn connect(&self) -> Result<ServerConnection, ConnectError> {
        let connector = self.pool.connector();
        let begun = Instant::now();
        let mut another = interval(ANOTHER_ATTEMPT);
        let mut attempts = FuturesUnordered::new();
        loop {
            // It grows where a lookup finds more addresses.
            let patience = connector.patience();
            tokio::select! {
                biased;
                Some(made) = attempts.next() => match made {
                    Err(_) if !attempts.is_empty() => {}
                    made => return made,
                },
                () = sleep_until((begun + patience).into()) => return Err(ConnectError::late(patience)),
                _ = another.tick() => attempts.push(connector.connect()),
            }
        }
    }
}

/// Asks over `client`. An answer with severity ERROR is one, too: the database is there.
pub(super) async fn ask(client: &Client, limit: Duration) -> Result<Duration, ConnectError> {
    let asked = Instant::now();
    match timeout(limit, client.batch_execute("SELECT 1")).await {
        Ok(Ok(())) => Ok(asked.elapsed()),
        Ok(Err(error)) if leaves_session(&error) => Ok(asked.elapsed()),
        Ok(Err(error)) => Err(ConnectError::of(&error)),
        Err(_) => Err(ConnectError::late(limit)),
    }
}
