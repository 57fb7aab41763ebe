//! Finds PostgreSQL's programs on this machine, and their version.

use std::env;
use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::ServerError;

/// The programs that a private server needs.
const PROGRAMS: [&str; 2] = ["postgres", "initdb"];

/// Where packagers put a directory of programs for each version: `{parent}/{a name with this prefix}/{below}`.
const INSTALLATIONS: [(&str, &str, &str); 6] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/opt/homebrew/opt", "postgresql", "bin"),
    ("/usr/local/opt", "postgresql", "bin"),
    ("/home/linuxbrew/.linuxbrew/opt", "postgresql", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
];

/// A directory of PostgreSQL's programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    dir: PathBuf,
    version: Version,
}

/// A version of PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The number that decides which data directories its server can open: 15 of `15.18`.
    pub major: u32,
    /// All of it, such as `15.18` or `18beta1`.
    pub text: String,
}

impl Binaries {
    /// The programs in the directory that `PG_BIN` names; if it is not set, the first of the directories of `PATH`,
    /// then those of Debian's, Homebrew's and Postgres.app's packages, newest version first.
    ///
    /// # Errors
    /// `PG_BIN` is wrong; or there are none, and then the error lists where they were looked for.
    pub fn find() -> Result<Self, ServerError> {
        Self::find_where(|_| true)
    }

    /// As [`Self::find`], but prefers programs that can open data of this major version. If there are none, it returns
    /// others, so that the caller can report the mismatch.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub fn find_major(major: u32) -> Result<Self, ServerError> {
        Self::find_where(|version| version.major == major)
    }

    fn find_where(fits: impl Fn(&Version) -> bool) -> Result<Self, ServerError> {
        if let Some(dir) = env::var_os("PG_BIN").filter(|dir| !dir.is_empty()) {
            return Self::at(Path::new(&dir));
        }
        let search = Search::of_this_machine();
        let mut first = None;
        for dir in search.directories() {
            let binaries = Self::read(&dir)?;
            if fits(&binaries.version) {
                return Ok(binaries);
            }
            first = first.or(Some(binaries));
        }
        first.ok_or_else(|| ServerError::ProgramsNotFound { looked: search.described() })
    }

    /// The programs in `dir`, as `PG_BIN` would name it.
    ///
    /// # Errors
    /// One of them is missing or does not print its version.
    pub fn at(dir: &Path) -> Result<Self, ServerError> {
        match PROGRAMS.into_iter().find(|program| !is_program(&dir.join(program))) {
            Some(missing) => Err(ServerError::WrongPgBin { dir: dir.to_owned(), missing }),
            None => Self::read(dir),
        }
    }

    fn read(dir: &Path) -> Result<Self, ServerError> {
        let program = dir.join("postgres");
        let output =
            Command::new(&program).arg("--version").output().map_err(ServerError::io("run the program", &program))?;
        let printed = String::from_utf8_lossy(&output.stdout);
        if let Some(version) = Version::parse(&printed) {
            let dir = dir.canonicalize().map_err(ServerError::io("find the directory", dir))?;
            return Ok(Self { dir, version });
        }
        let text = format!("{printed}{}", String::from_utf8_lossy(&output.stderr));
        Err(ServerError::ProgramFailed { program, status: output.status, output: text.trim().to_owned() })
    }

    /// The directory, without symbolic links.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Their version.
    pub fn version(&self) -> &Version {
        &self.version
    }

    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

