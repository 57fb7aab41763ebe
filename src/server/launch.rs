//! One running server: started, stopped, killed, frozen, started again on its port.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::account::Account;
use super::cluster::{self, SUPERUSER};
use super::home::TemporaryHome;
use super::port::Port;
use super::postmaster::{self, PidFile};
use super::watchdog::Watchdog;
use super::{Binaries, ServerError, family};

/// For a server to take connections; crash recovery of much data is what may take long.
const START_LIMIT: Duration = Duration::from_secs(60);
/// For a server to end by itself; a shutdown checkpoint is what may take long.
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// For killed processes to be gone.
const KILL_LIMIT: Duration = Duration::from_secs(10);

/// What every server here is told. No Unix socket: paths in temporary directories are easily too long for one.
const SETTINGS: [(&str, &str); 5] = [
    ("listen_addresses", "127.0.0.1"),
    ("unix_socket_directories", ""),
    ("logging_collector", "off"),
    ("log_destination", "stderr"),
    ("log_timezone", "UTC"),
];

/// What a disposable server is told besides: small, quick, careless of crashes of the machine, and leaving no shared
/// memory in the kernel when it is killed. (`synchronous_commit` stays on: without fsync it costs nothing, and what was
/// committed survives `kill_family`.)
const DISPOSABLE_SETTINGS: [(&str, &str); 12] = [
    ("fsync", "off"),
    ("full_page_writes", "off"),
    ("autovacuum", "off"),
    ("wal_level", "minimal"),
    ("max_wal_senders", "0"),
    ("max_logical_replication_workers", "0"),
    ("max_parallel_workers", "0"),
    ("shared_buffers", "4MB"),
    ("dynamic_shared_memory_type", "mmap"),
    ("huge_pages", "off"),
    ("jit", "off"),
    ("timezone", "UTC"),
];

/// What a server is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To keep data: everything is synced, and stopping it is orderly even when its parent was killed.
    Lasting,
    /// To be tested with: quick and small, and what it wrote is worth nothing.
    Disposable,
}

/// How to start a server.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Its data directory, which `initdb` made.
    pub data_dir: PathBuf,
    /// Where it logs; appended to.
    pub log_file: PathBuf,
    /// Its TCP port on 127.0.0.1; `None` for any free one.
    pub port: Option<u16>,
    /// The superuser's password; `None` where everybody is trusted.
    pub password: Option<String>,
    /// What it is for.
    pub purpose: Purpose,
    /// Settings as in `postgresql.conf`; they win over those that the purpose brings.
    pub settings: Vec<(String, String)>,
}

/// A PostgreSQL server that belongs to this process: dropping it stops it, and it does not outlive the process, however
/// that ends. Its methods block for some tens of milliseconds.
pub struct Server {
    binaries: Binaries,
    account: Account,
    options: ServerOptions,
    port: Port,
    running: Mutex<Option<Running>>,
    home: Option<TemporaryHome>,
}

struct Running {
    postmaster: Child,
    watchdog: Watchdog,
}

impl Server {
    /// Starts a server and returns when it takes connections.
    ///
    /// # Errors
    /// The data is of another major version, another server runs on it, the port is taken, or PostgreSQL does not start;
    /// then the error quotes its log.
    pub fn start(binaries: &Binaries, options: ServerOptions) -> Result<Self, ServerError> {
        let port = options.port.map_or_else(Port::any, Port::exactly)?;
        Self::start_on(binaries, options, port, None)
    }

    /// Starts a new, empty server for tests, with these settings besides the usual ones. Everybody on this machine may
    /// connect as `postgres`. Its directory goes when it is dropped.
    ///
    /// # Errors
    /// As [`Self::start`]; or PostgreSQL's programs are missing.
    pub fn disposable(settings: &[(&str, &str)]) -> Result<Self, ServerError> {
        let binaries = Binaries::find()?;
        let account = Account::choose()?;
        let home = TemporaryHome::create(&account)?;
        let options = ServerOptions {
            data_dir: home.dir().join("data"),
            log_file: home.dir().join("postgres.log"),
            port: None,
            password: None,
            purpose: Purpose::Disposable,
            settings: settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        };
        cluster::copy_template(&binaries, &account, &options.data_dir)?;
        Self::start_on(&binaries, options, Port::any()?, Some(home))
    }

