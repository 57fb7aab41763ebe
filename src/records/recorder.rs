//! From the threads that decide to the one that writes.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use serde::Serialize;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::entry::Entry;
use super::file::RotatingFile;
use crate::config::{RecordsConfig, RecordsTo, WhenFull};

/// The same trouble is logged at most this often.
const BETWEEN_COMPLAINTS: Duration = Duration::from_secs(1);
/// A queue is never longer, whatever the configuration says.
const MOST_QUEUED: usize = 1_000_000;
/// How long to wait before a file that could not be written is tried again.
const PAUSE: Duration = Duration::from_millis(200);

/// Why nothing can be recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecorderError {
    /// The file cannot be opened.
    #[error("decision records cannot be written to {}: {source}; see `records.path` in the configuration", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The thread that writes could not be started.
    #[error("the thread that writes decision records could not be started: {source}")]
    Thread {
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// How recording goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecorderStatus {
    /// Records written.
    pub written: u64,
    /// Records that were dropped because the queue was full.
    pub dropped: u64,
    /// Decisions that waited for a place in the queue.
    pub waited: u64,
    /// Records that could not be written.
    pub failed: u64,
    /// Records in the queue.
    pub queued: usize,
    /// The last thing that went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

struct Counts {
    began: Instant,
    written: AtomicU64,
    dropped: AtomicU64,
    waited: AtomicU64,
    failed: AtomicU64,
    last_error: ArcSwapOption<String>,
    /// When something was last complained of, in milliseconds since `began`, plus one.
    last_complaint: AtomicU64,
}

impl Counts {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            written: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            waited: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            last_error: ArcSwapOption::empty(),
            last_complaint: AtomicU64::new(0),
        }
    }

    /// Whether it is time to complain again.
    fn may_complain(&self) -> bool {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1);
        let last = self.last_complaint.load(Ordering::Relaxed);
        let due = last == 0 || Duration::from_millis(now.saturating_sub(last)) >= BETWEEN_COMPLAINTS;
        due && self.last_complaint.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

/// What goes to the thread that writes.
enum Message {
    Write(Box<Entry>),
    /// Answer once everything before this is written.
    Finish(oneshot::Sender<()>),
}

/// Takes finished runs to the record. Cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    queue: mpsc::Sender<Message>,
    when_full: WhenFull,
    counts: Arc<Counts>,
}

impl Recorder {
    /// Starts to record as `config` says; `None` where it says that nothing is recorded.
    ///
    /// # Errors
    /// [`RecorderError`].
    pub fn start(config: &RecordsConfig) -> Result<Option<Self>, RecorderError> {
        let sink = match config.to {
            RecordsTo::Off => return Ok(None),
            RecordsTo::Stdout => Sink::Stdout,
            RecordsTo::File => Sink::open(config)?,
        };
        let (queue, entries) = mpsc::channel(config.queue.clamp(1, MOST_QUEUED));
        let counts = Arc::new(Counts::new());
        let writer = Writer { sink, config: config.clone(), counts: Arc::clone(&counts), unflushed: 0 };
        let thread = std::thread::Builder::new().name("records".to_owned()).spawn(move || writer.run(entries));
        thread.map_err(|source| RecorderError::Thread { source })?;
        Ok(Some(Self { queue, when_full: config.when_full, counts }))
    }

    /// Puts a run on record. Where the queue is full it drops it or waits, as configured, and counts and tells that.
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
                if self.counts.may_complain() {
                    tracing::error!(
                        records.dropped = dropped,
                        "decision records are dropped: they cannot be written fast enough"
                    );
                }
            }
            WhenFull::Wait => {
                let waited = self.counts.waited.fetch_add(1, Ordering::Relaxed) + 1;
                if self.counts.may_complain() {
                    tracing::warn!(records.waited = waited, "decisions wait for their records to be written");
                }
                if self.queue.send(message).await.is_err() {
                    self.counts.dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// How it goes.
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

    /// Waits, for at most `limit`, until everything that is in the queue has been written.
    pub async fn finish(&self, limit: Duration) {
        let (sender, done) = oneshot::channel();
        let all = async { self.queue.send(Message::Finish(sender)).await.is_ok() && done.await.is_ok() };
        if !matches!(tokio::time::timeout(limit, all).await, Ok(true)) {
            let queued = self.status().queued;
            tracing::error!(records.queued = queued, "decision records are lost: they were not written in time");
        }
    }
}

enum Sink {
    Stdout,
    File(RotatingFile),
}

impl Sink {
    fn open(config: &RecordsConfig) -> Result<Self, RecorderError> {
        RotatingFile::open(&config.path, config.max_bytes, config.keep)
            .map(Self::File)
            .map_err(|source| RecorderError::Open { path: config.path.clone(), source })
    }

    fn write_line(&mut self, line: &str) -> io::Result<()> {
        match self {
            Self::Stdout => writeln!(io::stdout().lock(), "{line}"),
            Self::File(file) => file.write_line(line),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout => io::stdout().lock().flush(),
            Self::File(file) => file.flush(),
        }
    }
}

struct Writer {
    sink: Sink,
    config: RecordsConfig,
    counts: Arc<Counts>,
    /// Records that were handed to the sink and may still be in its buffer.
    unflushed: u64,
}

impl Writer {
    fn run(mut self, mut messages: mpsc::Receiver<Message>) {
        while let Some(message) = messages.blocking_recv() {
            let mut finished = Vec::new();
            let mut next = Some(message);
            while let Some(message) = next {
                match message {
                    Message::Write(entry) => self.write(&entry),
                    Message::Finish(sender) => finished.push(sender),
                }
                next = messages.try_recv().ok();
            }
            self.flush();
            // Whoever asked may have given up.
            finished.into_iter().for_each(|sender| sender.send(()).unwrap_or_default());
        }
    }

    fn write(&mut self, entry: &Entry) {
        let line = match entry.line(self.config.redact) {
            Ok(line) => line,
            Err(error) => return self.failed(1, &io::Error::other(error)),
        };
        match self.sink.write_line(&line) {
            Ok(()) => self.unflushed += 1,
            Err(error) => {
                self.lost(&error, 1);
            }
        }
    }

    fn flush(&mut self) {
        match self.sink.flush() {
            Ok(()) => {
                self.counts.written.fetch_add(self.unflushed, Ordering::Relaxed);
                self.unflushed = 0;
            }
            Err(error) => self.lost(&error, 0),
        }
    }

    /// What is in the buffer, and `more`, could not be written: the disk is full, the directory was moved away. The file is
    /// opened anew for what comes.
    fn lost(&mut self, error: &io::Error, more: u64) {
        let lost = std::mem::take(&mut self.unflushed) + more;
        self.failed(lost, error);
        if matches!(self.sink, Sink::File(_)) {
            std::thread::sleep(PAUSE);
            if let Ok(sink) = Sink::open(&self.config) {
                self.sink = sink;
            }
        }
    }

    fn failed(&self, records: u64, error: &io::Error) {
        let failed = self.counts.failed.fetch_add(records, Ordering::Relaxed) + records;
        self.counts.last_error.store(Some(Arc::new(error.to_string())));
        if self.counts.may_complain() {
            tracing::error!(records.failed = failed, %error, "decision records could not be written");
        }
    }
}
