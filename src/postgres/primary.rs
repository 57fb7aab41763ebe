//! Samples of the primary, and what connections prove by them (`staleness`).

use std::pin::Pin;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};
use tokio_postgres::Client;

use super::connect::Connector;
use super::failure::of_attempt;
use super::staleness::{Position, Proof, Staleness, StalenessHealth};
use crate::config::SessionAttrs;
use crate::pool::{ConnectError, Connected, DialError};

/// The pauses in which a replica may replay what was written at the moment of the last sample.
const PAUSES: [Duration; 3] = [Duration::ZERO, Duration::from_millis(10), Duration::from_millis(40)];

impl Connector {
    /// How old the rows of the domain may be. `None` where the domain does not limit it.
    pub fn staleness_health(&self) -> Option<StalenessHealth> {
        self.staleness().map(Staleness::health)
    }

    /// Samples the primary at intervals, for as long as this is polled.
    pub async fn watch_primary(&self) {
        let Some(staleness) = self.staleness() else { return std::future::pending().await };
        loop {
            self.sample(staleness).await;
            sleep(staleness.interval).await;
        }
    }

    /// Closes the connection over which the primary is sampled.
    pub async fn forget_primary(&self) {
        *self.primary().lock().await = None;
    }

    /// Proves that the rows of the server of `client` are not too old. `None` where the domain does not limit that.
    ///
    /// # Errors
    /// [`ConnectError::Stale`] where they may be, or the error of the connection.
    pub(super) async fn prove(&self, client: &Client) -> Result<Option<Proof>, DialError> {
        let Some(staleness) = self.staleness() else { return Ok(None) };
        let (at, position) = (Instant::now(), Position::of(client).await?);
        let judged = staleness.judge(position, at);
        if judged.is_ok() || position.is_primary {
            return Ok(Some(judged?));
        }
        let sampled = async {
            let mut judged = judged;
            for pause in PAUSES {
                self.sample(staleness).await;
                sleep(pause).await;
                judged = staleness.judge(Position::of(client).await?, Instant::now());
                if judged.is_ok() {
                    break;
                }
            }
            Ok::<_, DialError>(judged)
        };
        match timeout(staleness.probe, sampled).await {
            Ok(judged) => Ok(Some(judged??)),
            Err(_) => Ok(Some(staleness.judge(position, at)?)),
        }
    }

    /// Takes a sample, unless another task has done so meanwhile. Boxed because making the connection proves what its server has.
    fn sample<'a>(&'a self, staleness: &'a Staleness) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(async move {
            let requested = Instant::now();
            let mut kept = self.primary().lock().await;
            if staleness.is_sampled_since(requested) {
                return;
            }
            let sampled = async {
                let connection = match kept.take().filter(|kept| !kept.is_closed()) {
                    Some(connection) => connection,
                    None => self.dial_as(&[SessionAttrs::Primary]).await?,
                };
                let at = Instant::now();
                let position = timeout(staleness.probe, Position::of(&connection)).await;
                let position = position.map_err(|_| ConnectError::timed_out(staleness.probe))??;
                staleness.judge(position, at)?;
                *kept = Some(connection);
                Ok::<_, DialError>(())
            };
            staleness.note_failure(sampled.await.err().map(|error| of_attempt(&*error).to_string()));
        })
    }
}
