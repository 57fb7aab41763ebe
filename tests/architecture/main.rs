//! The structure of the code: imports point down only, files of a room do not import each other in a cycle (`cycles`), every
//! file begins with its purpose, and the top level has the prescribed entries only.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking, in its helping functions too")]

mod cycles;
mod reading;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use reading::{module_of, read};

/// The floors of `src/README.md`, from the lowest. A room may import rooms of lower floors, and itself.
const FLOORS: [&[&str]; 11] = [
    &["types", "diagnostics"],
    &["grl", "yaml"],
    &["config"],
    &["graph"],
    &["flow"],
    &["pool", "metrics"],
    &["postgres", "service"],
    &["actors", "records", "relay"],
    &["flowtests"],
    &["http", "demo"],
    &["app"],
];

/// The roof: the map of the floors and the thin binary, which may name every room.
const ROOF: [&str; 2] = ["src/lib.rs", "src/main.rs"];

/// What the top level may hold besides dotfiles, and `target`, which Cargo makes.
const TOP_LEVEL: [&str; 17] = [
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "_typos.toml",
    "clippy.toml",
    "config",
    "deny.toml",
    "graph.yaml",
    "rules",
    "rustfmt.toml",
    "scripts",
    "sql",
    "src",
    "target",
    "tests",
];

const REMEDY: &str = "move what both need to a lower floor, or let `flow` ask for it through a trait";

/// A file that is longer has outgrown its name.
const MOST_LINES: usize = 600;

