//! The databases of a demo: those of the shipped flow, and those whose files stand beside another graph.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::error::ServerError;
use crate::types::DomainName;

/// A database of a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleDatabase {
    /// Its name, which is also the name of its domain.
    pub name: Cow<'static, str>,
    /// The file that creates its table and rows.
    pub file: Cow<'static, str>,
    /// The contents of that file. Running it again changes nothing that is there.
    pub sql: Cow<'static, str>,
    /// What the role [`WRITER`] may do there; empty where nothing is written.
    pub grants: Cow<'static, str>,
}

/// The role that writes the effects of flows.
pub const WRITER: &str = "tributary_writer";

/// The databases of the shipped flow.
pub const DATABASES: [SampleDatabase; 4] = [
    shipped(
        "oms_db",
        "sql/oms_db.sql",
        include_str!("../../sql/oms_db.sql"),
        include_str!("../../sql/oms_db_writer.sql"),
    ),
    shipped("inventory_db", "sql/inventory_db.sql", include_str!("../../sql/inventory_db.sql"), ""),
    shipped("supplier_db", "sql/supplier_db.sql", include_str!("../../sql/supplier_db.sql"), ""),
    shipped("uom_db", "sql/uom_db.sql", include_str!("../../sql/uom_db.sql"), ""),
];

const fn shipped(name: &'static str, file: &'static str, sql: &'static str, grants: &'static str) -> SampleDatabase {
    SampleDatabase {
        name: Cow::Borrowed(name),
        file: Cow::Borrowed(file),
        sql: Cow::Borrowed(sql),
        grants: Cow::Borrowed(grants),
    }
}

/// What the file of grants of a database is called behind its name.
const GRANTS: &str = "_writer";

impl SampleDatabase {
    /// The databases of `graphs`, files or directories of them: `sql/DOMAIN.sql` beside a graph makes a database, and
    /// `sql/DOMAIN_writer.sql` says what [`WRITER`] may do there. A graph without a directory `sql` has those of the
    /// shipped flow.
    ///
    /// # Errors
    /// A file cannot be read, is not named as a domain, or makes a database that another file makes, too.
    pub fn beside(graphs: &[PathBuf]) -> Result<Vec<Self>, ServerError> {
        let mut databases: Vec<Self> = Vec::new();
        for graph in graphs {
            let home = if graph.is_dir() { graph } else { graph.parent().unwrap_or(Path::new("")) };
            let directory = home.join("sql");
            let found = if directory.is_dir() { read(&directory)? } else { DATABASES.to_vec() };
            for database in found {
                match databases.iter().find(|known| known.name == database.name) {
                    None => databases.push(database),
                    Some(known) if known.file == database.file => {}
                    Some(known) => {
                        let (first, second) = (known.file.to_string(), database.file.into_owned());
                        return Err(ServerError::MadeTwice { database: database.name.into_owned(), first, second });
                    }
                }
            }
        }
        Ok(databases)
    }
}

/// The databases of a directory, in the order of their names.
fn read(directory: &Path) -> Result<Vec<SampleDatabase>, ServerError> {
    let entries = fs::read_dir(directory).map_err(ServerError::io("read the directory", directory))?;
    let mut files = BTreeMap::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.extension().is_none_or(|extension| extension != "sql") {
            continue;
        }
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        DomainName::parse(&name).map_err(|reason| ServerError::NoDomain { file: path.clone(), reason })?;
        let text = fs::read_to_string(&path).map_err(ServerError::io("read the file", &path))?;
        files.insert(name, (path, text));
    }
    let is_grants = |name: &str| name.strip_suffix(GRANTS).is_some_and(|database| files.contains_key(database));
    let database = |(name, (path, text)): (&String, &(PathBuf, String))| SampleDatabase {
        name: name.clone().into(),
        file: path.display().to_string().into(),
        sql: text.clone().into(),
        grants: files.get(&format!("{name}{GRANTS}")).map_or_else(String::new, |(_, text)| text.clone()).into(),
    };
    Ok(files.iter().filter(|(name, _)| !is_grants(name)).map(database).collect())
}
