//! PostgreSQL servers of the tests: quick to start, and stopped, killed, frozen and started again at will.
//!
//! `tributary::demo` starts and guards the processes. What a server wrote is worth nothing: nothing is synced, everybody
//! on this machine may connect as `postgres`, and the directory goes with the test process, however that ends. Benchmarks
//! include this module without the rest of `support`.

#![allow(clippy::print_stderr, reason = "what goes wrong beside a test or a measurement is shown with its output")]
#![allow(dead_code, reason = "every test program compiles all of this and uses some of it")]
#![allow(unused_imports, reason = "every test program compiles all of this and uses some of it")]
#![allow(unreachable_pub, reason = "a test program exports nothing; `pub` says what tests may use")]
#![allow(clippy::expect_used, reason = "tests fail by panicking")]

pub mod family;
mod home;
mod port;
pub mod sql;
pub mod template;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::sys::signal::Signal;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tributary::demo::{self, Account, Binaries, HOST, SUPERUSER, ServerError, ServerOptions};

use self::home::TemporaryHome;
pub use self::port::Port;

/// Settings that make a server small, quick, and careless of crashes of the machine. (`synchronous_commit` stays on:
/// without fsync it costs nothing, and committed data survives `kill_family`.)
const SETTINGS: [(&str, &str); 12] = [
    ("fsync", "off"),
    ("full_page_writes", "off"),
    ("autovacuum", "off"),
    ("wal_level", "minimal"),
    ("max_wal_senders", "0"),
    ("max_logical_replication_workers", "0"),
    ("max_parallel_workers", "0"),
    ("shared_buffers", "4MB"),
    // A killed server leaves nothing of this in the kernel.
    ("dynamic_shared_memory_type", "mmap"),
    ("huge_pages", "off"),
    ("jit", "off"),
    ("timezone", "UTC"),
];

/// The settings of a server that has replicas.
pub const PRIMARY: [(&str, &str); 3] = [("wal_level", "replica"), ("max_wal_senders", "5"), ("wal_keep_size", "64MB")];

/// A server that belongs to this process. Its methods block for some tens of milliseconds, and panic where the server
/// does not do what it should; errors are for tests that expect one.
pub struct Server {
    binaries: Binaries,
    account: Account,
    options: ServerOptions,
    running: Mutex<Option<demo::Server>>,
    _port: Port,
    // Last, because it is removed after the server has ended.
    _home: TemporaryHome,
}

impl Server {
    /// Starts a new, empty server with these settings besides the usual ones, which they override.
    ///
    /// # Errors
    /// PostgreSQL's programs are missing, or the server does not start.
    pub fn disposable(settings: &[(&str, &str)]) -> Result<Self, ServerError> {
        let server = Self::prepared(settings)?;
        template::copy(&server.binaries, &server.account, server.data_dir())?;
        server.restart()?;
        Ok(server)
    }

    /// Starts a server that streams from this one, which it reaches at `port`, with the same settings. This one is restarted; its
    /// settings include [`PRIMARY`].
    ///
    /// # Errors
    /// One of the two does not start.
    pub fn replica(&self, port: u16) -> Result<Self, ServerError> {
        let own = self.options.settings.iter().map(|(name, value)| (&**name, &**value));
        let replica = Self::prepared(&own.collect::<Vec<_>>())?;
        replica.follow(self, port)?;
        Ok(replica)
    }

    /// Makes this server a replica of `primary`, which it reaches at `port`, with a copy of its data. Both are restarted.
    ///
    /// # Errors
    /// One of the two does not start.
    pub fn follow(&self, primary: &Self, port: u16) -> Result<(), ServerError> {
        self.stop()?;
        primary.stop()?;
        if self.data_dir().exists() {
            fs::remove_dir_all(self.data_dir()).expect("its data is removed");
        }
        template::copy_tree(primary.data_dir(), self.data_dir(), &self.account)?;
        primary.restart()?;
        let settings = format!(
            "primary_conninfo = 'host={HOST} port={port} user={SUPERUSER}'\nwal_retrieve_retry_interval = 100ms\n"
        );
        for (name, text) in [("standby.signal", ""), ("postgresql.auto.conf", &settings)] {
            self.put_file(name, text).expect("the file is written");
        }
        self.restart()
    }

