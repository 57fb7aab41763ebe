//! A directory of a server's own under the system's temporary directory, removed with it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use super::ServerError;
use super::account::Account;

/// A directory that is removed, with all that is in it, when this is dropped.
#[derive(Debug)]
pub(super) struct TemporaryHome {
    dir: PathBuf,
}

impl TemporaryHome {
    /// One that the account owns and can enter.
    pub(super) fn create(account: &Account) -> Result<Self, ServerError> {
        let candidates = [env::temp_dir(), PathBuf::from("/tmp"), PathBuf::from("/var/tmp")];
        let base = candidates.iter().find(|dir| account.reaches(dir)).unwrap_or(&candidates[0]);
        let dir = base.join(format!("tributary-{}-{:08x}", std::process::id(), rand::random::<u32>()));
        account.create_private_dir(&dir)?;
        Ok(Self { dir })
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
