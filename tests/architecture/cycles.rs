//! No two files of a room import each other, directly or through others. A `mod.rs` and the files below it are exempt: a
//! cycle counts if it closes without imports from such a file to its `mod.rs`, or without imports the other way.
//!
//! An import counts for the file that defines the item, whatever passes it on.

use std::collections::{BTreeMap, BTreeSet};

use crate::reading::{CratePath, Reading, module_of, read};

const REMEDY: &str = "move what both need to a file of its own, or to the one that is imported";

#[test]
fn no_files_of_a_room_import_each_other_in_a_cycle() {
    let complaints: Vec<String> = cycles(&crate::sources("src")).iter().map(Cycle::to_string).collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// Files that all import each other, directly or through others.
struct Cycle {
    room: String,
    /// The imports between them, one a line.
    imports: Vec<String>,
}

impl std::fmt::Display for Cycle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "files of `{}` import each other; {REMEDY}:\n  {}", self.room, self.imports.join("\n  "))
    }
}

/// For each file the files that it imports, each with the first line and the path that names it.
type Imports<'a> = BTreeMap<&'a str, BTreeMap<&'a str, (usize, String)>>;

/// The modules of the crate and what their files hold.
struct Modules<'a> {
    paths: BTreeMap<CratePath, &'a str>,
    readings: BTreeMap<CratePath, Reading>,
}

fn cycles(sources: &[(String, String)]) -> Vec<Cycle> {
    let modules = Modules::of(sources);
    let imports = modules.imports();
    let is_above = |above: &str, below: &str| above.strip_suffix("mod.rs").is_some_and(|room| below.starts_with(room));
    let mut found = components(&imports, |from, to| !is_above(to, from));
    for files in components(&imports, |from, to| !is_above(from, to)) {
        if !found.iter().any(|known| known.is_superset(&files)) {
            found.push(files);
        }
    }
    found.into_iter().map(|files| cycle(&files, &imports)).collect()
}

fn cycle(files: &BTreeSet<&str>, imports: &Imports<'_>) -> Cycle {
    let lines = files.iter().flat_map(|from| {
        let imported = imports.get(from).into_iter().flatten().filter(|(to, _)| files.contains(*to));
        imported.map(move |(to, (line, path))| format!("{from}:{line} imports `{path}` of {to}"))
    });
    let room = files.first().and_then(|file| file.split('/').nth(1)).unwrap_or_default();
    Cycle { room: room.to_owned(), imports: lines.collect() }
}

/// The largest sets of two or more files that all reach each other by the imports that `counts` accepts.
fn components<'a>(imports: &Imports<'a>, counts: impl Fn(&str, &str) -> bool) -> Vec<BTreeSet<&'a str>> {
    let next = |from: &str| imports.get(from).into_iter().flat_map(|to| to.keys().copied()).collect::<Vec<_>>();
    let mut reached: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for start in imports.keys() {
        let mut open = vec![*start];
        let reached = reached.entry(start).or_default();
        while let Some(file) = open.pop() {
            let new: Vec<&str> = next(file).into_iter().filter(|to| counts(file, to) && reached.insert(to)).collect();
            open.extend(new);
        }
    }
    let mut found: BTreeSet<BTreeSet<&str>> = BTreeSet::new();
    for (file, others) in &reached {
        let returns = |other: &&&str| reached.get(**other).is_some_and(|back| back.contains(file));
        let component: BTreeSet<&str> = others.iter().filter(returns).copied().collect();
        if component.len() > 1 {
            found.insert(component);
        }
    }
    found.into_iter().collect()
}

impl<'a> Modules<'a> {
    fn of(sources: &'a [(String, String)]) -> Self {
        let is_test = |path: &str| path.ends_with("/tests.rs") || path.contains("/tests/");
        let sources = || sources.iter().filter(|(path, _)| !crate::ROOF.contains(&path.as_str()) && !is_test(path));
        let paths: BTreeMap<CratePath, &str> = sources().map(|(path, _)| (module_of(path), path.as_str())).collect();
        let children = |module: &CratePath| -> BTreeSet<String> {
            let below = paths.keys().filter(|below| below.len() == module.len() + 1 && below.starts_with(module));
            below.filter_map(|below| below.last().cloned()).collect()
        };
        let read_all = sources().map(|(path, text)| {
            let module = module_of(path);
            let reading = read(path, text, &children(&module), false);
            (module, reading)
        });
        let readings = read_all.collect();
        Self { paths, readings }
    }

