//! The file of records, `decisions.ndjson`, and the rotated files beside it, of which `decisions.ndjson.1` is the newest.
//!
//! A write succeeds only if its lines can be read back from a file that still has a name. A file that was moved or deleted
//! is recognised by its inode and opened again under the configured path. A line that a crash cut off is ended before the
//! next one.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Records hold rows, so only their owner may read them.
const MODE: u32 = 0o600;
/// How many bytes are read at a time to find the end of a file's last line.
const STEP: u64 = 1 << 16;

/// The file that is being written.
pub(super) struct RecordFile {
    path: PathBuf,
    max_bytes: u64,
    keep: usize,
    open: File,
    length: u64,
    /// Whether the last line has no line break because its write was interrupted.
    is_torn: bool,
}

/// How a file ends.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tail {
    /// The last line that has a line break.
    pub(super) line: Vec<u8>,
    /// The line after it, which was cut off.
    pub(super) torn: Vec<u8>,
}

impl RecordFile {
    /// Opens the file at `path` to append to it. Creates the file and its directory where they do not exist.
    pub(super) fn open(path: &Path, max_bytes: u64, keep: usize) -> io::Result<Self> {
        if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            std::fs::create_dir_all(directory)?;
        }
        let (open, length, is_torn) = append(path)?;
        Ok(Self { path: path.to_owned(), max_bytes, keep, open, length, is_torn })
    }

    /// Whether `more` bytes fill the file.
    pub(super) fn is_full_with(&self, more: usize) -> bool {
        self.length.saturating_add(more as u64) >= self.max_bytes
    }

    /// Writes `lines`, each of which ends with a line break.
    ///
    /// # Errors
    /// Those of the operating system. Some of the lines may have been written.
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        if self.was_moved() {
            self.reopen()?;
        }
        self.append(lines)?;
        // Lines in a file that has no name any more cannot be read back.
        if self.open.metadata().is_ok_and(|open| open.is_file() && open.nlink() == 0) {
            self.reopen()?;
            self.append(lines)?;
        }
        Ok(())
    }

    /// Opens the configured path again. The file may be another one, or new.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        *self = Self::open(&self.path, self.max_bytes, self.keep)?;
        Ok(())
    }

    /// Rotates the file and starts a new one.
    pub(super) fn rotate(&mut self) -> io::Result<()> {
        for number in (1..self.keep).rev() {
            rename(&aside(&self.path, number), &aside(&self.path, number + 1))?;
        }
        if self.keep == 0 {
            std::fs::remove_file(&self.path)?;
        } else {
            rename(&self.path, &aside(&self.path, 1))?;
        }
        self.reopen()
    }

    /// The end of the records: the tail of the file, or of the newest rotated file where this one is empty.
    pub(super) fn tail(&self) -> io::Result<Tail> {
        match tail(&self.path)? {
            empty if empty == Tail::default() => match tail(&aside(&self.path, 1)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(empty),
                found => found,
            },
            found => Ok(found),
        }
    }

    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.is_torn {
            self.open.write_all(b"\n")?;
            self.is_torn = false;
        }
        self.open.write_all(lines)?;
        self.length += lines.len() as u64;
        Ok(())
    }

    /// Whether the path names another file than the one that is open.
    fn was_moved(&self) -> bool {
        let identity = |file: std::fs::Metadata| (file.dev(), file.ino());
        let (Ok(open), named) = (self.open.metadata(), std::fs::metadata(&self.path)) else { return true };
        named.map_or(true, |named| identity(named) != identity(open))
    }
}

/// The rotated file of `path` with this number; 1 is the newest.
pub(super) fn aside(path: &Path, number: usize) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(format!(".{number}"));
    name.into()
}

fn append(path: &Path) -> io::Result<(File, u64, bool)> {
    let file = OpenOptions::new().create(true).append(true).mode(MODE).open(path)?;
    let found = file.metadata()?;
    if !found.is_file() || found.len() == 0 {
        return Ok((file, 0, false));
    }
    let mut last = [0];
    File::open(path)?.read_exact_at(&mut last, found.len() - 1)?;
    Ok((file, found.len(), last != *b"\n"))
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

/// Reads the end of a file, as far back as its last complete line.
fn tail(path: &Path) -> io::Result<Tail> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut from = length;
    let mut bytes = Vec::new();
    while from > 0 && bytes.iter().filter(|byte| **byte == b'\n').count() < 2 {
        from = from.saturating_sub(STEP);
        bytes.clear();
        file.seek(SeekFrom::Start(from))?;
        (&mut file).take(length - from).read_to_end(&mut bytes)?;
    }
    let mut lines = bytes.rsplit(|byte| *byte == b'\n');
    let torn = lines.next().unwrap_or_default().to_vec();
    Ok(Tail { line: lines.next().unwrap_or_default().to_vec(), torn })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_full_file_is_rotated_and_the_oldest_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/decisions.ndjson");
        let mut file = RecordFile::open(&path, 12, 2).unwrap();
        for line in ["first\n", "second\n", "third\n", "fourth\n", "fifth\n"] {
            if file.is_full_with(line.len()) {
                file.rotate().unwrap();
            }
            file.write(line.as_bytes()).unwrap();
        }
        let read = |name: &str| std::fs::read_to_string(directory.path().join("deep").join(name)).unwrap_or_default();
        assert_eq!(read("decisions.ndjson"), "fifth\n");
        assert_eq!(read("decisions.ndjson.1"), "fourth\n");
        assert_eq!(read("decisions.ndjson.2"), "third\n");
        assert_eq!(read("decisions.ndjson.3"), "");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        drop(file);
        let mut file = RecordFile::open(&path, 100, 2).unwrap();
        file.write(b"sixth\n").unwrap();
        assert_eq!(read("decisions.ndjson"), "fifth\nsixth\n");
        assert_eq!(file.tail().unwrap(), Tail { line: b"sixth".to_vec(), torn: Vec::new() });
    }

    #[test]
    fn a_line_that_was_cut_off_leaves_the_next_line_intact() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("decisions.ndjson");
        std::fs::write(&path, "whole\ncut o").unwrap();
        let mut file = RecordFile::open(&path, 1_000, 2).unwrap();
        assert_eq!(file.tail().unwrap(), Tail { line: b"whole".to_vec(), torn: b"cut o".to_vec() });
        file.write(b"next\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "whole\ncut o\nnext\n");
    }

    #[test]
    fn a_file_that_was_moved_or_deleted_is_opened_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("decisions.ndjson");
        let moved = directory.path().join("moved");
        let mut file = RecordFile::open(&path, 1_000, 2).unwrap();
        file.write(b"first\n").unwrap();
        std::fs::rename(&path, &moved).unwrap();
        file.write(b"second\n").unwrap();
        std::fs::remove_file(&path).unwrap();
        file.write(b"third\n").unwrap();
        assert_eq!(std::fs::read_to_string(&moved).unwrap(), "first\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "third\n");
    }

    #[test]
    fn the_tail_of_a_file_with_long_lines_is_its_last_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("decisions.ndjson");
        let long = "x".repeat(3 * usize::try_from(STEP).unwrap());
        std::fs::write(&path, format!("first\n{long}\n")).unwrap();
        assert_eq!(tail(&path).unwrap().line, long.as_bytes());
        std::fs::write(&path, "only\n").unwrap();
        assert_eq!(tail(&path).unwrap().line, b"only");
    }
}
