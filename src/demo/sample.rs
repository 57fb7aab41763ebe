//! The server with the databases of the demo and their sample rows, kept in a state directory from one run to the next.
//!
//! It syncs its data and asks for a password, because a demo may run on a machine that others use too.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use rand::Rng;
use rand::distr::Alphanumeric;

use super::account::Account;
use super::binaries::Binaries;
use super::databases::{SampleDatabase, WRITER};
use super::error::ServerError;
use super::postmaster::{self, PidFile};
use super::server::{HOST, SUPERUSER, Server, ServerOptions};
use super::{cluster, sql};

/// The first port that is tried.
const FIRST_PORT: u16 = 25_432;
/// The last. Systems give ports from 32768 on to outgoing connections.
const LAST_PORT: u16 = 32_000;
/// Settings of its server.
const SETTINGS: [(&str, &str); 2] = [("max_connections", "200"), ("shared_buffers", "32MB")];
/// Where data is kept if PostgreSQL's account cannot enter the state directory.
const SHARED_STATE: &str = "/var/lib/tributary";
/// For the server of a killed demo to end.
const PREDECESSOR_LIMIT: Duration = Duration::from_secs(20);

/// The running server of a demo. Dropping it stops it.
#[derive(Debug)]
pub struct Demo {
    server: Server,
    options: ServerOptions,
    databases: Vec<SampleDatabase>,
    password: String,
    fresh: bool,
    _lock: Flock<fs::File>,
}

impl Demo {
    /// Starts the server of the demo in `state_dir`, which is created if need be, on the data of an earlier run if there
    /// is some; then creates what is missing of `databases`, their tables and sample rows. Must be called within a tokio
    /// runtime.
    ///
    /// # Errors
    /// PostgreSQL's programs are missing or of another major version than the data, another demo uses the directory, or
    /// the server does not start.
    pub async fn start(state_dir: &Path, databases: Vec<SampleDatabase>) -> Result<Self, ServerError> {
        let dir = state_dir.to_owned();
        let launched = tokio::task::spawn_blocking(move || Self::launch(&dir, databases)).await;
        let demo = launched.map_err(|_| ServerError::ShuttingDown)??;
        let admin = demo.url("postgres");
        sql::create_role(&admin, WRITER, &demo.password).await?;
        for database in &demo.databases {
            sql::create_database(&admin, &database.name).await?;
            let url = demo.url(&database.name);
            sql::run(&url, &database.file, &database.sql).await?;
            sql::run(&url, "its grants", &database.grants).await?;
        }
        Ok(demo)
    }

    fn launch(state_dir: &Path, databases: Vec<SampleDatabase>) -> Result<Self, ServerError> {
        fs::create_dir_all(state_dir).map_err(ServerError::io("create the directory", state_dir))?;
        let state_dir = state_dir.canonicalize().map_err(ServerError::io("find the directory", state_dir))?;
        let lock = lock(&state_dir)?;
        let account = Account::choose()?;
        let home = home(&state_dir, &account)?;
        let (data_dir, password_file) = (home.join("data"), home.join("password"));
        let written_by = cluster::major_version(&data_dir)?;
        let binaries = written_by.map_or_else(Binaries::find, Binaries::find_major)?;
        match written_by {
            None => create(&binaries, &account, &data_dir, &password_file)?,
            Some(data) if data != binaries.version().major => {
                let (bin_dir, programs) = (binaries.dir().to_owned(), binaries.version().text.clone());
                return Err(ServerError::VersionMismatch { data_dir, data, bin_dir, programs });
            }
            Some(_) => {}
        }
        let password = match fs::read_to_string(&password_file) {
            Ok(password) => password.trim().to_owned(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(ServerError::IncompleteState { missing: password_file, home });
            }
            Err(error) => return Err(ServerError::io("read the file", password_file)(error)),
        };
        await_predecessor(&data_dir);
        let mut options = ServerOptions {
            data_dir,
            log_file: home.join("postgres.log"),
            port: free_port()?,
            settings: SETTINGS.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        };
        let server = loop {
            match Server::start(&binaries, &account, &options) {
                // Another demo that started at the same time took the port.
                Err(ServerError::Exited { .. }) if !is_free(options.port) => options.port = free_port()?,
                started => break started?,
            }
        };
        Ok(Self { server, options, databases, password, fresh: written_by.is_none(), _lock: lock })
    }

    /// The superuser's URL of a database, with the password.
    pub fn url(&self, database: &str) -> String {
        // Neither the password nor the names of the databases have characters that a URL would escape.
        format!("postgres://{SUPERUSER}:{}@{HOST}:{}/{database}", self.password, self.options.port)
    }