    fn imports(&self) -> Imports<'a> {
        let mut imports = Imports::new();
        for (module, from) in &self.paths {
            let Some(reading) = self.readings.get(module) else { continue };
            for (line, path) in reading.paths.iter().filter(|(_, path)| path.first() == module.first()) {
                if let Some(to) = self.file_of(path, MOST_STEPS).filter(|to| to != from) {
                    imports.entry(*from).or_default().entry(to).or_insert_with(|| (*line, path.join("::")));
                }
            }
        }
        imports
    }

    /// The file that defines what a path names: re-exports are followed, for so many steps.
    fn file_of(&self, path: &[String], steps: usize) -> Option<&'a str> {
        let (module, rest) = (1..=path.len())
            .rev()
            .map(|length| path.split_at(length))
            .find(|(module, _)| self.paths.contains_key(*module))?;
        let (here, reading) = (self.paths.get(module).copied(), self.readings.get(module)?);
        let Some((name, after)) = rest.split_first() else { return here };
        if steps == 0 || reading.definitions.contains(name) {
            return here;
        }
        if let Some(target) = reading.imported.get(name) {
            return self.file_of(&[target, after].concat(), steps - 1).or(here);
        }
        let knows = |glob: &&CratePath| {
            let reading = self.readings.get(*glob);
            reading.is_some_and(|found| found.definitions.contains(name) || found.imported.contains_key(name))
        };
        match reading.globs.iter().find(knows) {
            Some(glob) => self.file_of(&[glob, rest].concat(), steps - 1).or(here),
            None => here,
        }
    }
}

/// More re-exports than any item has.
const MOST_STEPS: usize = 12;

fn cycles_of(files: &[(&str, &str)]) -> Vec<Vec<String>> {
    let sources: Vec<(String, String)> =
        files.iter().map(|(path, text)| (format!("src/grl/{path}"), (*text).to_owned())).collect();
    cycles(&sources).into_iter().map(|cycle| cycle.imports).collect()
}

#[test]
fn a_cycle_is_found_through_other_files_re_exports_and_plain_paths() {
    let facade = ("mod.rs", "mod a; mod b; pub use a::A; pub use b::*;");
    for (a, b) in [
        ("use super::b::B; pub struct A;", "use super::a::A; pub struct B;"),
        ("use super::B; pub struct A;", "use super::A; pub struct B;"),
        ("use crate::grl::{b::B as Other}; pub struct A;", "fn f() -> super::A { g() } pub struct B;"),
        ("pub struct A; mod inner { use super::super::b::B; }", "pub struct B; log!(\"{}\", crate::grl::a::A);"),
    ] {
        let found = cycles_of(&[facade, ("a.rs", a), ("b.rs", b)]);
        let imports = found.first().map(Vec::as_slice).unwrap_or_default();
        assert!(found.len() == 1 && imports.len() == 2 && imports[0].contains("of src/grl/b.rs"), "{a} {b}: {found:?}");
    }
    let through = [
        facade,
        ("a.rs", "use super::c::D; pub struct A;"),
        ("b.rs", "use super::a::A; pub struct B;"),
        ("c/mod.rs", "mod d; pub use d::D;"),
        ("c/d.rs", "use super::super::b::B; pub struct D;"),
        ("e.rs", "use super::c::D;"),
    ];
    assert_eq!(cycles_of(&through).first().map(Vec::len), Some(3), "e.rs is in no cycle");
}

#[test]
fn a_module_and_its_own_files_tests_and_imports_one_way_are_no_cycle() {
    for files in [
        [("mod.rs", "mod a; pub use a::A; fn f() -> A {} pub struct B;"), ("a.rs", "use super::B; pub struct A;")],
        [
            ("a.rs", "use super::b::B; pub struct A;"),
            ("b.rs", "pub struct B; #[cfg(test)] mod tests { use crate::grl::a::A; }"),
        ],
        [
            ("a.rs", "use super::b::B; pub struct A;"),
            ("b.rs", "/// Of [`super::a::A`].\npub struct B; const C: &str = \"super::a\";"),
        ],
        [("a.rs", "use crate::types::b::B; pub struct A;"), ("b.rs", "use super::a::A;")],
    ] {
        assert_eq!(cycles_of(&files), Vec::<Vec<String>>::new(), "{files:?}");
    }
}
