//! Records in a table of a PostgreSQL database.
//!
//! A batch is one transaction and counts as written once it is committed. A batch whose COMMIT was lost is written again under
//! the same row ids, so that no record is stored twice.

use std::io;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::entry::Entry;
use crate::config::DomainConfig;
use crate::postgres::{AppendedRow, Appender};

/// The table that records are written to.
pub const TABLE: &str = "\
-- The table of `records: { to: table }`. `records.table` names it.
CREATE TABLE decision_records (
    id     uuid PRIMARY KEY,
    at     timestamptz NOT NULL,
    flow   text NOT NULL,
    record json NOT NULL
);
CREATE INDEX ON decision_records (flow, at);
-- GRANT INSERT, SELECT (id) ON decision_records TO tributary_records;
";

/// How long writes to an unavailable database are retried before its records count as failed.
const RETRY_FOR: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A table, written to by one thread.
pub(super) struct Table {
    appender: Appender,
    runtime: tokio::runtime::Runtime,
}

impl Table {
    pub(super) fn open(database: &DomainConfig, table: &str) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { appender: Appender::new(database, table), runtime })
    }

    pub(super) fn write(&mut self, entries: &[Entry], redact: bool, written: &mut usize) -> io::Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let row = |entry: &Entry| -> io::Result<AppendedRow> {
            let (at, flow) = (entry.trace.clock.now().to_string(), entry.flow.name.to_string());
            Ok(AppendedRow { id: Uuid::new_v4(), at, flow, json: entry.line(redact, None)? })
        };
        let rows = entries.iter().map(row).collect::<io::Result<Vec<_>>>()?;
        let (appender, began) = (&mut self.appender, Instant::now());
        self.runtime.block_on(async {
            let mut pause = FIRST_PAUSE;
            while let Err(error) = appender.append(&rows).await {
                if !error.is_transient || began.elapsed() > RETRY_FOR {
                    return Err(io::Error::other(error));
                }
                tracing::warn!(%error, "decision records wait for their database");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            Ok(())
        })?;
        *written = entries.len();
        Ok(())
    }
}
