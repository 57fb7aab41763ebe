//! The signals that stop the service or make it read its files again.
//!
//! Listen for them before anything else: until then SIGHUP ends the process.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What SIGHUP asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hangup {
    /// The files are to be read again: the service is a daemon.
    Reloads,
    /// The terminal was closed: what was started from it ends. A SIGHUP that the parent has ignored (`nohup`) stays ignored.
    Stops,
}

/// The signals as they arrive.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Option<Signal>,
    meaning: Hangup,
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    Stop,
    Reload,
}

impl Signals {
    /// Listens for SIGTERM, SIGINT and SIGHUP from now on.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn listen(meaning: Hangup) -> io::Result<Self> {
        let listens = meaning == Hangup::Reloads || !is_hangup_ignored();
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: listens.then(|| signal(SignalKind::hangup())).transpose()?,
            meaning,
        })
    }

    /// The next signal.
    pub(super) async fn next(&mut self) -> Request {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => Request::Stop,
            _ = self.interrupt.recv() => Request::Stop,
            _ = hangup => match self.meaning {
                Hangup::Reloads => Request::Reload,
                Hangup::Stops => Request::Stop,
            },
        }
    }
}

/// Whether this process was started with SIGHUP ignored, by the mask that the kernel shows (proc(5), `SigIgn`).
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}
