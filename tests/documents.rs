//! The documents are right: links lead somewhere, named files exist, examples load, and the commands of console blocks run
//! against a running service and print what the documents show.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod support;

use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use regex::Regex;
use serde_yaml::Value as Yaml;
use support::{DemoProgram, PATIENT, SampleDatabases, Setup, TestApp, repository};
use tempfile::TempDir;

const DOCUMENTS: [&str; 8] = [
    "README.md",
    "config/README.md",
    "config/flows/allocation/README.md",
    "config/flows/loan/README.md",
    "rules/README.md",
    "src/README.md",
    "src/http/console/README.md",
    "tests/README.md",
];

/// The beginnings of commands that other steps of the gate run, or that need what not every machine has.
const RUN_ELSEWHERE: [(&str, &str); 7] = [
    ("tributary domain ", "tests/conformance asks it"),
    ("scripts/demo", "tests/cli.rs runs `tributary demo`"),
    ("scripts/test", "the gate itself"),
    ("tests/fuzz/run", "tests/fuzz_seeds.rs runs the targets on their seeds"),
    ("tributary records verify", "tests/explain/record_files.rs changes records and verifies them"),
    ("docker run", "needs Docker"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT=", "tests/traces.rs has a collector"),
];

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").expect("a pattern");
    let mut checked = 0;
    for document in DOCUMENTS {
        let text = read(document);
        for target in link.captures_iter(&text).map(|found| found[1].to_owned()) {
            if target.contains("://") {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((&target, ""));
            let directory = repository().join(document).parent().expect("a directory").to_owned();
            let file = if file.is_empty() { repository().join(document) } else { directory.join(file) };
            assert!(file.exists(), "{document}: {target} does not exist");
            let has_heading = || {
                fs::read_to_string(&file)
                    .expect("text")
                    .lines()
                    .any(|line| line.starts_with('#') && slug(line) == heading)
            };
            assert!(heading.is_empty() || has_heading(), "{document}: {target} has no such heading");
            checked += 1;
        }
    }
    assert!(checked > 30, "{checked} links");
}

/// The anchor that GitHub gives a heading.
fn slug(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars()
        .filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter))
        .map(|letter| if letter == ' ' { '-' } else { letter })
        .collect()
}

#[test]
fn every_file_of_the_code_that_its_document_names_exists() {
    let path = Regex::new(r"`((?:[a-z_]+/)+(?:[a-z_]+\.rs)?|[a-z_]+\.(?:rs|yaml))`").expect("a pattern");
    let text = read("src/README.md");
    let named = path.captures_iter(&text).filter_map(|found| found.get(1)).map(|name| name.as_str());
    let named: Vec<&str> = named.filter(|name| *name != "mod.rs").collect();
    assert!(named.len() > 20, "{named:?}");
    // A name without a directory is a file beside the one that was named before it.
    let mut directory = repository().join("src");
    for name in named {
        let below = |root: &Path| root.join(name);
        let places = [below(&repository().join("src")), below(repository()), below(&directory)];
        let found = places.iter().find(|place| place.exists());
        let found = found.unwrap_or_else(|| panic!("src/README.md names {name}, which does not exist"));
        directory = found.parent().expect("a directory").to_owned();
    }
}

#[actix_web::test]
async fn the_commands_of_the_readme_work() {
    run_document("README.md").await;
}

#[actix_web::test]
async fn the_commands_of_the_configuration_work() {
    run_document("config/README.md").await;
}

#[actix_web::test]
async fn the_commands_of_the_rule_language_s_document_work() {
    run_document("rules/README.md").await;
}

#[actix_web::test]
async fn the_commands_of_the_code_s_document_work() {
    run_document("src/README.md").await;
}

#[actix_web::test]
async fn the_commands_of_the_tests_document_work() {
    run_document("tests/README.md").await;
}

#[actix_web::test]
async fn the_small_graph_of_the_readme_decides() {
    let databases = SampleDatabases::create().await;
    let place = Place::new(&databases);
    let text = read("README.md");
    let graph = blocks(&text, "yaml").into_iter().find(|block| block.starts_with("flow:")).expect("a graph");
    fs::write(place.path("restock.yaml"), graph).expect("written");
    fs::write(place.path("restock.grl"), blocks(&text, "grl")[0]).expect("written");
    for (product, status) in [("PROD-001", "no_order"), ("PROD-002", "no_order")] {
        let command =
            format!("tributary run --graph restock.yaml --env-file .tributary/env --input product_id={product}");
        let (code, output) = place.run(&command, None);
        assert!(code == Some(0) && output.contains(status), "{output}");
    }
}

#[test]
fn the_table_of_the_readme_is_the_shipped_one() {
    assert_eq!(blocks(&read("README.md"), "csv"), [read("rules/discounts.csv")]);
}

