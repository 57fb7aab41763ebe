//! Data directories: made by `initdb`, and of one major version of PostgreSQL.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::account::Account;
use super::binaries::Binaries;
use super::error::ServerError;
use super::server::SUPERUSER;

/// Makes a data directory in `dir`, whose parent exists. `authentication` is the options of `initdb` that say who may
/// connect.
///
/// # Errors
/// PostgreSQL's account cannot reach the programs, or `initdb` fails.
pub fn init(binaries: &Binaries, account: &Account, dir: &Path, authentication: &[&str]) -> Result<(), ServerError> {
    account.must_reach(binaries.dir())?;
    account.create_private_dir(dir)?;
    let program = binaries.program("initdb");
    let mut command = Command::new(&program);
    command.arg("-D").arg(dir).args(["-U", SUPERUSER, "-E", "UTF8", "--locale=C", "--no-instructions"]);
    command.arg("--wal-segsize=1").args(authentication).current_dir(dir);
    account.prepare(&mut command);
    let output = command.output().map_err(ServerError::io("run the program", &program))?;
    if output.status.success() {
        return Ok(());
    }
    let printed = [output.stdout, output.stderr].concat();
    Err(ServerError::ProgramFailed {
        program,
        status: output.status,
        output: String::from_utf8_lossy(&printed).trim().to_owned(),
    })
}

/// The major version of the server that wrote `data_dir`; `None` if it holds no data.
pub(super) fn major_version(data_dir: &Path) -> Result<Option<u32>, ServerError> {
    let path = data_dir.join("PG_VERSION");
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text.trim().split('.').next().and_then(|major| major.parse().ok())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ServerError::io("read the file", path)(error)),
    }
}
