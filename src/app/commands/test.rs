//! `tributary test`: flow tests, run without databases.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Exit, plural, refuse, report, with_diagnostics};
use crate::app::cli::{Files, Format, Test as Arguments};
use crate::app::project::Project;
use crate::diagnostics::{Diagnostic, Diagnostics, Place};
use crate::flowtests::{Coverage, Outcome, Suite, junit, run};

pub(super) fn execute(arguments: &Arguments) -> anyhow::Result<Exit> {
    let files = Files { graphs: Vec::new(), config: arguments.config.clone(), env_file: None };
    let mut found = Diagnostics::new();
    let suites = match files.sources(None) {
        Ok(sources) => {
            let paths = test_files(&arguments.paths, &mut found);
            Project::suites(&sources, &paths, &mut found)
        }
        Err(complaints) => {
            found.extend(complaints);
            None
        }
    };
    let Some((suites, limits)) = suites.filter(|_| !found.has_errors()) else {
        return Ok(refuse(&found, arguments.format)?);
    };
    if arguments.format == Format::Text {
        report(&found)?;
    }
    let wanted = |name: &str| arguments.filter.as_deref().is_none_or(|filter| name.contains(filter));
    let (outcomes, coverage) = run(&suites, &limits, wanted);
    if let Some(path) = &arguments.junit {
        std::fs::write(path, junit(&suites, &outcomes)?)?;
    }
    match arguments.format {
        Format::Text => print(&suites, &outcomes, &coverage)?,
        Format::Json => print_json(&suites, &outcomes, &coverage, &found)?,
    }
    let enough = arguments.min_coverage.is_none_or(|least| coverage.percent() >= usize::from(least));
    if !enough {
        writeln!(
            std::io::stderr(),
            "{} % is covered; {} % is asked for",
            coverage.percent(),
            arguments.min_coverage.unwrap_or(0)
        )?;
    }
    if outcomes.is_empty() {
        writeln!(std::io::stderr(), "no test was run")?;
    }
    let passed = outcomes.iter().all(Outcome::passed) && !outcomes.is_empty();
    Ok(if passed && enough { Exit::Success } else { Exit::Refused })
}

/// The test files at `paths`, directories opened and all below them, in order.
fn test_files(paths: &[PathBuf], found: &mut Diagnostics) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let before = files.len();
            inside(path, &mut files);
            if files.len() == before {
                let place = Place::File(path.display().to_string());
                found.push(Diagnostic::error("no-tests", place, "the directory holds no test files (*.test.yaml)"));
            }
        } else {
            files.push(path.clone());
        }
    }
    files
}

fn inside(directory: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    let mut entries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
        if path.is_dir() {
            inside(&path, files);
        } else if name.ends_with(".test.yaml") || name.ends_with(".test.yml") {
            files.push(path);
        }
    }
}

fn print(suites: &[Suite], outcomes: &[Outcome], coverage: &Coverage) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for (number, suite) in suites.iter().enumerate() {
        writeln!(out, "{}", suite.name)?;
        for outcome in outcomes.iter().filter(|outcome| outcome.suite == number) {
            let Some(test) = suite.tests.get(outcome.test) else { continue };
            if outcome.passed() {
                writeln!(out, "  ok    {}", test.name)?;
                continue;
            }
            writeln!(out, "  FAIL  {}  ({})", test.name, test.span)?;
            for mismatch in &outcome.mismatches {
                writeln!(out, "          {}", mismatch.what)?;
                writeln!(out, "            expected  {}", mismatch.expected)?;
                writeln!(out, "            found     {}", mismatch.found)?;
                for because in &mismatch.because {
                    writeln!(out, "            because   {because}")?;
                }
            }
        }
    }
    writeln!(out, "\ncoverage: {} %", coverage.percent())?;
    for (kind, (seen, all)) in coverage.kinds() {
        let sides = if kind == "outcome" { "" } else { " sides" };
        writeln!(out, "  {kind}s: {seen} of {all}{sides}")?;
    }
    for uncovered in coverage.uncovered() {
        writeln!(out, "  not covered: {}  ({})", uncovered.what, uncovered.place)?;
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.passed()).count();
    writeln!(out, "\n{}: {} passed, {failed} failed", plural(outcomes.len(), "test"), outcomes.len() - failed)?;
    Ok(())
}

fn print_json(suites: &[Suite], outcomes: &[Outcome], coverage: &Coverage, found: &Diagnostics) -> anyhow::Result<()> {
    let tests = outcomes.iter().filter_map(|outcome| {
        let suite = suites.get(outcome.suite)?;
        let test = suite.tests.get(outcome.test)?;
        let mismatches = outcome.mismatches.iter().map(|mismatch| {
            json!({ "what": mismatch.what, "expected": mismatch.expected, "found": mismatch.found, "because": mismatch.because })
        });
        Some(json!({
            "file": suite.name, "test": test.name, "place": test.span.to_string(), "passed": outcome.passed(),
            "mismatches": mismatches.collect::<Vec<_>>(),
        }))
    });
    let document = json!({
        "tests": tests.collect::<Vec<_>>(),
        "coverage": { "percent": coverage.percent(), "uncovered": coverage.uncovered() },
    });
    writeln!(std::io::stdout(), "{}", with_diagnostics(document, found))?;
    Ok(())
}
