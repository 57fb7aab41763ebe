//! Makes a cluster: the directory of files a server runs on.

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::unistd::{Gid, Uid, User};

use super::binaries::Binaries;
use super::error::ServerError;

/// Who a server runs as. PostgreSQL refuses to run as root: then it is `postgres`, or `nobody` where there is none.
#[derive(Debug, Clone, Copy)]
pub struct Owner(Option<(Uid, Gid)>);

impl Owner {
    /// Ourselves; as root, `postgres` or `nobody`.
    pub fn of_servers() -> Self {
        if !nix::unistd::geteuid().is_root() {
            return Self(None);
        }
        let user = ["postgres", "nobody"].into_iter().find_map(|name| User::from_name(name).ok().flatten());
        Self(user.map(|user| (user.uid, user.gid)))
    }

    /// Makes `command` run as this owner.
    pub(super) fn own(self, command: &mut Command) {
        if let Some((uid, gid)) = self.0 {
            command.uid(uid.as_raw()).gid(gid.as_raw());
        }
    }

    /// Gives `path` and everything below it to this owner.
    ///
    /// # Errors
    /// Where the file system refuses.
    pub fn give(self, path: &Path) -> Result<(), ServerError> {
        let Some((uid, gid)) = self.0 else { return Ok(()) };
        chown(path, Some(uid.as_raw()), Some(gid.as_raw())).map_err(ServerError::file("giving away", path))?;
        if path.is_dir() && !path.is_symlink() {
            for entry in std::fs::read_dir(path).map_err(ServerError::file("reading", path))? {
                self.give(&entry.map_err(ServerError::file("reading", path))?.path())?;
            }
        }
        Ok(())
    }
}

/// Makes a cluster at `data`, which must not exist or be empty: UTF-8, locale C, superuser `postgres`, local users
/// trusted.
///
/// # Errors
/// [`ServerError::Failed`] with what `initdb` said.
pub fn create_cluster(binaries: &Binaries, data: &Path, owner: Owner) -> Result<(), ServerError> {
    std::fs::create_dir_all(data).map_err(ServerError::file("creating", data))?;
    std::fs::set_permissions(data, std::fs::Permissions::from_mode(0o700))
        .map_err(ServerError::file("protecting", data))?;
    owner.give(data)?;
    let program = binaries.program("initdb");
    let mut command = Command::new(&program);
    command.arg("-D").arg(data).current_dir("/");
    command.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"]);
    owner.own(&mut command);
    let program = program.display().to_string();
    let output = command.output().map_err(|source| ServerError::Run { program: program.clone(), source })?;
    if output.status.success() {
        return Ok(());
    }
    Err(ServerError::Failed { program, output: String::from_utf8_lossy(&output.stderr).trim().to_owned() })
}
