//! Reads flow files and directories of flow files from disk.

use std::path::{Path, PathBuf};

use super::compile::{Beside, Context, compile};
use super::plan::Flow;
use crate::diagnostics::{Diagnostic, Diagnostics, Place, Source};

/// Compiles the flows at `paths`: files, or directories whose `*.yaml` and `*.yml` files (but no `*.test.yaml`) are all
/// flows.
///
/// # Errors
/// All errors; flows come with their warnings.
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
                let mut inside = Vec::new();
                for entry in entries {
                    match entry {
                        Ok(entry) if is_flow(&entry.path()) => inside.push(entry.path()),
                        Ok(_) => {}
                        Err(error) => found.push(unreadable(path, &error)),
                    }
                }
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

/// Whether the name of `path` is that of a flow file. A file that cannot be read, or a dangling link, is an error later.
fn is_flow(path: &Path) -> bool {
    let is_test = path.file_name().is_some_and(|name| name.to_string_lossy().contains(".test."));
    let is_yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    is_yaml && !is_test && !path.is_dir()
}

fn unreadable(path: &Path, error: &std::io::Error) -> Diagnostic {
    let message = format!("the file cannot be read: {error}");
    let place = Place::File(path.display().to_string());
    let help = match std::fs::read_link(path) {
        Ok(target) if !path.exists() => format!("it is a link to `{}`, which does not exist", target.display()),
        _ => "name the flow file with --graph".to_owned(),
    };
    Diagnostic::error("unreadable-file", place, message).help(help)
}

/// Refuses two flows of one name or path.
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
