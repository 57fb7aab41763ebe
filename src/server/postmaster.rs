//! What a running server tells about itself in the file `postmaster.pid` of its data directory.
//!
//! The file's lines are documented in PostgreSQL's `src/include/utils/pidfile.h`: the process, the data directory, the
//! start time, the port, the socket's directory, the address, the shared memory's key and number, the status.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{ServerError, family};

/// The contents of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PidFile {
    /// The postmaster.
    pub(super) pid: u32,
    /// The number of its segment of System V shared memory.
    pub(super) shared_memory: Option<u32>,
    /// Whether it takes connections.
    pub(super) ready: bool,
}

impl PidFile {
    /// The file in `data_dir`; `None` where there is none or it is still being written.
    pub(super) fn read(data_dir: &Path) -> Option<Self> {
        Self::parse(&fs::read_to_string(data_dir.join("postmaster.pid")).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let lines: Vec<&str> = text.lines().collect();
        Some(Self {
            pid: lines.first()?.trim().parse().ok()?,
            shared_memory: lines.get(6).and_then(|line| line.split_whitespace().nth(1)?.parse().ok()),
            ready: lines.get(7).is_some_and(|status| status.trim() == "ready"),
        })
    }

    /// Whether the process it names is alive and a server on `data_dir`, rather than one that got the number of a dead
    /// server.
    pub(super) fn is_current(self, data_dir: &Path) -> bool {
        if !family::is_alive(self.pid) {
            return false;
        }
        // A postmaster works in its data directory; where that cannot be seen, its name must do.
        let working = fs::read_link(format!("/proc/{}/cwd", self.pid));
        if let (Ok(working), Ok(data_dir)) = (working, data_dir.canonicalize()) {
            return working == data_dir;
        }
        let name = Command::new("ps").args(["-o", "comm=", "-p", &self.pid.to_string()]).output();
        name.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("postgres"))
    }
}

/// Makes sure that no server runs on `data_dir`, and removes the file that one which was killed left behind (PostgreSQL
/// itself would refuse to start if its number now belongs to another process).
pub(super) fn clear_stale(data_dir: &Path) -> Result<(), ServerError> {
    let Some(file) = PidFile::read(data_dir) else { return Ok(()) };
    if file.is_current(data_dir) {
        return Err(ServerError::AlreadyRunning { data_dir: data_dir.to_owned(), pid: file.pid });
    }
    let path = data_dir.join("postmaster.pid");
    fs::remove_file(&path).map_err(ServerError::io("remove the file", &path))
}

/// Removes the shared memory that a killed server on `data_dir` left in the kernel.
pub(super) fn release_shared_memory(data_dir: &Path) {
    let Some(number) = PidFile::read(data_dir).and_then(|file| file.shared_memory) else { return };
    let released = Command::new("ipcrm").args(["-m", &number.to_string()]).output();
    if !released.as_ref().is_ok_and(|output| output.status.success()) {
        tracing::debug!(segment = number, ?released, "could not release the shared memory of a killed server");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: &str = "4711\n/data\n1763897000\n25432\n\n127.0.0.1\n  3276801    32770\nready   \n";

    #[test]
    fn the_file_tells_process_memory_and_readiness() {
        let file = |shared_memory, ready| Some(PidFile { pid: 4_711, shared_memory, ready });
        for (text, expected) in [
            (READY, file(Some(32_770), true)),
            (READY.replace("ready   ", "starting").as_str(), file(Some(32_770), false)),
            ("4711\n/data\n1763897000\n", file(None, false)),
            ("", None),
            ("-1\n", None),
        ] {
            assert_eq!(PidFile::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn a_file_whose_number_now_belongs_to_another_program_is_stale_and_cleared() {
        let data_dir = tempfile::tempdir().expect("a directory");
        let path = data_dir.path().join("postmaster.pid");
        fs::write(&path, READY.replace("4711", &std::process::id().to_string())).expect("a file");
        clear_stale(data_dir.path()).expect("this process is no server");
        assert!(!path.exists());
    }
}
