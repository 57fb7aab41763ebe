//! Where PostgreSQL's programs are.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::ServerError;

/// The directory of PostgreSQL's programs.
#[derive(Debug, Clone)]
pub struct Binaries {
    directory: PathBuf,
}

impl Binaries {
    /// Finds `initdb` and `postgres`: in `PG_BIN`, on the `PATH`, where Debian, Homebrew and Postgres.app put them, the
    /// newest version first.
    ///
    /// # Errors
    /// [`ServerError::NoBinaries`] with the places that were looked at.
    pub fn find() -> Result<Self, ServerError> {
        if let Some(directory) = std::env::var_os("PG_BIN").map(PathBuf::from) {
            // Whoever names a directory means it: nothing else is tried.
            return match has_programs(&directory) {
                true => Ok(Self { directory }),
                false => Err(ServerError::NoBinaries { looked: format!("PG_BIN={}", directory.display()) }),
            };
        }
        let mut candidates: Vec<PathBuf> =
            std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
        for (parent, below) in [
            ("/usr/lib/postgresql", "bin"),
            ("/opt/homebrew/opt", "bin"),
            ("/usr/local/opt", "bin"),
            ("/Applications/Postgres.app/Contents/Versions", "bin"),
        ] {
            candidates.extend(versions(Path::new(parent)).into_iter().map(|directory| directory.join(below)));
        }
        let looked = "PATH, /usr/lib/postgresql/*/bin, Homebrew and Postgres.app".to_owned();
        let found = candidates.into_iter().find(|directory| has_programs(directory));
        found.map(|directory| Self { directory }).ok_or(ServerError::NoBinaries { looked })
    }

    /// The path of one of them.
    pub fn program(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Their major version, such as `15`.
    ///
    /// # Errors
    /// Where `postgres --version` cannot be run.
    pub fn major_version(&self) -> Result<String, ServerError> {
        let program = self.program("postgres");
        let output = Command::new(&program)
            .arg("--version")
            .output()
            .map_err(|source| ServerError::Run { program: program.display().to_string(), source })?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let version = text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
        let major = version.map(|version| version.chars().take_while(char::is_ascii_digit).collect());
        major.ok_or(ServerError::Failed { program: program.display().to_string(), output: text })
    }
}

fn has_programs(directory: &Path) -> bool {
    ["initdb", "postgres"].iter().all(|name| directory.join(name).is_file())
}

/// The directories in `parent` that carry a version or PostgreSQL's name, newest first.
fn versions(parent: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(parent) else { return Vec::new() };
    let version = |path: &Path| -> Option<u32> {
        let name = path.file_name()?.to_str()?;
        let digits = name.strip_prefix("postgresql@").unwrap_or(name);
        if digits == "postgresql" { Some(u32::MAX) } else { digits.split('.').next()?.parse().ok() }
    };
    let mut found: Vec<(u32, PathBuf)> =
        entries.flatten().filter_map(|entry| Some((version(&entry.path())?, entry.path()))).collect();
    found.sort_by(|a, b| b.0.cmp(&a.0));
    found.into_iter().map(|(_, path)| path).collect()
}
