//! Flow files from disk: single ones, and directories of them.

use std::path::{Path, PathBuf};

use super::compile::{Beside, Context, compile};
use super::plan::Flow;
use crate::diagnostics::{Diagnostic, Diagnostics, Place, Source};

/// Compiles the flows at `paths`: files, or directories whose `*.yaml` and `*.yml` files (but no `*.test.yaml`) are all
/// flows.
///
/// # Errors
/// Everything that is wrong with any of them; beside flows, their warnings.
pub fn load(paths: &[PathBuf], context: &Context<'_>) -> Result<(Vec<Flow>, Diagnostics), Diagnostics> {
    let mut found = Diagnostics::new();
    let mut flows: Vec<Flow> = Vec::new();
    for path in files(paths, &mut found) {
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => {
                found.push(unreadable(&path, &error));
                continue;
            }
        };
        let directory = path.parent().unwrap_or(Path::new(""));
        match compile(&Source::new(path.display().to_string(), text), &Beside(directory), context) {
            Ok((flow, warnings)) => {
                found.extend(warnings);
                refuse_twin(&flow, &flows, &mut found);
                flows.push(flow);
            }
            Err(errors) => found.extend(errors),
        }
    }
    found.into_result(flows)
}

/// The files at `paths`, directories opened, in order.
fn files(paths: &[PathBuf], found: &mut Diagnostics) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        match std::fs::read_dir(path) {
            Ok(entries) => {
                let mut inside: Vec<PathBuf> =
                    entries.flatten().map(|entry| entry.path()).filter(|path| is_flow(path)).collect();
                inside.sort();
                if inside.is_empty() {
                    let place = Place::File(path.display().to_string());
                    found.push(Diagnostic::error("no-flows", place, "the directory holds no flow files (*.yaml)"));
                }
                files.extend(inside);
            }
            Err(error) => found.push(unreadable(path, &error)),
        }
    }
    files.dedup();
    files
}

fn is_flow(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
    let yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    yaml && path.is_file() && !name.contains(".test.")
}

fn unreadable(path: &Path, error: &std::io::Error) -> Diagnostic {
    let message = format!("the file cannot be read: {error}");
    let place = Place::File(path.display().to_string());
    Diagnostic::error("unreadable-file", place, message).help("name the flow file with --graph")
}

/// Two flows of one name or path could not be told apart.
fn refuse_twin(flow: &Flow, before: &[Flow], found: &mut Diagnostics) {
    for other in before {
        let same = if other.name == flow.name {
            format!("name `{}`", flow.name)
        } else if other.path == flow.path {
            format!("path `{}`", flow.path)
        } else {
            continue;
        };
        let error = Diagnostic::error("duplicate-flow", &flow.path_span, format!("two flows have the {same}"));
        found.push(
            error
                .related(other.path_span.clone(), "the other one")
                .help("each flow needs a name and a path of its own"),
        );
    }
}
