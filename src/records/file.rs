//! A file that is put aside once it is full: `decisions.ndjson`, then `decisions.ndjson.1`, and so on, the newest first.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Records hold rows: only their owner may read them.
const MODE: u32 = 0o600;

/// The file that is being written.
pub(super) struct RotatingFile {
    path: PathBuf,
    max_bytes: u64,
    keep: usize,
    open: BufWriter<File>,
    written: u64,
}

impl RotatingFile {
    /// Goes on with the file at `path`; makes it, and its directory, where they are not there.
    pub(super) fn open(path: &Path, max_bytes: u64, keep: usize) -> io::Result<Self> {
        if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            std::fs::create_dir_all(directory)?;
        }
        let (open, written) = append(path)?;
        Ok(Self { path: path.to_owned(), max_bytes, keep, open, written })
    }

    /// Adds a line; a full file is put aside first.
    pub(super) fn write_line(&mut self, line: &str) -> io::Result<()> {
        let bytes = line.len() as u64 + 1;
        if self.written > 0 && self.written + bytes > self.max_bytes {
            self.rotate()?;
        }
        self.open.write_all(line.as_bytes())?;
        self.open.write_all(b"\n")?;
        self.written += bytes;
        Ok(())
    }

    /// Hands what was written to the operating system.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.open.flush()
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.open.flush()?;
        for number in (1..self.keep).rev() {
            move_aside(&self.aside(number), &self.aside(number + 1))?;
        }
        if self.keep == 0 {
            std::fs::remove_file(&self.path)?;
        } else {
            move_aside(&self.path, &self.aside(1))?;
        }
        (self.open, self.written) = append(&self.path)?;
        Ok(())
    }

    fn aside(&self, number: usize) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

fn append(path: &Path) -> io::Result<(BufWriter<File>, u64)> {
    let file = OpenOptions::new().create(true).append(true).mode(MODE).open(path)?;
    let written = file.metadata()?.len();
    Ok((BufWriter::with_capacity(1 << 16, file), written))
}

fn move_aside(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_full_file_is_put_aside_and_the_oldest_goes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/decisions.ndjson");
        let mut file = RotatingFile::open(&path, 12, 2).unwrap();
        for line in ["first", "second", "third", "fourth"] {
            file.write_line(line).unwrap();
        }
        file.flush().unwrap();
        let read = |name: &str| std::fs::read_to_string(directory.path().join("deep").join(name)).unwrap_or_default();
        assert_eq!(read("decisions.ndjson"), "fourth\n");
        assert_eq!(read("decisions.ndjson.1"), "third\n");
        assert_eq!(read("decisions.ndjson.2"), "second\n");
        assert_eq!(read("decisions.ndjson.3"), "");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        drop(file);
        RotatingFile::open(&path, 100, 2).unwrap().write_line("fifth").unwrap();
        assert_eq!(read("decisions.ndjson"), "fourth\nfifth\n");
    }
}
