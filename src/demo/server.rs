//! A running server, from its start until it has ended.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::account::Account;
use super::binaries::Binaries;
use super::error::ServerError;
use super::postmaster::{self, PidFile};
use super::watchdog::Watchdog;

/// The superuser of every data directory made here.
pub const SUPERUSER: &str = "postgres";
/// The address that a server listens on.
pub const HOST: &str = "127.0.0.1";

/// For a server to accept connections; crash recovery of much data may take long.
const START_LIMIT: Duration = Duration::from_secs(60);
/// For a server to end by itself; a shutdown checkpoint may take long.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// The settings of every server. No Unix socket: paths in temporary directories are easily too long for one.
const SETTINGS: [(&str, &str); 5] = [
    ("listen_addresses", HOST),
    ("unix_socket_directories", ""),
    ("logging_collector", "off"),
    ("log_destination", "stderr"),
    ("log_timezone", "UTC"),
];

/// How to start a server.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Its data directory, which [`init`](super::init) made.
    pub data_dir: PathBuf,
    /// Where it logs; appended to.
    pub log_file: PathBuf,
    /// Its TCP port on [`HOST`].
    pub port: u16,
    /// Settings as in `postgresql.conf`.
    pub settings: Vec<(String, String)>,
}

/// A PostgreSQL server that belongs to this process: dropping it stops it, and it does not outlive the process, however
/// that ends.
#[derive(Debug)]
pub struct Server {
    postmaster: Child,
    watchdog: Watchdog,
}

impl Server {
    /// Starts a server and returns when it accepts connections. Blocks until then.
    ///
    /// # Errors
    /// Another server runs on the data, or PostgreSQL does not start; then the error quotes its log.
    pub fn start(binaries: &Binaries, account: &Account, options: &ServerOptions) -> Result<Self, ServerError> {
        let log_file = &options.log_file;
        account.must_reach(binaries.dir())?;
        postmaster::clear_stale(&options.data_dir)?;
        let mut log = File::options()
            .create(true)
            .append(true)
            .open(log_file)
            .map_err(ServerError::io("open the file", log_file))?;
        let log_start = log.seek(SeekFrom::End(0)).map_err(ServerError::io("read the file", log_file))?;
        let mut postmaster = spawn(binaries, account, options, log)?;
        let watchdog = Watchdog::start(postmaster.id()).inspect_err(|_| end_at_once(&mut postmaster))?;
        // Dropping it stops the postmaster, whatever fails from here on.
        let mut server = Self { postmaster, watchdog };
        match server.wait_until_ready(&options.data_dir) {
            Ok(()) => Ok(server),
            Err(exited) => {
                let (log_file, tail) = (log_file.clone(), tail(log_file, log_start));
                Err(match exited {
                    Some(status) => ServerError::Exited { status, log_file, tail },
                    None => ServerError::NotReady { after: START_LIMIT, log_file, tail },
                })
            }
        }
    }

    /// Its first process.
    pub fn postmaster(&self) -> u32 {
        self.postmaster.id()
    }

    /// Stops it in order: connections are closed and its data is written out. Blocks until it has ended.
    ///
    /// # Errors
    /// It does not end within 30 seconds.
    pub fn stop(mut self) -> Result<(), ServerError> {
        self.end()
    }

    fn end(&mut self) -> Result<(), ServerError> {
        let pid = self.postmaster.id();
        if self.is_running() {
            postmaster::send(pid, Signal::SIGINT);
            if !postmaster::wait_until(STOP_LIMIT, || !self.is_running()) {
                return Err(ServerError::NotStopped { pid, after: STOP_LIMIT });
            }
        }
        self.watchdog.dismiss();
        Ok(())
    }

    fn is_running(&mut self) -> bool {
        // An error means that there is no such child any more.
        matches!(self.postmaster.try_wait(), Ok(None))
    }

    /// The error is the status it ended with, or `None` if the time is over.
    fn wait_until_ready(&mut self, data_dir: &Path) -> Result<(), Option<ExitStatus>> {
        let pid = self.postmaster.id();
        let mut exited = None;
        let is_ready = postmaster::wait_until(START_LIMIT, || {
            exited = self.postmaster.try_wait().ok().flatten();
            exited.is_some() || PidFile::read(data_dir).is_some_and(|file| file.pid == pid && file.ready)
        });
        if is_ready && exited.is_none() { Ok(()) } else { Err(exited) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::error!(%error, "the server is killed");
            end_at_once(&mut self.postmaster);
            self.watchdog.dismiss();
        }
    }
}

fn spawn(binaries: &Binaries, account: &Account, options: &ServerOptions, log: File) -> Result<Child, ServerError> {
    let program = binaries.program("postgres");
    let mut command = Command::new(&program);
    command.arg("-D").arg(&options.data_dir).current_dir(&options.data_dir);
    let own = options.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in SETTINGS.into_iter().chain(own) {
        command.arg("-c").arg(format!("{name}={value}"));
    }
    command.arg("-c").arg(format!("port={}", options.port));
    let also_log = log.try_clone().map_err(ServerError::io("open the file", &options.log_file))?;
    command.stdin(Stdio::null()).stdout(also_log).stderr(log);
    account.prepare(&mut command);
    command.spawn().map_err(ServerError::io("run the program", program))
}

/// Kills a postmaster. Its children end when they see that it is gone.
fn end_at_once(postmaster: &mut Child) {
    postmaster::send(postmaster.id(), Signal::SIGKILL);
    if let Err(error) = postmaster.wait() {
        tracing::warn!(process.pid = postmaster.id(), %error, "could not wait for a server that was killed");
    }
}

/// The last lines that were written to the log after `start`.
fn tail(log_file: &Path, start: u64) -> String {
    const LINES: usize = 8;
    let mut text = Vec::new();
    let read = File::open(log_file).and_then(|mut file| {
        file.seek(SeekFrom::Start(start))?;
        file.read_to_end(&mut text)
    });
    match read {
        Ok(0) => "(nothing was written to it)".to_owned(),
        Ok(_) => {
            let text = String::from_utf8_lossy(&text);
            let lines: Vec<&str> = text.trim().lines().collect();
            lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default().join("\n")
        }
        Err(error) => format!("(it cannot be read: {error})"),
    }
}