    /// The variables by which Tributary reaches its databases: `OMS_DB_URL` and so on.
    pub fn variables(&self) -> Vec<(String, String)> {
        let of = |database: &SampleDatabase| {
            let prefix = database.name.to_uppercase();
            let url = (format!("{prefix}_URL"), self.url(&database.name));
            let role = (format!("{prefix}_WRITE_USER"), WRITER.to_owned());
            let password = (format!("{prefix}_WRITE_PASSWORD"), self.password.clone());
            if database.grants.is_empty() { vec![url] } else { vec![url, role, password] }
        };
        self.databases.iter().flat_map(of).collect()
    }

    /// Its databases.
    pub fn databases(&self) -> &[SampleDatabase] {
        &self.databases
    }

    /// Whether this run created the data.
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Its directory, log and port.
    pub fn options(&self) -> &ServerOptions {
        &self.options
    }

    /// The server's first process.
    pub fn postmaster(&self) -> u32 {
        self.server.postmaster()
    }

    /// Stops the server in order, which writes its data out.
    ///
    /// # Errors
    /// It does not end in time.
    pub async fn stop(self) -> Result<(), ServerError> {
        let stopped = tokio::task::spawn_blocking(move || self.server.stop()).await;
        stopped.map_err(|_| ServerError::ShuttingDown)?
    }
}

/// The first free port from [`FIRST_PORT`] on, so that a demo finds the same port again.
fn free_port() -> Result<u16, ServerError> {
    (FIRST_PORT..=LAST_PORT)
        .find(|port| is_free(*port))
        .ok_or(ServerError::NoFreePort { first: FIRST_PORT, last: LAST_PORT })
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((HOST, port)).is_ok()
}

/// Keeps other demos out of the directory for as long as it is held, and no longer than this process lives.
fn lock(state_dir: &Path) -> Result<Flock<fs::File>, ServerError> {
    let path = state_dir.join("lock");
    let mut options = fs::File::options();
    let file = options.create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(ServerError::io("open the file", &path))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
        Errno::EWOULDBLOCK => ServerError::StateInUse { state_dir: state_dir.to_owned() },
        other => ServerError::io("lock the file", path)(other.into()),
    })
}

/// The directory of data, password and log: `server` in the state directory. If PostgreSQL's account cannot enter that
/// (we are root, in root's home), `server` is a link to a directory that it can enter.
fn home(state_dir: &Path, account: &Account) -> Result<PathBuf, ServerError> {
    let home = state_dir.join("server");
    if home.is_dir() {
        return home.canonicalize().map_err(ServerError::io("find the directory", home));
    }
    if home.is_symlink() {
        fs::remove_file(&home).map_err(ServerError::io("remove the link", &home))?;
    }
    if account.reaches(state_dir) {
        account.create_private_dir(&home)?;
        return Ok(home);
    }
    fs::create_dir_all(SHARED_STATE).map_err(ServerError::io("create the directory", SHARED_STATE))?;
    fs::set_permissions(SHARED_STATE, fs::Permissions::from_mode(0o755))
        .map_err(ServerError::io("set the permissions of", SHARED_STATE))?;
    let elsewhere = Path::new(SHARED_STATE).join(format!("demo-{:08x}", rand::random::<u32>()));
    account.create_private_dir(&elsewhere)?;
    symlink(&elsewhere, &home).map_err(ServerError::io("create the link", &home))?;
    Ok(elsewhere)
}

/// Makes the data under another name first, so that an interrupted demo leaves nothing that looks complete.
fn create(binaries: &Binaries, account: &Account, data_dir: &Path, password_file: &Path) -> Result<(), ServerError> {
    let password: String = rand::rng().sample_iter(Alphanumeric).take(32).map(char::from).collect();
    write_secret(password_file, &password)?;
    account.own(password_file)?;
    let partial = data_dir.with_extension("partial");
    for leftover in [&partial, data_dir] {
        if leftover.exists() {
            fs::remove_dir_all(leftover).map_err(ServerError::io("remove the directory", leftover))?;
        }
    }
    let pwfile = format!("--pwfile={}", password_file.display());
    cluster::init(binaries, account, &partial, &["--auth=scram-sha-256", &pwfile])?;
    fs::rename(&partial, data_dir).map_err(ServerError::io("rename the directory", partial))
}

fn write_secret(path: &Path, secret: &str) -> Result<(), ServerError> {
    let mut options = fs::File::options();
    options.write(true).create(true).truncate(true).mode(0o600);
    let written = options.open(path).and_then(|mut file| file.write_all(secret.as_bytes()));
    written.map_err(ServerError::io("write the file", path))
}

/// Waits for the watchdog of a killed demo to stop its server. We hold the lock, so no other demo runs it.
fn await_predecessor(data_dir: &Path) {
    postmaster::wait_until(PREDECESSOR_LIMIT, || {
        !PidFile::read(data_dir).is_some_and(|file| file.is_current(data_dir))
    });
}
