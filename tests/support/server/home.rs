//! A directory of a server's own among the system's temporary ones, removed with it.

use std::env;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::statvfs::statvfs;
use tributary::demo::{Account, ServerError};

/// Linux's file system in memory. Creating the thousand files of a data directory takes 50 ms there, up to 800 ms on a
/// disk.
const MEMORY: &str = "/dev/shm";
/// What must be free in memory for a server to live there, in bytes: containers often have only 64 MB of it.
const ENOUGH_MEMORY: u64 = 2 << 30;

/// `$1` is the directory. Standard input ends when this process does, or when the value is dropped; a server that
/// outlives it is being stopped by its own watchdog.
const REMOVE: &str = r#"
trap '' HUP INT TERM
read -r end
while pid=$(head -n 1 "$1/data/postmaster.pid") && kill -s 0 "$pid"; do sleep 0.1; done
rm -rf -- "$1"
"#;

/// A directory that is removed with everything in it when this is dropped, or when this process ends.
#[derive(Debug)]
pub struct TemporaryHome {
    dir: PathBuf,
    shell: Child,
}

impl TemporaryHome {
    /// One that the account owns and can enter: under `TMPDIR` if that is set, else in memory, else on the disk.
    ///
    /// # Errors
    /// It cannot be created.
    pub fn create(account: &Account) -> Result<Self, ServerError> {
        let chosen = env::var_os("TMPDIR").map(PathBuf::from);
        let memory = Some(PathBuf::from(MEMORY)).filter(|dir| free_bytes(dir) >= ENOUGH_MEMORY);
        let usual = ["/tmp", "/var/tmp"].map(PathBuf::from);
        let mut candidates = chosen.into_iter().chain(memory).chain(usual).filter(|dir| account.reaches(dir));
        let base = candidates.next().expect("a temporary directory that PostgreSQL's account can enter");
        let dir = base.join(format!("tributary-{}-{:08x}", std::process::id(), rand::random::<u32>()));
        account.create_private_dir(&dir)?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", REMOVE, "tributary-test-home"]).arg(&dir).current_dir("/").process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self { shell: command.spawn().expect("a shell"), dir })
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for TemporaryHome {
    fn drop(&mut self) {
        // Closes its standard input first.
        if let Err(error) = self.shell.wait() {
            eprintln!("could not wait for the removal of {}: {error}", self.dir.display());
        }
    }
}

/// What is free on the file system of `dir`; nothing if there is no such directory.
fn free_bytes(dir: &Path) -> u64 {
    statvfs(dir).map_or(0, |found| found.blocks_available().saturating_mul(found.fragment_size()))
}
