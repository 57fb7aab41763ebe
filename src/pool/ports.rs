//! What the pool needs of the connections that it holds.

use std::fmt::Debug;
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use super::error::ConnectError;
use super::open::OpenConnections;

/// Makes the connections of one domain.
pub trait Connect: Debug + Clone + Send + Sync + 'static {
    /// A connection.
    type Connection: Connected;

    /// Makes a connection.
    ///
    /// # Errors
    /// Why no connection was made.
    fn connect(&self) -> impl Future<Output = Result<Self::Connection, ConnectError>> + Send;

    /// The longest that [`Self::connect`] can take.
    fn longest_connect(&self) -> Duration;

    /// The connections that are open.
    fn open(&self) -> &OpenConnections;
}

/// A connection.
pub trait Connected: Debug + Send + 'static {
    /// When and on which thread it was made.
    fn birth(&self) -> Birth;

    /// Whether it can no longer be used.
    fn is_closed(&self) -> bool;

    /// Makes a round trip and returns its time.
    ///
    /// # Errors
    /// Why there was no answer within `limit`.
    fn check(&mut self, limit: Duration) -> impl Future<Output = Result<Duration, ConnectError>> + Send;
}

/// When and on which thread a connection was made. The task that drives it runs on that thread.
#[derive(Debug, Clone, Copy)]
pub struct Birth {
    /// When.
    pub at: Instant,
    thread: ThreadId,
}

impl Birth {
    /// Now, on this thread.
    pub fn now() -> Self {
        Self { at: Instant::now(), thread: std::thread::current().id() }
    }

    /// Whether the task that drives the connection runs on the current thread.
    pub fn is_on_current_thread(&self) -> bool {
        self.thread == std::thread::current().id()
    }
}
