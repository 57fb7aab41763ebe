//! Data directories: made by `initdb`, or copied from a template that it made once.
//!
//! `initdb` takes a second, a copy 75 milliseconds. The template is kept in Cargo's target directory, one for each
//! version of PostgreSQL and each user, and is made under a lock, so that test processes can start all at once.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::geteuid;

use super::account::Account;
use super::home::TemporaryHome;
use super::{Binaries, ServerError};

/// The superuser of every data directory made here.
pub(super) const SUPERUSER: &str = "postgres";

/// Who may connect.
#[derive(Debug, Clone, Copy)]
pub(super) enum Admission<'a> {
    /// Everybody on this machine: for tests, whose data is worth nothing.
    Everybody,
    /// Who knows the password in this file, which the account can read.
    Password(&'a Path),
}

/// Makes a data directory in `dir`, whose parent is there.
pub(super) fn create(
    binaries: &Binaries,
    account: &Account,
    dir: &Path,
    admission: Admission<'_>,
) -> Result<(), ServerError> {
    account.must_reach(binaries.dir())?;
    account.create_private_dir(dir)?;
    let program = binaries.program("initdb");
    let mut command = Command::new(&program);
    command.arg("-D").arg(dir).args(["-U", SUPERUSER, "-E", "UTF8", "--locale=C", "--no-instructions"]);
    command.arg("--wal-segsize=1").current_dir(dir);
    match admission {
        Admission::Everybody => command.args(["--auth=trust", "--no-sync"]),
        Admission::Password(file) => command.arg("--auth=scram-sha-256").arg("--pwfile").arg(file),
    };
    account.dress(&mut command);
    let output = command.output().map_err(ServerError::io("run the program", &program))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(ServerError::ProgramFailed {
        program,
        status: output.status,
        output: String::from_utf8_lossy(&said).trim().to_owned(),
    })
}

/// Puts a copy of the template into `dir`.
pub(super) fn copy_template(binaries: &Binaries, account: &Account, dir: &Path) -> Result<(), ServerError> {
    let template = template(binaries, account, &template_cache())?;
    copy_tree(&template, dir, account)
}

/// The major version of the server that wrote `data_dir`; `None` where there is no data.
pub(super) fn major_version(data_dir: &Path) -> Result<Option<u32>, ServerError> {
    let path = data_dir.join("PG_VERSION");
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text.trim().split('.').next().and_then(|major| major.parse().ok())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ServerError::io("read the file", path)(error)),
    }
}

/// Cargo's target directory if our program is in one, else the system's temporary directory.
fn template_cache() -> PathBuf {
    let program = env::current_exe().unwrap_or_default();
    let target = program.ancestors().find(|dir| dir.join("CACHEDIR.TAG").is_file());
    target.map_or_else(env::temp_dir, |target| target.join("tmp"))
}

fn template(binaries: &Binaries, account: &Account, cache: &Path) -> Result<PathBuf, ServerError> {
    let name = format!("postgres-{}-template-{}", binaries.version(), geteuid());
    let template = cache.join(&name);
    if template.is_dir() {
        return Ok(template);
    }
    fs::create_dir_all(cache).map_err(ServerError::io("create the directory", cache))?;
    let _lock = lock(&cache.join(format!("{name}.lock")), FlockArg::LockExclusive)?;
    if template.is_dir() {
        return Ok(template);
    }
    // PostgreSQL's account may have no way into the cache, so the data is made elsewhere and copied there by us.
    let workshop = TemporaryHome::create(account)?;
    let made = workshop.dir().join("data");
    create(binaries, account, &made, Admission::Everybody)?;
    let partial = cache.join(format!("{name}.partial"));
    if partial.exists() {
        fs::remove_dir_all(&partial).map_err(ServerError::io("remove the directory", &partial))?;
    }
    copy_tree(&made, &partial, &Account::Ourselves)?;
    fs::rename(&partial, &template).map_err(ServerError::io("rename the directory", &partial))?;
    Ok(template)
}

/// Locks the file at `path`, which is created if need be. The lock ends with its holder, however that ends.
pub(super) fn lock(path: &Path, how: FlockArg) -> Result<Flock<fs::File>, ServerError> {
    let file = fs::File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(ServerError::io("open the file", path))?;
    Flock::lock(file, how).map_err(|(_, errno)| ServerError::io("lock the file", path)(errno.into()))
}

/// Copies directories and files, and gives the copies to `owner`. A fresh data directory holds nothing else.
fn copy_tree(from: &Path, to: &Path, owner: &Account) -> Result<(), ServerError> {
    owner.create_private_dir(to)?;
    for entry in fs::read_dir(from).map_err(ServerError::io("read the directory", from))? {
        let entry = entry.map_err(ServerError::io("read the directory", from))?;
        let (source, copy) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().map_err(ServerError::io("inspect", &source))?.is_dir() {
            copy_tree(&source, &copy, owner)?;
        } else {
            fs::copy(&source, &copy).map_err(ServerError::io("copy the file", &source))?;
            owner.own(&copy)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_made_once_however_many_ask_at_once() {
        let cache = tempfile::tempdir().expect("a directory");
        let binaries = Binaries::find().expect("PostgreSQL is installed");
        let account = Account::choose().expect("an account");
        std::thread::scope(|scope| {
            let asking: Vec<_> = (0..3)
                .map(|_| scope.spawn(|| template(&binaries, &account, cache.path()).expect("a template")))
                .collect();
            for asked in asking {
                let template = asked.join().expect("no panic");
                assert_eq!(major_version(&template).expect("readable"), Some(binaries.version().major));
            }
        });
        let names = fs::read_dir(cache.path()).expect("readable").flatten().count();
        assert_eq!(names, 2, "the template and its lock");
    }

    #[test]
    fn a_directory_without_data_has_no_version() {
        let empty = tempfile::tempdir().expect("a directory");
        assert_eq!(major_version(empty.path()).expect("readable"), None);
    }
}
