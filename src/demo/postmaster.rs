//! The process of a server, and what it writes about itself to the file `postmaster.pid` of its data directory.
//!
//! The file's lines are documented in PostgreSQL's `src/include/utils/pidfile.h`: the process, the data directory, the
//! start time, the port, the socket's directory, the address, the shared memory's key and number, the status.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::error::ServerError;

/// The contents of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PidFile {
    /// The postmaster.
    pub(super) pid: u32,
    /// Whether it accepts connections.
    pub(super) ready: bool,
}

impl PidFile {
    /// The file in `data_dir`; `None` if it is missing or incomplete.
    pub(super) fn read(data_dir: &Path) -> Option<Self> {
        Self::parse(&fs::read_to_string(data_dir.join("postmaster.pid")).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let pid = lines.next()?.trim().parse().ok()?;
        Some(Self { pid, ready: lines.nth(6).is_some_and(|status| status.trim() == "ready") })
    }

    /// Whether its process is a running server on `data_dir`, not another process that got the same number later.
    pub(super) fn is_current(self, data_dir: &Path) -> bool {
        if !is_alive(self.pid) {
            return false;
        }
        // A postmaster works in its data directory. Systems without /proc show only the name of the program.
        let working = fs::read_link(format!("/proc/{}/cwd", self.pid));
        if let (Ok(working), Ok(data_dir)) = (working, data_dir.canonicalize()) {
            return working == data_dir;
        }
        let name = Command::new("ps").args(["-o", "comm=", "-p", &self.pid.to_string()]).output();
        name.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("postgres"))
    }
}

/// Fails if a server runs on `data_dir`, and removes the file that a killed one left behind: PostgreSQL would refuse to
/// start if its number now belongs to another process.
pub(super) fn clear_stale(data_dir: &Path) -> Result<(), ServerError> {
    let Some(file) = PidFile::read(data_dir) else { return Ok(()) };
    if file.is_current(data_dir) {
        return Err(ServerError::AlreadyRunning { data_dir: data_dir.to_owned(), pid: file.pid });
    }
    let path = data_dir.join("postmaster.pid");
    fs::remove_file(&path).map_err(ServerError::io("remove the file", &path))
}

/// Sends `signal` to one process, which may have ended already.
pub(super) fn send(pid: u32, signal: Signal) {
    // Numbers below 1 would mean whole process groups, ours among them.
    let Some(raw) = i32::try_from(pid).ok().filter(|raw| *raw > 0) else { return };
    match kill(Pid::from_raw(raw), signal) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(errno) => tracing::warn!(process.pid = pid, error = %errno, "could not send {signal}"),
    }
}

/// Whether the process exists, of whatever user.
fn is_alive(pid: u32) -> bool {
    i32::try_from(pid).is_ok_and(|raw| raw > 0 && kill(Pid::from_raw(raw), None) != Err(Errno::ESRCH))
}

/// Checks `condition` every few milliseconds; false if it does not hold within `limit`.
pub(super) fn wait_until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !condition() {
        if start.elapsed() > limit {
            return false;
        }
        thread::sleep(Duration::from_millis(2));
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: &str = "4711\n/data\n1763897000\n25432\n\n127.0.0.1\n  3276801    32770\nready   \n";

    #[test]
    fn the_file_holds_the_process_and_its_readiness() {
        let file = |ready| Some(PidFile { pid: 4_711, ready });
        for (text, expected) in [
            (READY, file(true)),
            (READY.replace("ready   ", "starting").as_str(), file(false)),
            ("4711\n/data\n1763897000\n", file(false)),
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

    #[test]
    fn process_number_zero_is_not_alive() {
        assert!(!is_alive(0));
    }
}
