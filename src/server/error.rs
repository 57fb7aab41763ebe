//! Why a private server did not do as it was told.

use std::path::PathBuf;

/// Why a private server did not do as it was told.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// PostgreSQL's programs are nowhere.
    #[error(
        "PostgreSQL's programs (initdb, postgres) were not found; looked in {looked}. Install PostgreSQL \
         (scripts/install_postgres does), or set PG_BIN to the directory that holds them"
    )]
    NoBinaries {
        /// Where they were looked for.
        looked: String,
    },
    /// A file or directory could not be used.
    #[error("{action} {}: {source}", path.display())]
    File {
        /// What was tried, such as `creating`.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// A program could not be run.
    #[error("running {program}: {source}")]
    Run {
        /// The program.
        program: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// A program ran and failed.
    #[error("{program} failed: {output}")]
    Failed {
        /// The program.
        program: String,
        /// What it said.
        output: String,
    },
    /// The server did not come up.
    #[error("the server in {} did not start: {log}", data.display())]
    NotStarted {
        /// Its data directory.
        data: PathBuf,
        /// The last lines of its log.
        log: String,
    },
    /// A server runs on this data directory already.
    #[error("a server with process id {pid} runs on {} already; stop it first, or choose another directory", data.display())]
    Running {
        /// The data directory.
        data: PathBuf,
        /// The server's process.
        pid: i32,
    },
    /// The data was made by another major version.
    #[error(
        "the data in {} was made by PostgreSQL {found}, the programs are of {wanted}; delete the directory to start \
         afresh, or set PG_BIN to programs of version {found}",
        data.display()
    )]
    Version {
        /// The data directory.
        data: PathBuf,
        /// The version that made it.
        found: String,
        /// The version of the programs.
        wanted: String,
    },
    /// No port is free.
    #[error("no free port between {from} and {to} on 127.0.0.1")]
    NoPort {
        /// The lowest that was tried.
        from: u16,
        /// The highest that was tried.
        to: u16,
    },
    /// A statement failed.
    #[error("{what}: {source}")]
    Sql {
        /// What was done.
        what: String,
        /// Why it failed.
        #[source]
        source: tokio_postgres::Error,
    },
}

impl ServerError {
    pub(super) fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }
}
