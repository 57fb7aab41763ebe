//! The destinations of records: a file, standard output or a table.

use std::io::{self, Write};
use std::path::PathBuf;

use super::chain::{Chain, ChainError};
use super::entry::Entry;
use super::file::RecordFile;
use super::table::Table;
use crate::config::{DomainConfig, RecordsConfig, RecordsTo};

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
    /// The records cannot be chained.
    #[error("decision records cannot be chained: {0}; see `records.chain` in the configuration")]
    Chain(#[from] ChainError),
    /// The thread that writes could not be started.
    #[error("the thread that writes decision records could not be started: {source}")]
    Thread {
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// The destination of records.
pub(super) enum Sink {
    Stdout,
    File(Box<ChainedFile>),
    Table(Box<Table>),
}

impl Sink {
    /// Opens the destination that `config` names; `None` where recording is off.
    pub(super) fn open(config: &RecordsConfig, database: Option<&DomainConfig>) -> Result<Option<Self>, RecorderError> {
        Ok(match config.to {
            RecordsTo::Table => {
                let table = database.map(|database| Table::open(database, &config.table)).transpose();
                table.map_err(|source| RecorderError::Thread { source })?.map(|table| Self::Table(Box::new(table)))
            }
            RecordsTo::Off => None,
            RecordsTo::Stdout => Some(Self::Stdout),
            RecordsTo::File => Some(Self::File(Box::new(ChainedFile::open(config)?))),
        })
    }

    /// Writes `entries`. The number is how many of them, from the first on, can be read back.
    pub(super) fn write(&mut self, entries: &[Entry], redact: bool) -> (usize, io::Result<()>) {
        let mut written = 0;
        let outcome = match self {
            Self::Stdout => to_stdout(entries, redact, &mut written),
            Self::File(file) => file.write(entries, redact, &mut written),
            Self::Table(table) => table.write(entries, redact, &mut written),
        };
        (written, outcome)
    }

    /// Opens a file again that could not be written or was moved.
    pub(super) fn recover(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout | Self::Table(_) => Ok(()),
            Self::File(file) => file.recover(),
        }
    }
}

fn to_stdout(entries: &[Entry], redact: bool, written: &mut usize) -> io::Result<()> {
    let mut lines = String::new();
    for entry in entries {
        lines.push_str(&entry.line(redact, None)?);
        lines.push('\n');
    }
    let mut stdout = io::stdout().lock();
    stdout.write_all(lines.as_bytes())?;
    stdout.flush()?;
    *written = entries.len();
    Ok(())
}

/// A file of records, with a hash chain where one is configured.
pub(super) struct ChainedFile {
    file: RecordFile,
    chain: Option<Chain>,
}

impl ChainedFile {
    fn open(config: &RecordsConfig) -> Result<Self, RecorderError> {
        let path = &config.path;
        let unopened = |source| RecorderError::Open { path: PathBuf::clone(path), source };
        let file = RecordFile::open(path, config.max_bytes, config.keep).map_err(unopened)?;
        let chain = if config.chain {
            Some(Chain::open(path, &file.tail().map_err(unopened)?, config.signing_key.as_deref())?)
        } else {
            None
        };
        Ok(Self { file, chain })
    }

    fn write(&mut self, entries: &[Entry], redact: bool, written: &mut usize) -> io::Result<()> {
        let mut lines = String::new();
        for (number, entry) in entries.iter().enumerate() {
            if self.file.is_full_with(lines.len()) {
                self.file.write(lines.as_bytes())?;
                lines.clear();
                *written = number;
                self.rotate()?;
            }
            let line = entry.line(redact, self.chain.as_ref().map(Chain::link))?;
            if let Some(chain) = &mut self.chain {
                chain.add(&line);
            }
            lines.push_str(&line);
            lines.push('\n');
        }
        self.file.write(lines.as_bytes())?;
        *written = entries.len();
        Ok(())
    }

    /// Rotates the full file, with a seal where a key is configured.
    fn rotate(&mut self) -> io::Result<()> {
        if let Some(chain) = &mut self.chain
            && let Some(seal) = chain.seal()
        {
            self.file.write(format!("{seal}\n").as_bytes())?;
            chain.add(&seal);
        }
        self.file.rotate()
    }

    fn recover(&mut self) -> io::Result<()> {
        self.file.reopen()?;
        if let Some(chain) = &mut self.chain {
            chain.resume(&self.file.tail()?);
        }
        Ok(())
    }
}
