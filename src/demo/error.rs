//! What can fail while the demo's server is found, made, started or filled.

use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use crate::types::NameError;

/// Why a private server could not be started.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// No directory that was looked at holds PostgreSQL's programs.
    #[error(
        "PostgreSQL's programs `postgres` and `initdb` were not found. Looked in: {}. \
         Run scripts/install_postgres, or set PG_BIN to the directory that holds them",
        looked.join(", ")
    )]
    ProgramsNotFound {
        /// The places, in the order they were tried.
        looked: Vec<String>,
    },
    /// `PG_BIN` is set, and is not a directory of PostgreSQL's programs.
    #[error("PG_BIN is `{}`, which holds no program `{missing}`; correct it, or unset it to have the usual places searched", dir.display())]
    WrongPgBin {
        /// Its value.
        dir: PathBuf,
        /// The program that is not there.
        missing: &'static str,
    },
    /// A program of PostgreSQL ran and failed, or printed something unexpected.
    #[error("`{program}` failed ({status}): {output}")]
    ProgramFailed {
        /// Its path.
        program: PathBuf,
        /// How it ended.
        status: ExitStatus,
        /// What it printed.
        output: String,
    },
    /// A call of the operating system failed.
    #[error("could not {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried, such as `create the directory`.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// We are root, and there is no other account to run PostgreSQL as, which refuses to run as root.
    #[error(
        "PostgreSQL refuses to run as root, and this machine has neither an account `postgres` nor `nobody` to run it as"
    )]
    NoAccount,
    /// We are root, and the account that PostgreSQL runs as cannot enter a directory that it needs.
    #[error("the account `{account}`, as which PostgreSQL runs because we are root, cannot enter `{}`; use a directory outside root's home", dir.display())]
    Unreachable {
        /// The account.
        account: String,
        /// The directory.
        dir: PathBuf,
    },
    /// Every port that was tried is taken.
    #[error("no free port was found between {first} and {last}")]
    NoFreePort {
        /// The first that was tried.
        first: u16,
        /// The last.
        last: u16,
    },
    /// The server ended before it took connections.
    #[error("PostgreSQL ended ({status}) before it was ready; the end of its log `{}`: {tail}", log_file.display())]
    Exited {
        /// How it ended.
        status: ExitStatus,
        /// Its log.
        log_file: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// The server did not take connections in time.
    #[error("PostgreSQL was not ready after {} s; the end of its log `{}`: {tail}", after.as_secs(), log_file.display())]
    NotReady {
        /// How long we waited.
        after: Duration,
        /// Its log.
        log_file: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// The server did not end in time.
    #[error("PostgreSQL (process {pid}) did not stop within {} s", after.as_secs())]
    NotStopped {
        /// Its process.
        pid: u32,
        /// How long we waited.
        after: Duration,
    },
    /// Another server runs on the data directory.
    #[error("a PostgreSQL server (process {pid}) already runs on `{}`; stop it, or use another directory", data_dir.display())]
    AlreadyRunning {
        /// The data directory.
        data_dir: PathBuf,
        /// The other server's process.
        pid: u32,
    },
    /// Another demo holds the state directory.
    #[error("another `tributary demo` uses `{}`; stop it, or give this one a directory of its own with --state-dir", state_dir.display())]
    StateInUse {
        /// The state directory.
        state_dir: PathBuf,
    },
    /// The data was written by another major version of PostgreSQL.
    #[error(
        "the data in `{}` was written by PostgreSQL {data}, and the programs in `{}` are of version {programs}; \
         set PG_BIN to the programs of version {data}, or remove the data to start afresh",
        data_dir.display(), bin_dir.display()
    )]
    VersionMismatch {
        /// The data directory.
        data_dir: PathBuf,
        /// The major version that wrote it.
        data: u32,
        /// Where the programs are.
        bin_dir: PathBuf,
        /// Their version.
        programs: String,
    },
    /// A file of the state directory is lost without which its data cannot be opened.
    #[error("`{}` is missing, so the data beside it cannot be opened; remove `{}` to start afresh", missing.display(), home.display())]
    IncompleteState {
        /// What is missing.
        missing: PathBuf,
        /// The directory to remove.
        home: PathBuf,
    },
    /// A file that should make the database of a domain is not named as a domain.
    #[error("`{}` is not named as a domain, whose database it makes: {reason}", file.display())]
    NoDomain {
        /// The file.
        file: PathBuf,
        /// What is wrong with the name.
        #[source]
        reason: NameError,
    },
    /// Two files make one database.
    #[error("both `{first}` and `{second}` make the database `{database}`; rename one of the domains in its flow")]
    MadeTwice {
        /// The database.
        database: String,
        /// A file.
        first: String,
        /// Another one.
        second: String,
    },
    /// A database refused to be created or filled, or could not be reached.
    #[error("could not {action}: {detail}")]
    Sql {
        /// What was tried, such as ``create the database `oms_db` ``.
        action: String,
        /// The message of PostgreSQL or of the connection.
        detail: String,
        /// The error itself.
        #[source]
        source: tokio_postgres::Error,
    },
    /// A task that was to start or stop a server was cancelled because the process is ending.
    #[error("the process is ending")]
    ShuttingDown,
}

impl ServerError {
    /// Makes the error of `action` from that of one of its statements.
    pub fn sql(action: &str) -> impl FnOnce(tokio_postgres::Error) -> Self {
        let action = action.to_owned();
        move |source| {
            let detail = match source.as_db_error() {
                Some(error) => format!("{} (SQLSTATE {})", error.message(), error.code().code()),
                None => source.to_string(),
            };
            Self::Sql { action, detail, source }
        }
    }

    /// For `map_err`: a call of the operating system that failed.
    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}