#[test]
fn imports_point_down_only() {
    let complaints: Vec<String> = sources("src").iter().flat_map(|(path, text)| upward_imports(path, text)).collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn the_documents_draw_these_floors() {
    let read = |file: &str| fs::read_to_string(root().join(file)).expect("text");
    let (drawing, library) = (read("src/README.md"), read("src/lib.rs"));
    for (floor, rooms) in FLOORS.iter().enumerate() {
        let drawn = format!("\n{floor}  {} ", rooms.join("   "));
        assert!(drawing.contains(&drawn), "src/README.md does not draw floor {floor}: {rooms:?}");
        let links: Vec<String> = rooms.iter().map(|room| format!("[`{room}`]")).collect();
        let row = format!("| {floor} | {} |", links.join(", "));
        assert!(library.contains(&row), "src/lib.rs does not list floor {floor}: {row}");
    }
}

#[test]
fn every_file_says_what_it_is_for_and_is_of_readable_length() {
    let files: Vec<_> = sources("src").into_iter().chain(sources("tests")).collect();
    let complaints: Vec<String> = files.iter().filter_map(|(path, text)| unreadable(path, text)).collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn the_top_level_holds_what_was_prescribed() {
    let entries = fs::read_dir(root()).expect("the repository").map(|entry| entry.expect("an entry"));
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let strangers: Vec<String> =
        names.filter(|name| !name.starts_with('.') && !TOP_LEVEL.contains(&name.as_str())).collect();
    assert!(strangers.is_empty(), "these do not belong at the top level: {strangers:?}");
}

#[test]
fn imports_that_do_not_point_down_are_refused_with_line_floors_and_remedy() {
    let http = floor("http").expect("a floor");
    let up = format!("src/grl/lexer.rs:1: `grl` (floor 1) imports `http` (floor {http}), above it; {REMEDY}");
    for (path, text, expected) in [
        ("src/grl/lexer.rs", "use crate::http::Problem;", vec![up.as_str()]),
        ("src/grl/lexer.rs", "use crate::{types::Value, http::{Problem, Code}};", vec![&up]),
        ("src/grl/lexer.rs", "fn f() -> crate::http::Problem { g() }", vec![&up]),
        ("src/grl/lexer.rs", "pub(in crate::http) struct S;", vec![&up]),
        ("src/grl/lexer.rs", "fn f() { log!(\"{}\", crate :: http :: Problem) }", vec![&up]),
        ("src/grl/lexer.rs", "use super::super::http::Problem;", vec![&up]),
        ("src/grl/lexer.rs", "use super::{super::http::Problem, token::Token};", vec![&up]),
        ("src/grl/lexer.rs", "mod tests { use super::super::super::http::Problem; }", vec![&up]),
        ("src/grl/lexer.rs", "use crate::{self as here, r#http::Problem};", vec![&up]),
        ("src/grl/lexer.rs", "use crate::*;", vec!["src/grl/lexer.rs:1: imports every room at once; name the rooms"]),
        (
            "src/grl/mod.rs",
            "//! Rules.\n\nuse crate::yaml::Marked;\nuse super::graph::Flow;",
            vec![
                &format!("src/grl/mod.rs:3: `grl` (floor 1) imports `yaml` (floor 1), on the same floor; {REMEDY}"),
                &format!("src/grl/mod.rs:4: `grl` (floor 1) imports `graph` (floor 3), above it; {REMEDY}"),
            ],
        ),
        (
            "src/flow/mod.rs",
            "use crate::cellar::Wine;",
            vec!["src/flow/mod.rs:1: `cellar` is on no floor; give it one in tests/architecture"],
        ),
        (
            "src/attic/mod.rs",
            "//! Nothing.",
            vec!["src/attic/mod.rs:1: `attic` is on no floor; give it one in tests/architecture"],
        ),
    ] {
        assert_eq!(upward_imports(path, text), expected, "{text}");
    }
}

#[test]
fn imports_that_point_down_or_only_look_like_imports_are_accepted() {
    for (path, text) in [
        ("src/graph/compile/mod.rs", "use crate::{grl::Ruleset, types::{NodeId, Value}};"),
        ("src/graph/compile/mod.rs", "use super::plan::Plan; use super::super::types::Value;"),
        ("src/graph/plan.rs", "mod tests { use super::*; use super::super::load; }"),
        ("src/graph/plan.rs", "/// As [`crate::http::Problem`].\n// crate::http\nconst S: &str = \"crate::http::x\";"),
        ("src/graph/plan.rs", "pub(crate) struct S; pub(super) mod http {}"),
        ("src/graph/plan.rs", "const S: &str = r#\"use crate::app::App;\"#; const C: char = '\"';"),
        ("src/main.rs", "use tributary::app::App; use crate::anything;"),
    ] {
        assert_eq!(upward_imports(path, text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn a_file_without_a_purpose_and_a_file_that_is_too_long_are_refused() {
    let long = format!("//! Purpose.\n{}", "\n".repeat(MOST_LINES));
    for (text, refused) in
        [("//! Purpose.\n", false), ("\n//! Purpose.\n", false), ("use std::fs;\n", true), ("", true), (&long, true)]
    {
        assert_eq!(unreadable("src/x.rs", text).is_some(), refused, "{text}");
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Rust files below a directory of the repository: their paths in it, and their texts.
fn sources(directory: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = vec![root().join(directory)];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).expect("a directory of the repository") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                // What Cargo builds for the fuzz targets is not ours.
                if path.file_name().is_some_and(|name| name != "target") {
                    open.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a text");
                let name = path.strip_prefix(root()).expect("a file of the repository");
                found.push((name.to_string_lossy().into_owned(), text));
            }
        }
    }
    assert!(!found.is_empty(), "no sources in {directory}");
    found.sort();
    found
}

fn unreadable(path: &str, text: &str) -> Option<String> {
    let lines = text.lines().count();
    let purpose = text.lines().find(|line| !line.trim().is_empty()).is_some_and(|line| line.starts_with("//!"));
    match (purpose, lines > MOST_LINES) {
        (false, _) => Some(format!("{path}:1: begins without `//!`, so nobody knows what it is for")),
        (true, true) => Some(format!("{path}:{lines}: is longer than {MOST_LINES} lines; split it")),
        (true, false) => None,
    }
}

fn upward_imports(path: &str, text: &str) -> Vec<String> {
    if ROOF.contains(&path) {
        return Vec::new();
    }
    let module = module_of(path);
    let room = module.first().map(String::as_str).unwrap_or_default();
    let Some(own) = floor(room) else { return vec![format!("{path}:1: {}", homeless(room))] };
    let paths = read(path, text, &BTreeSet::new(), true).paths;
    let rooms: BTreeSet<_> =
        paths.into_iter().filter_map(|(line, path)| Some((line, path.into_iter().next()?))).collect();
    let complaints = rooms.into_iter().filter_map(|(line, imported)| {
        let complaint = match floor(&imported) {
            _ if imported == "*" => "imports every room at once; name the rooms".to_owned(),
            None => homeless(&imported),
            Some(other) if other < own || imported == room => return None,
            Some(other) => {
                let relation = if other == own { "on the same floor" } else { "above it" };
                format!("`{room}` (floor {own}) imports `{imported}` (floor {other}), {relation}; {REMEDY}")
            }
        };
        Some(format!("{path}:{line}: {complaint}"))
    });
    complaints.collect()
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

fn homeless(room: &str) -> String {
    format!("`{room}` is on no floor; give it one in tests/architecture")
}

/// The platform that this was built for: cargo knows nothing offline of dependencies that only others need.
fn platform() -> String {
    let output = std::process::Command::new(env!("CARGO")).arg("-vV").output().expect("cargo runs");
    let version = String::from_utf8(output.stdout).expect("text");
    version.lines().find_map(|line| line.strip_prefix("host: ")).expect("a platform").to_owned()
}

/// The stated minimum Rust version holds for the dependencies; for the library's own use of `std` clippy sees to it.
#[test]
fn no_dependency_needs_a_newer_rust_than_the_manifest_states() {
    let output = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--offline", "--format-version", "1", "--filter-platform", &platform()])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("metadata");
    // A version may leave out its last number.
    let version = |text: &str| -> Vec<u32> {
        format!("{text}.0").split('.').take(3).map(|part| part.parse().unwrap_or(0)).collect()
    };
    let stated = version(env!("CARGO_PKG_RUST_VERSION"));
    let packages = metadata["packages"].as_array().expect("packages");
    assert!(packages.len() > 100, "the dependencies are known");
    let newer: Vec<String> = packages
        .iter()
        .filter_map(|package| Some((package["name"].as_str()?, package["rust_version"].as_str()?)))
        .filter(|(_, needed)| version(needed) > stated)
        .map(|(name, needed)| format!("{name} needs {needed}"))
        .collect();
    assert!(newer.is_empty(), "{newer:#?}");
}
