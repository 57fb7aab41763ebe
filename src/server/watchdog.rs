//! What ends a server when the process that started it dies without a word.
//!
//! A shell waits at the far end of a pipe. While we live the pipe stays open; when we end, even by SIGKILL, the kernel
//! closes it, and the shell stops the server and removes what is to be removed. (The kernel's own `PDEATHSIG` would do
//! neither of these well: it exists on Linux only, needs unsafe code, and fires when the *thread* that started the
//! server ends.)

use std::io::Write;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use super::ServerError;
use super::account::Account;

/// `$1` the postmaster, `$2` the signal to stop it with, `$3` a directory to remove afterwards, or nothing. A line on
/// standard input dismisses it. The wait of 10 seconds is for a shutdown checkpoint; SIGQUIT needs 5 at most. SIGCONT
/// wakes a family that was stopped.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
read -r dismissed && exit 0
for signal in "$2" QUIT; do
    kill -s "$signal" "$1" && kill -s CONT "$1"
    tries=0
    while kill -s 0 "$1" && [ "$tries" -lt 100 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
done
[ -z "$3" ] || rm -rf -- "$3"
"#;

/// The shell at the end of the pipe.
#[derive(Debug)]
pub(super) struct Watchdog {
    shell: Child,
    pipe: Option<ChildStdin>,
}

impl Watchdog {
    /// Guards the process `postmaster`; `signal` is a name such as `INT`. It runs as ourselves, for the directory may
    /// stand in one where PostgreSQL's account may remove nothing.
    pub(super) fn start(postmaster: u32, signal: &str, remove: Option<&Path>) -> Result<Self, ServerError> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SCRIPT, "tributary-watchdog"]).arg(postmaster.to_string()).arg(signal);
        command.arg(remove.unwrap_or(Path::new("")));
        command.current_dir("/").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Account::Ourselves.dress(&mut command);
        let mut shell = command.spawn().map_err(ServerError::io("run the program", "/bin/sh"))?;
        Ok(Self { pipe: shell.stdin.take(), shell })
    }

    /// Sends it away, for the server has ended.
    pub(super) fn dismiss(mut self) {
        let dismissed = self.pipe.take().map(|mut pipe| pipe.write_all(b"dismissed\n"));
        if !matches!(dismissed, Some(Ok(()))) || self.shell.wait().is_err() {
            tracing::warn!(process.pid = self.shell.id(), "could not dismiss the watchdog of a server");
        }
    }
}
