//! Stops the server when the process that started it is killed.
//!
//! A shell waits at the far end of a pipe. The pipe stays open while we live; when we end, even by SIGKILL, the kernel
//! closes it, and the shell stops the server. (The kernel's own `PDEATHSIG` exists on Linux only, needs unsafe code, and
//! fires when the *thread* that started the server ends.)

use std::io::Write;
use std::process::{Child, ChildStdin, Command, Stdio};

use super::account::Account;
use super::error::ServerError;

/// `$1` is the postmaster. A line on standard input dismisses the shell. The wait of 10 seconds is for a shutdown
/// checkpoint; SIGQUIT needs 5 at most. SIGCONT wakes a process that was stopped.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
read -r dismissed && exit 0
for signal in INT QUIT; do
    kill -s "$signal" "$1" && kill -s CONT "$1"
    tries=0
    while kill -s 0 "$1" && [ "$tries" -lt 100 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
done
"#;

/// The shell at the end of the pipe.
#[derive(Debug)]
pub(super) struct Watchdog {
    shell: Child,
    pipe: Option<ChildStdin>,
}

impl Watchdog {
    /// Guards the process `postmaster`.
    pub(super) fn start(postmaster: u32) -> Result<Self, ServerError> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SCRIPT, "tributary-watchdog", &postmaster.to_string()]);
        command.current_dir("/").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Account::Ourselves.prepare(&mut command);
        let mut shell = command.spawn().map_err(ServerError::io("run the program", "/bin/sh"))?;
        Ok(Self { pipe: shell.stdin.take(), shell })
    }

    /// Ends the shell, because the server has ended. A second call does nothing.
    pub(super) fn dismiss(&mut self) {
        let Some(mut pipe) = self.pipe.take() else { return };
        if pipe.write_all(b"dismissed\n").is_err() || self.shell.wait().is_err() {
            tracing::warn!(process.pid = self.shell.id(), "could not dismiss the watchdog of a server");
        }
    }
}
