//! The account that PostgreSQL runs as: ours, or another one if we are root, because PostgreSQL refuses to run as root.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::unistd::{User, geteuid};

use super::error::ServerError;

/// The account that PostgreSQL runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Account {
    /// The user that runs us.
    Ourselves,
    /// This user, because we are root.
    Other {
        /// Its name.
        name: String,
        /// Its number.
        uid: u32,
        /// The number of its group.
        gid: u32,
    },
}

impl Account {
    /// Ourselves; for root `postgres`, else `nobody`.
    ///
    /// # Errors
    /// We are root, and neither account exists.
    pub fn choose() -> Result<Self, ServerError> {
        if !geteuid().is_root() {
            return Ok(Self::Ourselves);
        }
        ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .map(|user| Self::Other { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw() })
            .ok_or(ServerError::NoAccount)
    }

    /// Makes `command` run as this account, in a process group of its own (so that Ctrl-C reaches only us), without the
    /// `PG*` variables of our environment.
    pub(super) fn prepare(&self, command: &mut Command) {
        if let Self::Other { uid, gid, .. } = self {
            command.gid(*gid).uid(*uid);
        }
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        command.env("LC_ALL", "C").process_group(0);
    }

    /// Gives `path` to this account.
    ///
    /// # Errors
    /// The owner cannot be changed.
    pub fn own(&self, path: &Path) -> Result<(), ServerError> {
        match self {
            Self::Ourselves => Ok(()),
            Self::Other { uid, gid, .. } => {
                lchown(path, Some(*uid), Some(*gid)).map_err(ServerError::io("change the owner of", path))
            }
        }
    }

    /// Creates `dir`, owned by this account and closed to all others. Its parent must exist.
    ///
    /// # Errors
    /// The directory cannot be created, or given to the account.
    pub fn create_private_dir(&self, dir: &Path) -> Result<(), ServerError> {
        fs::create_dir(dir).map_err(ServerError::io("create the directory", dir))?;
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
            .map_err(ServerError::io("set the permissions of", dir))?;
        self.own(dir)
    }

    /// Refuses `dir` if this account cannot enter it.
    pub(super) fn must_reach(&self, dir: &Path) -> Result<(), ServerError> {
        match self {
            Self::Other { name, .. } if !self.reaches(dir) => {
                Err(ServerError::Unreachable { account: name.clone(), dir: dir.to_owned() })
            }
            _ => Ok(()),
        }
    }

    /// Whether this account can enter `dir`, an existing directory, judged by owners and permission bits.
    pub fn reaches(&self, dir: &Path) -> bool {
        let Self::Other { uid, gid, .. } = self else { return true };
        let Ok(dir) = dir.canonicalize() else { return false };
        dir.ancestors().all(|ancestor| {
            fs::metadata(ancestor).is_ok_and(|metadata| {
                let bit = match () {
                    () if metadata.uid() == *uid => 0o100,
                    () if metadata.gid() == *gid => 0o010,
                    () => 0o001,
                };
                metadata.mode() & bit != 0
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_within_reach_only_where_every_ancestor_lets_the_account_in() {
        let stranger = Account::Other { name: "stranger".into(), uid: 54_321, gid: 54_321 };
        let root = tempfile::Builder::new()
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir_in("/tmp")
            .expect("a directory");
        let (open, closed) = (root.path().join("open"), root.path().join("closed"));
        fs::create_dir_all(&open).expect("a directory");
        fs::create_dir_all(closed.join("inner")).expect("a directory");
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).expect("permissions");

        for (dir, reached) in
            [(&open, true), (&closed, false), (&closed.join("inner"), false), (&root.path().join("absent"), false)]
        {
            assert_eq!(stranger.reaches(dir), reached, "{}", dir.display());
            assert_eq!(stranger.must_reach(dir).is_ok(), reached, "{}", dir.display());
        }
        assert!(Account::Ourselves.must_reach(&closed).is_ok());
    }
}