#[test]
fn the_page_of_the_loan_builds_it_up() {
    build_up("config/flows/loan", "my-loan");
}

#[test]
fn the_page_of_the_allocation_builds_it_up() {
    build_up("config/flows/allocation", "my-allocation");
}

/// Follows a page that builds up the flow of `directory`: writes the files of its blocks into `mine`, and runs its commands where
/// they stand, while the demo that the page starts is running. At the end the files are those of the flow.
fn build_up(directory: &str, mine: &str) {
    let place = Place::of_flows();
    let text = read(&format!("{directory}/README.md"));
    let start = text.lines().find_map(|line| line.strip_prefix("$ scripts/demo ")).expect("the page starts the demo");
    let demo = DemoProgram::start(&place.path(".tributary"), &start.split(' ').collect::<Vec<_>>());
    let block = Regex::new(r"(?s)```(\w+)(?: (\S+))?\n(.*?)```").expect("a pattern");
    let (mut files, mut functions, mut ran) = (BTreeSet::new(), String::new(), 0);
    for found in block.captures_iter(&text) {
        if let Some(name) = found.get(2) {
            build(&place.path(mine).join(name.as_str()), &found[3]);
            files.insert(name.as_str());
        } else if &found[1] == "console" {
            for Shown { command, output } in commands(&found[3]) {
                if command.contains("() {") {
                    functions += &format!("{command}\n");
                } else if !command.starts_with("scripts/demo") {
                    let (code, printed) = place.run(&format!("{functions}{command}"), Some(&demo.address));
                    let expected = i32::from(printed.contains("urn:tributary:problem:"));
                    assert_eq!(code, Some(expected), "{directory}: {command}\n{printed}");
                    let is_clean = !command.starts_with("tributary check") || !printed.contains("warning[");
                    assert!(is_clean, "{directory}: {command}\n{printed}");
                    for line in &output {
                        let shown = normal(&printed).contains(&normal(line));
                        assert!(shown, "{directory}: {command}\nlacks {line}\n{printed}");
                    }
                    ran += 1;
                }
            }
        }
    }
    assert!(ran > 5 && files.len() > 2, "{directory}: {ran} commands, {} files", files.len());
    for name in files {
        let built = fs::read_to_string(place.path(mine).join(name)).expect("built");
        let shipped = read(&format!("{directory}/{name}"));
        if Path::new(name).extension().is_some_and(|extension| extension == "yaml") {
            assert_eq!(yaml(&built), yaml(&shipped), "{directory}/{name}");
        } else {
            assert_eq!(built, shipped, "{directory}/{name}");
        }
    }
    demo.stop();
}

/// Adds a block of a page to a file: lists grow, a key that is there is replaced; other text is appended.
fn build(file: &Path, block: &str) {
    fs::create_dir_all(file.parent().expect("a directory")).expect("made");
    let before = fs::read_to_string(file).unwrap_or_default();
    let after = if before.is_empty() {
        block.to_owned()
    } else if file.extension().is_some_and(|extension| extension == "yaml") {
        let mut whole = yaml(&before);
        for (key, value) in yaml(block).as_mapping().expect("keys") {
            match (whole.get_mut(key), value) {
                (Some(Yaml::Sequence(known)), Yaml::Sequence(more)) => known.extend(more.clone()),
                (Some(Yaml::Mapping(known)), Yaml::Mapping(more)) => known.extend(more.clone()),
                _ => drop(whole.as_mapping_mut().expect("keys").insert(key.clone(), value.clone())),
            }
        }
        serde_yaml::to_string(&whole).expect("text")
    } else {
        format!("{before}\n{block}")
    };
    fs::write(file, after).expect("written");
}

fn yaml(text: &str) -> Yaml {
    serde_yaml::from_str(text).unwrap_or_else(|error| panic!("{error}:\n{text}"))
}

/// Runs the commands of a document's console blocks, in order, against a service of its own.
async fn run_document(document: &str) {
    let databases = SampleDatabases::create().await;
    let place = Place::new(&databases);
    let text = read(document);
    if let Some(tests) = blocks(&text, "yaml").into_iter().find(|block| block.contains("\ntests:")) {
        fs::write(place.path("tests/flows/document.test.yaml"), tests).expect("written");
    }
    let mut setup = Setup::shipped().on(&databases).writing().set("ADMIN_TOKEN", "the-admin-token");
    setup.graphs = vec![place.path("graph.yaml")];
    setup.config = Some(place.path("service.yaml"));
    let app = TestApp::start(setup);
    let commands: Vec<Shown> = blocks(&text, "console").into_iter().flat_map(commands).collect();
    let (mut ran, mut functions) = (0, String::new());
    for Shown { command, output } in &commands {
        if command.contains("() {") {
            functions += &format!("{command}\n");
            continue;
        }
        if RUN_ELSEWHERE.iter().any(|(start, _)| command.starts_with(start)) {
            continue;
        }
        // The service answers while the command waits for it.
        let (place, address, line) = (place.clone(), app.address.to_string(), format!("{functions}{command}"));
        let (code, printed) =
            actix_web::web::block(move || place.run(&line, Some(&address))).await.expect("the command ends");
        // A replay that finds changes says so by its exit code.
        let expected = if printed.contains(" 1 changed, ") { 5 } else { 0 };
        assert_eq!(code, Some(expected), "{document}: {command}\n{printed}");
        for line in output.iter().filter(|line| line.trim() != "...") {
            assert!(normal(&printed).contains(&normal(line)), "{document}: {command}\nlacks {line}\n{printed}");
        }
        ran += 1;
    }
    assert!(ran > 1, "{document}: {ran} commands were run");
}

