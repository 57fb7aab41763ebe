//! A test file made of a real decision.
//!
//! Values are written as JSON, which is YAML: every digit stays, and no text is taken for a number.

use std::fmt::Write;
use std::path::{Component, Path, PathBuf};

use serde::Serialize;

use crate::flow::offline::rows;
use crate::flow::{Decision, FlowError, NodeEnd, NodeTrace, Trace};
use crate::graph::{Flow, Node, Rows, Work};
use crate::records::hints;
use crate::types::NodeId;

/// The text of a test file, to be written at `file`, whose one test is this run.
pub fn record(flow: &Flow, result: &Result<Decision, FlowError>, trace: &Trace, file: &Path) -> String {
    let mut text = String::new();
    let graph = relative(Path::new(flow.path_span.source().name()), file.parent().unwrap_or(Path::new("")));
    line(&mut text, &format!("# A decision of {}, to be run by `tributary test`.\n", trace.clock.now()));
    line(&mut text, &format!("graph: {}", json(&graph.display().to_string())));
    line(&mut text, &format!("flow: {}", flow.name));
    line(&mut text, &format!("clock: {}", json(&trace.clock.now().to_string())));
    let zone = trace.clock.time_zone().iana_name().unwrap_or("UTC");
    line(&mut text, &format!("time_zone: {}", json(&zone)));
    types(flow, trace, &mut text);
    line(&mut text, "\ntests:");
    let name = match result {
        Ok(decision) => decision.message.clone().unwrap_or_else(|| decision.status.clone()),
        Err(error) => error.to_string(),
    };
    line(&mut text, &format!("  - name: {}", json(&name)));
    line(&mut text, &format!("    input: {}", json(&trace.inputs)));
    answers(flow, trace, &mut text);
    expectation(flow, result, trace, &mut text);
    text
}

fn queries<'a>(flow: &'a Flow, trace: &'a Trace) -> impl Iterator<Item = (&'a Node, &'a NodeTrace)> {
    flow.nodes.iter().zip(&trace.nodes).filter(|(node, _)| matches!(node.work, Work::Query(_)))
}

fn types(flow: &Flow, trace: &Trace, text: &mut String) {
    let mut all = Vec::new();
    for (node, trace) in queries(flow, trace) {
        if let NodeEnd::Value(value) = &trace.end {
            let hints = hints(&rows(value));
            if !hints.is_empty() {
                all.push(format!("  {}: {}", node.id, json(&hints)));
            }
        }
    }
    if !all.is_empty() {
        line(text, &format!("types:\n{}", all.join("\n")));
    }
}

fn answers(flow: &Flow, trace: &Trace, text: &mut String) {
    let (mut given, mut failed) = (Vec::new(), Vec::new());
    for (node, trace) in queries(flow, trace) {
        let one = matches!(&node.work, Work::Query(query) if query.rows != Rows::Many);
        match &trace.end {
            NodeEnd::Value(value) if one && !value.is_null() => {
                given.push(format!("      {}: {}", node.id, json(value)));
            }
            NodeEnd::Value(value) => given.push(format!("      {}: {}", node.id, json(&rows(value)))),
            NodeEnd::WrongRows(0) => failed.push(format!("      {}: no_rows", node.id)),
            NodeEnd::Degraded { code, .. } | NodeEnd::Failed(code) => failed.push(format!("      {}: {code}", node.id)),
            NodeEnd::Unfinished => failed.push(format!("      {}: unanswered", node.id)),
            NodeEnd::WrongRows(_) | NodeEnd::NotStarted | NodeEnd::Skipped(_) | NodeEnd::Unknown(_) => {}
        }
    }
    for (key, lines) in [("rows", given), ("fail", failed)] {
        if !lines.is_empty() {
            line(text, &format!("    {key}:\n{}", lines.join("\n")));
        }
    }
}

fn expectation(flow: &Flow, result: &Result<Decision, FlowError>, trace: &Trace, text: &mut String) {
    line(text, "    expect:");
    match result {
        Ok(decision) => {
            line(text, &format!("      status: {}", json(&decision.status)));
            if let Some(message) = &decision.message {
                line(text, &format!("      message: {}", json(message)));
            }
            if !decision.body.is_empty() {
                line(text, "      body:");
            }
            for (name, value) in &decision.body {
                line(text, &format!("        {}: {}", json(name), json(value)));
            }
            if !decision.degraded.is_empty() {
                line(text, &format!("      degraded: {}", json(&decision.degraded)));
            }
        }
        Err(error) => {
            line(text, &format!("      error: {}", error.code()));
            if let Some(node) = error.node() {
                line(text, &format!("      node: {node}"));
            }
        }
    }
    let fired: Vec<(&NodeId, Vec<String>)> = flow
        .nodes
        .iter()
        .zip(&trace.nodes)
        .filter(|(_, trace)| matches!(trace.end, NodeEnd::Value(_)))
        .filter_map(|(node, trace)| match &node.work {
            Work::Rules(rules) => {
                let names: Vec<String> = rules.ruleset.rules().map(|rule| rule.name.to_owned()).collect();
                Some((&node.id, trace.fired.iter().filter_map(|rule| names.get(*rule).cloned()).collect()))
            }
            Work::Query(_) => None,
        })
        .collect();
    if !fired.is_empty() {
        line(text, "      fired:");
    }
    for (node, rules) in fired {
        line(text, &format!("        {node}: {}", json(&rules)));
    }
}

fn json<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn line(text: &mut String, line: &str) {
    // Writing to a text cannot fail.
    writeln!(text, "{line}").unwrap_or_default();
}

/// `path` as it is named from `directory`; both are as seen from where the process runs.
fn relative(path: &Path, directory: &Path) -> PathBuf {
    if path.is_absolute() {
        return path.to_owned();
    }
    if directory.is_absolute() {
        return std::env::current_dir().map_or_else(|_| path.to_owned(), |here| here.join(path));
    }
    let plain = |path: &Path| -> Vec<_> {
        path.components().filter(|part| *part != Component::CurDir).map(|part| part.as_os_str().to_owned()).collect()
    };
    let (path, directory) = (plain(path), plain(directory));
    let shared = path.iter().zip(&directory).take_while(|(a, b)| a == b).count();
    let up = directory.iter().skip(shared).map(|_| std::ffi::OsString::from(".."));
    up.chain(path.iter().skip(shared).cloned()).collect()
}
