//! Takes records from the threads that decide to the thread that writes.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use serde::Serialize;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::entry::Entry;
use super::sink::{RecorderError, Sink};
use crate::config::{DomainConfig, RecordsConfig, WhenFull};

/// The shortest time between two log lines about the same problem.
const LOG_INTERVAL: Duration = Duration::from_secs(1);
/// The longest queue that can be configured.
const MAX_QUEUE: usize = 1_000_000;
/// The most records that are written at once.
const MAX_BATCH: usize = 1_000;
/// How long to wait before a file that could not be written is opened again.
const RETRY_DELAY: Duration = Duration::from_millis(200);

/// The state of the recorder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecorderStatus {
    /// Records written.
    pub written: u64,
    /// Records that were dropped because the queue was full.
    pub dropped: u64,
    /// Decisions that waited because the queue was full.
    pub waited: u64,
    /// Records that could not be written.
    pub failed: u64,
    /// Records in the queue.
    pub queued: usize,
    /// The last error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

#[derive(Default)]
struct Counts {
    written: AtomicU64,
    dropped: AtomicU64,
    waited: AtomicU64,
    failed: AtomicU64,
    last_error: ArcSwapOption<String>,
    last_logged: Mutex<Option<Instant>>,
}

impl Counts {
    /// Whether a problem may be logged again. Where another thread asks at the same time, that one logs.
    fn may_log(&self) -> bool {
        let Ok(mut last) = self.last_logged.try_lock() else { return false };
        let is_due = last.is_none_or(|last| last.elapsed() >= LOG_INTERVAL);
        if is_due {
            *last = Some(Instant::now());
        }
        is_due
    }
}

/// A message to the thread that writes.
enum Message {
    Write(Box<Entry>),
    /// End once every earlier message is written.
    Finish(oneshot::Sender<()>),
    /// Open the file again.
    Reopen,
}

/// Takes finished runs to the record. Cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    queue: mpsc::Sender<Message>,
    when_full: WhenFull,
    counts: Arc<Counts>,
}

impl Recorder {
    /// Starts to record as `config` says, to a table of `database` where it names one; `None` where recording is off.
    ///
    /// # Errors
    /// [`RecorderError`].
    pub fn start(config: &RecordsConfig, database: Option<&DomainConfig>) -> Result<Option<Self>, RecorderError> {
        let Some(sink) = Sink::open(config, database)? else { return Ok(None) };
        let (queue, entries) = mpsc::channel(config.queue.clamp(1, MAX_QUEUE));
        let counts = Arc::new(Counts::default());
        let writer = Writer { sink, redact: config.redact, counts: Arc::clone(&counts) };
        let thread = std::thread::Builder::new().name("records".to_owned()).spawn(move || writer.run(entries));
        thread.map_err(|source| RecorderError::Thread { source })?;
        Ok(Some(Self { queue, when_full: config.when_full, counts }))
    }

    /// Records a run. Where the queue is full, it drops the record or waits, as configured, and counts and logs that.
    pub async fn record(&self, entry: Entry) {
        let message = match self.queue.try_send(Message::Write(Box::new(entry))) {
            Ok(()) => return,
            Err(TrySendError::Full(message)) => message,
            Err(TrySendError::Closed(_)) => {
                self.counts.dropped.fetch_add(1, Ordering::Relaxed);
                return;
            }
        };
        match self.when_full {
            WhenFull::Drop => {
                let dropped = self.counts.dropped.fetch_add(1, Ordering::Relaxed) + 1;
                if self.counts.may_log() {
                    tracing::error!(
                        records.dropped = dropped,
                        "decision records are dropped: they cannot be written fast enough"
                    );
                }
            }
            WhenFull::Wait => {
                let waited = self.counts.waited.fetch_add(1, Ordering::Relaxed) + 1;
                if self.counts.may_log() {
                    tracing::warn!(records.waited = waited, "decisions wait for their records to be written");
                }
                if self.queue.send(message).await.is_err() {
                    self.counts.dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// The present state.
    pub fn status(&self) -> RecorderStatus {
        let counts = &self.counts;
        RecorderStatus {
            written: counts.written.load(Ordering::Relaxed),
            dropped: counts.dropped.load(Ordering::Relaxed),
            waited: counts.waited.load(Ordering::Relaxed),
            failed: counts.failed.load(Ordering::Relaxed),
            queued: self.queue.max_capacity().saturating_sub(self.queue.capacity()),
            last_error: counts.last_error.load().as_deref().cloned(),
        }
    }

    /// Opens the file again, after log rotation has moved it. A moved file is also noticed without this.
    pub async fn reopen(&self) {
        // The thread that writes ends only with the service.
        drop(self.queue.send(Message::Reopen).await);
    }

    /// Waits for at most `limit` until the queue has been written, and stops recording.
    pub async fn finish(&self, limit: Duration) {
        let (sender, done) = oneshot::channel();
        let all = async { self.queue.send(Message::Finish(sender)).await.is_ok() && done.await.is_ok() };
        if !matches!(tokio::time::timeout(limit, all).await, Ok(true)) {
            let queued = self.status().queued;
            tracing::error!(records.queued = queued, "decision records are lost: they were not written in time");
        }
    }
}

struct Writer {
    sink: Sink,
    redact: bool,
    counts: Arc<Counts>,
}

impl Writer {
    fn run(mut self, mut messages: mpsc::Receiver<Message>) {
        while let Some(message) = messages.blocking_recv() {
            let (mut entries, mut finished) = (Vec::new(), Vec::new());
            let mut next = Some(message);
            while let Some(message) = next {
                match message {
                    Message::Write(entry) => entries.push(*entry),
                    Message::Finish(sender) => finished.push(sender),
                    Message::Reopen => self.reopen(),
                }
                next = if entries.len() < MAX_BATCH { messages.try_recv().ok() } else { None };
            }
            self.write(&entries);
            if !finished.is_empty() {
                // The file is closed and unlocked before `finish` returns.
                drop(self.sink);
                finished.into_iter().for_each(|sender| sender.send(()).unwrap_or_default());
                return;
            }
        }
    }

    /// Counts records that can be read back as written, and others as failed.
    fn write(&mut self, entries: &[Entry]) {
        let (written, outcome) = self.sink.write(entries, self.redact);
        self.counts.written.fetch_add(written as u64, Ordering::Relaxed);
        let Err(error) = outcome else { return };
        let failed = entries.len().saturating_sub(written) as u64;
        let failed = self.counts.failed.fetch_add(failed, Ordering::Relaxed) + failed;
        self.report_error(&error, failed);
        std::thread::sleep(RETRY_DELAY);
        if let Err(error) = self.sink.recover() {
            self.report_error(&error, failed);
        }
    }

    fn reopen(&mut self) {
        if let Err(error) = self.sink.recover() {
            self.report_error(&error, self.counts.failed.load(Ordering::Relaxed));
        }
    }

    fn report_error(&self, error: &io::Error, failed: u64) {
        self.counts.last_error.store(Some(Arc::new(error.to_string())));
        if self.counts.may_log() {
            tracing::error!(records.failed = failed, %error, "decision records could not be written");
        }
    }
}
