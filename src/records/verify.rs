//! Verifies by their hash chain that files of records are complete and unchanged.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::chain::{Link, PublicKey, START, Seal, digest};
use super::file::aside;

/// What was verified.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Files read.
    pub files: usize,
    /// Unchanged records.
    pub records: u64,
    /// Lines that a crash cut off.
    pub torn: u64,
    /// Seals whose signature is valid, or that were not checked because no key was given.
    pub seals: u64,
    /// The number of the first record: above 1 where older files were removed.
    pub first: u64,
    /// The number of the last line.
    pub last: u64,
}

/// The first thing that is wrong with a chain.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// A line is not what the line after it says.
    #[error("{place}: {what}")]
    Line {
        /// File and line, such as `decisions.ndjson.1:17`.
        place: String,
        /// What is wrong.
        what: String,
    },
    /// A file cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// Verifies the records at `path` and in the rotated files beside it.
///
/// # Errors
/// [`Broken`] with the first line that was changed, removed, added or moved.
pub fn verify(path: &Path, key: Option<&PublicKey>) -> Result<Verified, Broken> {
    let mut files: Vec<PathBuf> =
        (1..MAX_FILES).map(|number| aside(path, number)).take_while(|file| file.exists()).collect();
    files.reverse();
    files.push(path.to_owned());
    let mut walk = Walk { key, verified: Verified::default(), before: None, torn: None };
    for file in &files {
        walk.file(file)?;
    }
    match walk.torn {
        // The last line may be incomplete: the service is writing it, or a crash cut it off.
        Some((place, _)) if !place.starts_with(&path.display().to_string()) => {
            Err(Broken::Line { place, what: CHANGED.to_owned() })
        }
        _ => Ok(walk.verified),
    }
}

/// More files than any configuration keeps.
const MAX_FILES: usize = 1 << 30;
const CHANGED: &str = "this line was changed: it does not have the digest that the line after it holds";

struct Walk<'a> {
    key: Option<&'a PublicKey>,
    verified: Verified,
    /// The line before: its place, number and digest.
    before: Option<(String, u64, String)>,
    /// A line that is not part of the chain: its place and digest.
    torn: Option<(String, String)>,
}

impl Walk<'_> {
    fn file(&mut self, path: &Path) -> Result<(), Broken> {
        let unreadable = |source| Broken::Unreadable { path: path.to_owned(), source };
        let mut reader = BufReader::new(File::open(path).map_err(unreadable)?);
        self.verified.files += 1;
        let mut line = Vec::new();
        for number in 1_u64.. {
            line.clear();
            if reader.read_until(b'\n', &mut line).map_err(unreadable)? == 0 {
                break;
            }
            let line = line.strip_suffix(b"\n").unwrap_or(&line);
            self.line(line, format!("{}:{number}", path.display()))?;
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8], place: String) -> Result<(), Broken> {
        let Ok(link) = serde_json::from_slice::<Link>(line) else {
            if let Some((place, _)) = self.torn.replace((place, digest(line))) {
                return Err(Broken::Line { place, what: CHANGED.to_owned() });
            }
            return Ok(());
        };
        let torn = self.torn.take();
        if torn.as_ref().map(|(_, digest)| digest) != link.torn.as_ref() {
            let (place, what) = match torn {
                Some((place, _)) => (place, CHANGED.to_owned()),
                None => (place, "the line that was cut off before this line was removed".to_owned()),
            };
            return Err(Broken::Line { place, what });
        }
        self.follows(&link, &place)?;
        let last = link.n;
        if let Ok(seal) = serde_json::from_slice::<Seal>(line) {
            self.seal(&seal, &place)?;
        } else {
            self.verified.records += 1;
        }
        self.verified.torn += u64::from(torn.is_some());
        self.verified.last = last;
        self.before = Some((place, last, digest(line)));
        Ok(())
    }

    /// Checks that a line follows the one before.
    fn follows(&mut self, link: &Link, place: &str) -> Result<(), Broken> {
        let Some((before, n, digest)) = &self.before else {
            self.verified.first = link.n;
            let is_start = (link.n == 1) == (link.prev == START);
            let what = "this line was changed: only the first record of a chain has no line before it";
            return if is_start {
                Ok(())
            } else {
                Err(Broken::Line { place: place.to_owned(), what: what.to_owned() })
            };
        };
        let expected = n.saturating_add(1);
        let broken = |place: &str, what: String| Err(Broken::Line { place: place.to_owned(), what });
        if link.n > expected {
            let lines = link.n - expected;
            let what = format!("{lines} lines were removed before this line: it is number {}, after {n}", link.n);
            return broken(place, what);
        }
        if link.n < expected {
            let what = format!("this line was moved or repeated: it is number {}, after {n}", link.n);
            return broken(place, what);
        }
        if link.prev == *digest { Ok(()) } else { broken(before, CHANGED.to_owned()) }
    }

    fn seal(&mut self, seal: &Seal, place: &str) -> Result<(), Broken> {
        if self.key.is_some_and(|key| !key.verifies(seal)) {
            let what = "this seal was not made with the private key of the given public key".to_owned();
            return Err(Broken::Line { place: place.to_owned(), what });
        }
        self.verified.seals += 1;
        Ok(())
    }
}