/// A directory in which the commands of a document run: the shipped files, and what `tributary demo` leaves.
#[derive(Clone)]
struct Place(std::sync::Arc<TempDir>);

impl Place {
    fn new(databases: &SampleDatabases) -> Self {
        let place = Self(std::sync::Arc::new(tempfile::tempdir().expect("a directory")));
        for directory in [".tributary", "config", "rules", "tests/flows", "tests/policies"] {
            fs::create_dir_all(place.path(directory)).expect("made");
        }
        for file in [
            "graph.yaml",
            "config/service.yaml",
            "rules/purchasing.grl",
            "rules/discounts.csv",
            "rules/purchase_order.grl",
            "tests/flows/purchasing.test.yaml",
            "tests/policies/loan.yaml",
            "tests/policies/loan.grl",
            "tests/policies/loan.test.yaml",
            "tests/policies/rates.csv",
        ] {
            fs::copy(repository().join(file), place.path(file)).expect("copied");
        }
        let variables = databases.environment().into_iter().map(|(name, value)| format!("{name}={value}\n"));
        fs::write(place.path(".tributary/env"), variables.collect::<String>()).expect("written");
        let records = place.path(".tributary/records/decisions.ndjson");
        let service = format!("mcp: {{ enabled: true }}\nrecords: {{ to: file, path: '{}' }}\n", records.display());
        fs::write(place.path("service.yaml"), service).expect("written");
        place
    }

    /// A directory with the flows to learn from, in which a demo may run.
    fn of_flows() -> Self {
        let public = fs::Permissions::from_mode(0o755);
        let directory = tempfile::Builder::new().permissions(public).tempdir().expect("a directory");
        let place = Self(std::sync::Arc::new(directory));
        fs::create_dir(place.path("config")).expect("made");
        fs::write(place.path("config/service.yaml"), PATIENT).expect("written");
        symlink(repository().join("config/flows"), place.path("config/flows")).expect("linked");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs a shell command; gives its exit code and all that it printed.
    fn run(&self, command: &str, address: Option<&str>) -> (Option<i32>, String) {
        let program = Path::new(env!("CARGO_BIN_EXE_tributary"));
        let path =
            format!("{}:{}", program.parent().expect("a directory").display(), env::var("PATH").unwrap_or_default());
        let command = command.replace("target/demo/tributary", "tributary");
        let command = address.map_or(command.clone(), |address| command.replace("localhost:8080", address));
        let output = Command::new("sh")
            .args(["-ec", &command])
            .current_dir(self.0.path())
            .env_clear()
            .env("PATH", path)
            .env("ADMIN_TOKEN", "the-admin-token")
            .output()
            .expect("a shell");
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code(), text)
    }
}

/// A command with the output that a document shows for it.
struct Shown {
    command: String,
    output: Vec<String>,
}

fn commands(block: &str) -> Vec<Shown> {
    let mut found: Vec<Shown> = Vec::new();
    for line in block.lines() {
        match (line.trim_start().strip_prefix("$ "), found.last_mut()) {
            (Some(command), _) => found.push(Shown { command: command.to_owned(), output: Vec::new() }),
            (None, Some(shown)) if shown.command.ends_with(['\\', '|']) => {
                shown.command = format!("{}\n{line}", shown.command);
            }
            (None, Some(shown)) => shown.output.push(line.to_owned()),
            (None, None) => panic!("a console block begins with its output: {block}"),
        }
    }
    found
}

/// The fenced blocks of a language.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

/// Text without differences of spacing, of moments and of the order of records.
fn normal(text: &str) -> String {
    let line = Regex::new(r"ndjson:\d+").expect("a pattern");
    let moment = Regex::new(r"\d{4}-\d\d-\d\dT[\d:.]+Z").expect("a pattern");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.replace_all(&moment.replace_all(&text, "MOMENT"), "ndjson:LINE").into_owned()
}

fn read(document: &str) -> String {
    fs::read_to_string(repository().join(document)).unwrap_or_else(|error| panic!("{document}: {error}"))
}
