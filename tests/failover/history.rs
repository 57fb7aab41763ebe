//! What was written to the primary and when, against which each answer is judged.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, NoTls};

use crate::load::Verdict;

/// The row that the writer changes.
pub const TABLE: &str = "CREATE TABLE versions (id integer PRIMARY KEY, version bigint NOT NULL);
    INSERT INTO versions VALUES (1, 0)";
const WRITE_PAUSE: Duration = Duration::from_millis(10);
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);

/// The versions of the row. Each is written once, in order; version 0 was there before.
#[derive(Debug, Default, Clone)]
pub struct History(Arc<Mutex<Vec<Written>>>);

#[derive(Debug, Clone, Copy)]
struct Written {
    sent: Instant,
    /// When the server confirmed the commit.
    confirmed: Option<Instant>,
}

impl History {
    fn writes(&self) -> MutexGuard<'_, Vec<Written>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of confirmed writes.
    pub fn confirmed(&self) -> usize {
        self.writes().iter().filter(|write| write.confirmed.is_some()).count()
    }

    /// Judges the version in an answer to a request that was sent at `sent`: it was written, and it is not older than the newest
    /// one that was committed `age` before.
    pub fn judge(&self, version: usize, sent: Instant, age: Duration) -> Verdict {
        let writes = self.writes();
        if version > writes.len() {
            return Verdict::Wrong(format!("version {version} was never written"));
        }
        let settled = |write: &Written| write.confirmed.is_some_and(|confirmed| confirmed + age <= sent);
        let newest = writes.iter().rposition(settled).map_or(0, |place| place + 1);
        if version >= newest {
            return Verdict::Right;
        }
        let behind = writes.get(version).map_or(Duration::ZERO, |next| sent.saturating_duration_since(next.sent));
        Verdict::Wrong(format!("version {version} instead of {newest}, up to {} ms old", behind.as_millis()))
    }

    /// Writes versions to the primary for ever. Each URL takes only a primary.
    pub async fn write(self, urls: [String; 2]) {
        for url in urls.iter().cycle() {
            let connected = timeout(WRITE_TIMEOUT, tokio_postgres::connect(url, NoTls)).await;
            if let Ok(Ok((client, connection))) = connected {
                tokio::spawn(connection);
                while self.write_next(&client).await {
                    sleep(WRITE_PAUSE).await;
                }
            }
            sleep(WRITE_PAUSE).await;
        }
    }

    /// Writes the next version. An unconfirmed one may be committed later, but never over a newer one.
    async fn write_next(&self, client: &Client) -> bool {
        let version = {
            let mut writes = self.writes();
            writes.push(Written { sent: Instant::now(), confirmed: None });
            writes.len()
        };
        let statement = format!("UPDATE versions SET version = {version} WHERE id = 1 AND version < {version}");
        let is_confirmed = matches!(timeout(WRITE_TIMEOUT, client.execute(&statement, &[])).await, Ok(Ok(1)));
        if is_confirmed && let Some(write) = self.writes().get_mut(version - 1) {
            write.confirmed = Some(Instant::now());
        }
        is_confirmed
    }
}