    /// A server without data.
    fn prepared(settings: &[(&str, &str)]) -> Result<Self, ServerError> {
        let binaries = Binaries::find()?;
        let account = Account::choose()?;
        let home = TemporaryHome::create(&account)?;
        let port = Port::any();
        let options = ServerOptions {
            data_dir: home.dir().join("data"),
            log_file: home.dir().join("postgres.log"),
            port: port.number(),
            settings: SETTINGS.iter().chain(settings).map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
        };
        Ok(Self { binaries, account, options, running: Mutex::new(None), _port: port, _home: home })
    }

    /// The address it listens on.
    #[expect(clippy::unused_self, reason = "every server has an address, as it has a port")]
    pub fn host(&self) -> &'static str {
        HOST
    }

    /// The TCP port it listens on, the same for as long as this value lives.
    pub fn port(&self) -> u16 {
        self.options.port
    }

    /// The superuser's URL of a database.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{SUPERUSER}@{HOST}:{}/{}", self.port(), utf8_percent_encode(database, NON_ALPHANUMERIC))
    }

    /// What it was started with.
    pub fn options(&self) -> &ServerOptions {
        &self.options
    }

    /// Its data directory.
    pub fn data_dir(&self) -> &Path {
        &self.options.data_dir
    }

    /// Its first process, unless it is stopped.
    pub fn postmaster(&self) -> Option<u32> {
        self.running().as_ref().map(demo::Server::postmaster)
    }

    /// Writes a file into its data directory that only the server may read, such as `pg_hba.conf` or a TLS key.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn put_file(&self, name: &str, contents: &str) -> std::io::Result<()> {
        let path = self.data_dir().join(name);
        fs::write(&path, contents)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        self.account.own(&path).map_err(std::io::Error::other)
    }

    /// Makes it read its configuration files again.
    pub fn reload(&self) {
        family::send(self.running_postmaster(), Signal::SIGHUP);
    }

    /// Stops it in order, even if it is frozen. Does nothing if it is not running.
    ///
    /// # Errors
    /// It does not end in time.
    pub fn stop(&self) -> Result<(), ServerError> {
        let Some(server) = self.running().take() else { return Ok(()) };
        family::thaw(server.postmaster());
        server.stop()
    }

    /// Kills the whole family of processes with SIGKILL, as a crash of the machine would. Does nothing if it is not
    /// running.
    pub fn kill_family(&self) {
        let Some(server) = self.running().take() else { return };
        family::kill_all(server.postmaster());
        family::release_shared_memory(self.data_dir());
    }

    /// Stops every process of the family with SIGSTOP: connections stay open and nothing answers.
    pub fn freeze(&self) {
        family::freeze(self.running_postmaster());
    }

    /// Lets a frozen family continue.
    pub fn thaw(&self) {
        family::thaw(self.running_postmaster());
    }

    /// Starts it again on the same port and data, after stopping it if it runs.
    ///
    /// # Errors
    /// It does not end, or does not start.
    pub fn restart(&self) -> Result<(), ServerError> {
        self.stop()?;
        let started = demo::Server::start(&self.binaries, &self.account, &self.options)?;
        *self.running() = Some(started);
        Ok(())
    }

    fn running(&self) -> MutexGuard<'_, Option<demo::Server>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running_postmaster(&self) -> u32 {
        self.postmaster().expect("the server is running")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(server) = self.running().take() else { return };
        // Its data goes with it, so it need not be written out.
        family::send(server.postmaster(), Signal::SIGQUIT);
        family::thaw(server.postmaster());
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("port", &self.port()).field("data_dir", &self.data_dir()).finish_non_exhaustive()
    }
}
