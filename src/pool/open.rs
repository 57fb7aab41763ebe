//! Counts the open connections of one domain, so that a drain can wait for their end.

use std::sync::Arc;

use tokio::sync::watch;

/// The open connections of one domain, including those that are closing. Clones share the count.
#[derive(Debug, Clone, Default)]
pub struct OpenConnections(Arc<watch::Sender<usize>>);

/// Counts a connection as open until it is dropped.
#[derive(Debug)]
pub struct OpenConnection(Arc<watch::Sender<usize>>);

impl OpenConnections {
    /// Counts another connection.
    pub fn count(&self) -> OpenConnection {
        self.0.send_modify(|open| *open += 1);
        OpenConnection(Arc::clone(&self.0))
    }

    /// Their number.
    pub fn number(&self) -> usize {
        *self.0.borrow()
    }

    /// Waits until every connection has been closed.
    pub async fn closed(&self) {
        // The sender is in `self`, so waiting cannot fail.
        drop(self.0.subscribe().wait_for(|open| *open == 0).await);
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open = open.saturating_sub(1));
    }
}