impl Version {
    /// Reads what `postgres --version` prints, such as `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
    fn parse(printed: &str) -> Option<Self> {
        let text = printed.split_once("(PostgreSQL)")?.1.split_whitespace().next()?;
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        Some(Self { major: text.get(..digits)?.parse().ok()?, text: text.to_owned() })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Where to look.
struct Search {
    path: Vec<PathBuf>,
    /// Parent directory, prefix of the version's directory, directory of programs in that.
    installations: Vec<(PathBuf, String, String)>,
}

impl Search {
    fn of_this_machine() -> Self {
        Self {
            path: env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default(),
            installations: INSTALLATIONS
                .map(|(parent, prefix, below)| (parent.into(), prefix.to_owned(), below.to_owned()))
                .into(),
        }
    }

    /// The directories that hold all the programs, the preferred one first.
    fn directories(&self) -> Vec<PathBuf> {
        // A distribution may link one program into PATH; the others are beside what the link points to.
        let linked =
            self.path.iter().filter_map(|dir| Some(dir.join("postgres").canonicalize().ok()?.parent()?.to_owned()));
        let installed = self.installations.iter().flat_map(|(parent, prefix, below)| versions(parent, prefix, below));
        let mut found: Vec<PathBuf> = Vec::new();
        for dir in linked.chain(installed) {
            if !found.contains(&dir) && PROGRAMS.iter().all(|program| is_program(&dir.join(program))) {
                found.push(dir);
            }
        }
        found
    }

    fn described(&self) -> Vec<String> {
        let path = self.path.iter().map(|dir| dir.display().to_string());
        let installations =
            self.installations.iter().map(|(parent, prefix, below)| format!("{}/{prefix}*/{below}", parent.display()));
        path.chain(installations).collect()
    }
}

/// The directories of programs below `parent`, newest version first.
fn versions(parent: &Path, prefix: &str, below: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let mut found: Vec<(Vec<u32>, PathBuf)> = entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| (numbers(&entry.file_name().to_string_lossy()), entry.path().join(below)))
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, dir)| dir).collect()
}

/// The numbers in a name: 9 and 6 of `postgresql@9.6`.
fn numbers(name: &str) -> Vec<u32> {
    name.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn install(dir: &Path, programs: &[&str]) {
        fs::create_dir_all(dir).expect("a directory");
        for program in programs {
            fs::write(dir.join(program), "").expect("a file");
            fs::set_permissions(dir.join(program), fs::Permissions::from_mode(0o755)).expect("permissions");
        }
    }

    #[test]
    fn the_path_comes_first_then_the_newest_version_and_halves_are_passed_over() {
        let root = tempfile::tempdir().expect("a directory");
        let root = root.path().canonicalize().expect("a path");
        install(&root.join("lib/9.6/bin"), &PROGRAMS);
        install(&root.join("lib/15/bin"), &PROGRAMS);
        install(&root.join("lib/16/bin"), &PROGRAMS);
        install(&root.join("lib/17/bin"), &["postgres"]);
        install(&root.join("client-only"), &["psql"]);
        fs::create_dir(root.join("links")).expect("a directory");
        symlink(root.join("lib/15/bin/postgres"), root.join("links/postgres")).expect("a link");

        let search = Search {
            path: vec![root.join("client-only"), root.join("links")],
            installations: vec![(root.join("lib"), String::new(), "bin".to_owned())],
        };
        let names = ["lib/15/bin", "lib/16/bin", "lib/9.6/bin"];
        assert_eq!(search.directories(), names.map(|name| root.join(name)));
        assert_eq!(search.described().last(), Some(&format!("{}/lib/*/bin", root.display())));
    }

    #[test]
    fn a_version_is_read_from_what_the_program_prints() {
        for (printed, expected) in [
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", Some((15, "15.18"))),
            ("postgres (PostgreSQL) 18beta1", Some((18, "18beta1"))),
            ("postgres (PostgreSQL) 17", Some((17, "17"))),
            ("postgres (PostgreSQL) devel", None),
            ("hello", None),
        ] {
            let version = Version::parse(printed);
            assert_eq!(version.as_ref().map(|v| (v.major, v.text.as_str())), expected, "{printed}");
        }
    }

    #[test]
    fn a_directory_without_the_programs_is_refused_by_name() {
        let empty = tempfile::tempdir().expect("a directory");
        let error = Binaries::at(empty.path()).expect_err("nothing is there").to_string();
        assert!(error.contains("PG_BIN") && error.contains("`postgres`"), "{error}");
    }

    #[test]
    fn the_programs_of_this_machine_are_found_and_tell_their_version() {
        let binaries = Binaries::find().expect("PostgreSQL is installed");
        assert!(binaries.version().major >= 9, "{binaries:?}");
        assert_eq!(Binaries::find_major(binaries.version().major).expect("the same").version(), binaries.version());
    }
}
