//! A directory of a server's own among the system's temporary ones, removed with it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;

use super::ServerError;
use super::account::Account;

/// Linux's file system in memory. Creating the thousand files of a data directory takes 50 ms there, up to 800 ms on a
/// disk.
const MEMORY: &str = "/dev/shm";
/// What must be free in memory for a server to live there, in bytes: containers often have only 64 MB of it.
const ENOUGH_MEMORY: u64 = 2 << 30;

/// A directory that is removed, with all that is in it, when this is dropped.
#[derive(Debug)]
pub(super) struct TemporaryHome {
    dir: PathBuf,
}

impl TemporaryHome {
    /// One that the account owns and can enter: under `TMPDIR` if that is set, else in memory, else on the disk.
    pub(super) fn create(account: &Account) -> Result<Self, ServerError> {
        let chosen = env::var_os("TMPDIR").map(PathBuf::from);
        let memory = Some(PathBuf::from(MEMORY)).filter(|dir| free_bytes(dir) >= ENOUGH_MEMORY);
        let usual = ["/tmp", "/var/tmp"].map(PathBuf::from);
        let candidates = chosen.into_iter().chain(memory).chain(usual).filter(|dir| account.reaches(dir));
        let mut refused = None;
        for base in candidates {
            let dir = base.join(format!("tributary-{}-{:08x}", std::process::id(), rand::random::<u32>()));
            match account.create_private_dir(&dir) {
                Ok(()) => return Ok(Self { dir }),
                Err(error) => refused = Some(error),
            }
        }
        Err(refused.unwrap_or_else(|| {
            let none = std::io::Error::other("PostgreSQL's account can enter none");
            ServerError::io("use a temporary directory such as", "/tmp")(none)
        }))
    }

    /// Where it is.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for TemporaryHome {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.dir) {
            tracing::warn!(directory = %self.dir.display(), %error, "could not remove a temporary directory");
        }
    }
}

/// What is free on the file system of `dir`; nothing where there is no such directory.
fn free_bytes(dir: &Path) -> u64 {
    statvfs(dir).map_or(0, |found| found.blocks_available().saturating_mul(found.fragment_size()))
}