    pub(super) fn start_on(
        binaries: &Binaries,
        options: ServerOptions,
        port: Port,
        home: Option<TemporaryHome>,
    ) -> Result<Self, ServerError> {
        let account = Account::choose()?;
        if let Some(data) = cluster::major_version(&options.data_dir)?.filter(|data| *data != binaries.version().major)
        {
            let (bin_dir, programs) = (binaries.dir().to_owned(), binaries.version().clone());
            return Err(ServerError::VersionMismatch { data_dir: options.data_dir, data, bin_dir, programs });
        }
        account.must_reach(binaries.dir())?;
        let server = Self { binaries: binaries.clone(), account, options, port, running: Mutex::new(None), home };
        *server.running() = Some(server.launch()?);
        Ok(server)
    }

    /// The address it listens on.
    pub fn host(&self) -> &'static str {
        "127.0.0.1"
    }

    /// The TCP port it listens on, the same for as long as this value lives.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The superuser's URL of a database, with the password if there is one.
    pub fn url(&self, database: &str) -> String {
        let password = self.options.password.as_ref();
        let password = password.map(|password| format!(":{}", utf8_percent_encode(password, NON_ALPHANUMERIC)));
        format!(
            "postgres://{SUPERUSER}{}@{}:{}/{}",
            password.unwrap_or_default(),
            self.host(),
            self.port(),
            utf8_percent_encode(database, NON_ALPHANUMERIC)
        )
    }

    /// Its data directory.
    pub fn data_dir(&self) -> &Path {
        &self.options.data_dir
    }

    /// Its log.
    pub fn log_file(&self) -> &Path {
        &self.options.log_file
    }

    /// The version of its programs.
    pub fn version(&self) -> &super::Version {
        self.binaries.version()
    }

    /// Its first process, if it was started and not yet stopped.
    pub fn postmaster(&self) -> Option<u32> {
        self.running().as_ref().map(|running| running.postmaster.id())
    }

    /// Writes a file into its data directory that only the server may read, such as `pg_hba.conf` or a TLS key.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn put_file(&self, name: &str, contents: &str) -> Result<(), ServerError> {
        let path = self.data_dir().join(name);
        fs::write(&path, contents).map_err(ServerError::io("write the file", &path))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))
            .map_err(ServerError::io("set the permissions of", &path))?;
        self.account.own(&path)
    }

    /// Has it read its configuration files again.
    ///
    /// # Errors
    /// It is not running.
    pub fn reload(&self) -> Result<(), ServerError> {
        family::send(self.running_postmaster()?, Signal::SIGHUP);
        Ok(())
    }

    /// Stops it in order: clients are told, connections closed, a lasting server's data written out. No error if it is
    /// not running; a frozen one is thawed.
    ///
    /// # Errors
    /// It does not end within 30 seconds.
    pub fn stop(&self) -> Result<(), ServerError> {
        self.stop_by(Signal::SIGINT)
    }

    /// Kills the whole family of processes with SIGKILL, as a crash of the machine would. No error if it is not running.
    ///
    /// # Errors
    /// A process cannot be killed.
    pub fn kill_family(&self) -> Result<(), ServerError> {
        let mut running = self.running();
        let Some(mut killed) = running.take() else { return Ok(()) };
        let pid = killed.postmaster.id();
        let gone = family::kill_all(pid, KILL_LIMIT);
        let ended = killed.postmaster.wait();
        killed.watchdog.dismiss();
        postmaster::release_shared_memory(self.data_dir());
        match ended {
            Ok(_) if gone => Ok(()),
            _ => Err(ServerError::NotStopped { pid, after: KILL_LIMIT }),
        }
    }

    /// Stops every process of the family with SIGSTOP: connections stay open and nothing answers.
    ///
    /// # Errors
    /// It is not running.
    pub fn freeze(&self) -> Result<(), ServerError> {
        family::freeze(self.running_postmaster()?);
        Ok(())
    }

    /// Lets a frozen family go on.
    ///
    /// # Errors
    /// It is not running.
    pub fn thaw(&self) -> Result<(), ServerError> {
        family::thaw(self.running_postmaster()?);
        Ok(())
    }

    /// Starts it again on the same port and data, after stopping it if it runs.
    ///
    /// # Errors
    /// As [`Self::stop`] and [`Self::start`].
    pub fn restart(&self) -> Result<(), ServerError> {
        self.stop()?;
        let launched = self.launch()?;
        *self.running() = Some(launched);
        Ok(())
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running_postmaster(&self) -> Result<u32, ServerError> {
        self.postmaster().ok_or(ServerError::NotRunning { port: self.port() })
    }

    fn stop_by(&self, signal: Signal) -> Result<(), ServerError> {
        let mut running = self.running();
        let Some(stopping) = running.as_mut() else { return Ok(()) };
        let pid = stopping.postmaster.id();
        family::send(pid, signal);
        family::thaw(pid);
        // An error of `try_wait` means that there is no such child any more.
        if !family::wait_until(STOP_LIMIT, || !matches!(stopping.postmaster.try_wait(), Ok(None))) {
            return Err(ServerError::NotStopped { pid, after: STOP_LIMIT });
        }
        if let Some(stopped) = running.take() {
            stopped.watchdog.dismiss();
        }
        Ok(())
    }

    fn launch(&self) -> Result<Running, ServerError> {
        postmaster::clear_stale(self.data_dir())?;
        let mut log = File::options()
            .create(true)
            .append(true)
            .open(self.log_file())
            .map_err(ServerError::io("open the file", self.log_file()))?;
        let log_start = log.seek(SeekFrom::End(0)).map_err(ServerError::io("read the file", self.log_file()))?;
        let mut postmaster = self.spawn(log)?;
        let watchdog = self.guard(postmaster.id()).inspect_err(|_| end_at_once(&mut postmaster))?;
        if let Err(error) = self.wait_until_ready(&mut postmaster, log_start) {
            end_at_once(&mut postmaster);
            watchdog.dismiss();
            return Err(error);
        }
        Ok(Running { postmaster, watchdog })
    }

    fn spawn(&self, log: File) -> Result<Child, ServerError> {
        let program = self.binaries.program("postgres");
        let mut command = Command::new(&program);
        command.arg("-D").arg(self.data_dir()).current_dir(self.data_dir());
        let purpose: &[_] = match self.options.purpose {
            Purpose::Lasting => &[],
            Purpose::Disposable => &DISPOSABLE_SETTINGS,
        };
        for (name, value) in SETTINGS.iter().chain(purpose) {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        for (name, value) in &self.options.settings {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        command.arg("-c").arg(format!("port={}", self.port()));
        let also_log = log.try_clone().map_err(ServerError::io("open the file", self.log_file()))?;
        command.stdin(Stdio::null()).stdout(also_log).stderr(log);
        self.account.dress(&mut command);
        command.spawn().map_err(ServerError::io("run the program", program))
    }

    fn guard(&self, postmaster: u32) -> Result<Watchdog, ServerError> {
        let signal = match self.options.purpose {
            Purpose::Lasting => "INT",
            Purpose::Disposable => "QUIT",
        };
        let remove = self.home.as_ref().map(TemporaryHome::dir);
        Watchdog::start(postmaster, signal, remove)
    }

    fn wait_until_ready(&self, postmaster: &mut Child, log_start: u64) -> Result<(), ServerError> {
        let start = Instant::now();
        let pid = postmaster.id();
        let mut exited = None;
        family::wait_until(START_LIMIT, || {
            exited = postmaster.try_wait().ok().flatten();
            exited.is_some() || PidFile::read(self.data_dir()).is_some_and(|file| file.pid == pid && file.ready)
        });
        let log_file = self.log_file().to_owned();
        match exited {
            Some(status) => Err(ServerError::Exited { status, tail: tail(&log_file, log_start), log_file }),
            None if start.elapsed() > START_LIMIT => {
                Err(ServerError::NotReady { after: START_LIMIT, tail: tail(&log_file, log_start), log_file })
            }
            None => Ok(()),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let signal = match self.options.purpose {
            Purpose::Lasting => Signal::SIGINT,
            Purpose::Disposable => Signal::SIGQUIT,
        };
        if let Err(error) = self.stop_by(signal).or_else(|_| self.kill_family()) {
            tracing::error!(server.port = self.port(), %error, "could not stop a private PostgreSQL server");
        }
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("port", &self.port()).field("data_dir", &self.data_dir()).finish_non_exhaustive()
    }
}

/// Kills a postmaster that never came up, and its children.
fn end_at_once(postmaster: &mut Child) {
    family::kill_all(postmaster.id(), KILL_LIMIT);
    if let Err(error) = postmaster.wait() {
        tracing::warn!(process.pid = postmaster.id(), %error, "could not wait for a server that did not come up");
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
