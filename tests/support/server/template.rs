//! Data directories, copied from a template that `initdb` made once.
//!
//! `initdb` takes a second, a copy 75 milliseconds. The template is kept in Cargo's target directory, one for each
//! version of PostgreSQL and each user, and is made under a lock, so that test processes can start all at once.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::geteuid;
use tributary::demo::{self, Account, Binaries, ServerError};

use super::home::TemporaryHome;

/// Puts a copy of the template into `dir`, which is created.
///
/// # Errors
/// The template cannot be made or copied.
pub fn copy(binaries: &Binaries, account: &Account, dir: &Path) -> Result<(), ServerError> {
    copy_tree(&template(binaries, account, &cache())?, dir, account)
}

/// Cargo's target directory if our program is in one, else the system's temporary directory.
fn cache() -> PathBuf {
    let program = env::current_exe().unwrap_or_default();
    let target = program.ancestors().find(|dir| dir.join("CACHEDIR.TAG").is_file());
    target.map_or_else(env::temp_dir, |target| target.join("tmp"))
}

/// The template in `cache`, which is made unless it is there.
///
/// # Errors
/// `initdb` fails.
pub fn template(binaries: &Binaries, account: &Account, cache: &Path) -> Result<PathBuf, ServerError> {
    let name = format!("postgres-{}-template-{}", binaries.version(), geteuid());
    let template = cache.join(&name);
    if template.is_dir() {
        return Ok(template);
    }
    fs::create_dir_all(cache).expect("the cache's directory");
    let lock = fs::File::create(cache.join(format!("{name}.lock"))).expect("a lock's file");
    let _lock = Flock::lock(lock, FlockArg::LockExclusive).expect("the lock");
    if template.is_dir() {
        return Ok(template);
    }
    // PostgreSQL's account may be unable to enter the cache, so the data is made elsewhere, and we copy it there.
    let home = TemporaryHome::create(account)?;
    let made = home.dir().join("data");
    demo::init(binaries, account, &made, &["--auth=trust", "--no-sync"])?;
    let partial = cache.join(format!("{name}.partial"));
    if partial.exists() {
        fs::remove_dir_all(&partial).expect("an earlier attempt is removed");
    }
    copy_tree(&made, &partial, &Account::Ourselves)?;
    fs::rename(&partial, &template).expect("the template is in place");
    Ok(template)
}

/// Copies directories and files, and gives the copies to `owner`. A fresh data directory holds nothing else.
pub fn copy_tree(from: &Path, to: &Path, owner: &Account) -> Result<(), ServerError> {
    owner.create_private_dir(to)?;
    for entry in fs::read_dir(from).expect("the template") {
        let entry = entry.expect("an entry of the template");
        let (source, copy) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().expect("a type").is_dir() {
            copy_tree(&source, &copy, owner)?;
        } else {
            fs::copy(&source, &copy).expect("a copy");
            owner.own(&copy)?;
        }
    }
    Ok(())
}
