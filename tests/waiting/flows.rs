//! Flows whose graph and rules are written in a test, and their results.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tributary::config::Env;
use tributary::diagnostics::{Diagnostics, Source};
use tributary::flow::offline::{Answers, OfflineEngines, StubResponse, decide};
use tributary::flow::{Detail, FlowError, Report, RunOptions, Undecided};
use tributary::graph::{Context, Flow, RuleFiles, compile};
use tributary::grl;
use tributary::types::{Clock, Deadline, NodeId, Value};

/// The text of a graph and of its rule files.
#[derive(Debug, Clone)]
pub struct Written {
    pub graph: String,
    pub files: BTreeMap<String, String>,
}

impl RuleFiles for Written {
    fn read(&self, path: &str) -> std::io::Result<Arc<Source>> {
        let text = self.files.get(path).ok_or_else(|| std::io::Error::other("no such file"))?;
        Ok(Source::new(path, text.clone()))
    }
}

/// A graph with rule files: pairs of a name and a text.
pub fn written(graph: &str, files: &[(&str, &str)]) -> Written {
    let files = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    Written { graph: graph.to_owned(), files }
}

impl Written {
    pub fn compile(&self) -> Result<(Flow, Diagnostics), Diagnostics> {
        let env = Env::default();
        let context = Context::new(&env);
        compile(&Source::new("graph.yaml", self.graph.clone()), self, &context)
    }

    pub fn flow(&self) -> Flow {
        match self.compile() {
            Ok((flow, _)) => flow,
            Err(errors) => panic!("{}", tributary::diagnostics::render_json(&errors)),
        }
    }

    /// The codes of its warnings or errors.
    pub fn codes(&self) -> Vec<&'static str> {
        let found = match self.compile() {
            Ok((_, warnings)) => warnings,
            Err(errors) => errors,
        };
        found.into_iter().map(|diagnostic| diagnostic.code).collect()
    }

    /// The report for `inputs` (JSON) and the rows of its databases (pairs of a node and JSON rows).
    pub fn ends(&self, inputs: &str, rows: &[(&str, &str)]) -> Report {
        ends(&self.flow(), inputs, rows, &run())
    }

    /// The status of the answer, or the code of the error.
    pub fn ending(&self, inputs: &str) -> String {
        ending(&self.ends(inputs, &[]))
    }

    /// Why it is undecided.
    pub fn undecided(&self, inputs: &str) -> Undecided {
        undecided(self.ends(inputs, &[]))
    }
}

pub fn run() -> RunOptions {
    let clock = Clock::fixed("2026-03-04T05:06:07Z".parse().unwrap(), jiff::tz::TimeZone::UTC);
    RunOptions { detail: Detail::Reasons, ..RunOptions::new(clock, Deadline::after(Duration::from_secs(60))) }
}

pub fn answers(rows: &[(&str, &str)]) -> Answers {
    let response = |json: &str| {
        let rows: Vec<serde_json::Value> = serde_json::from_str(json).unwrap();
        StubResponse::Rows { rows: rows.iter().map(|row| Value::from_json(row).unwrap()).collect(), params: None }
    };
    rows.iter().map(|(node, json)| (NodeId::parse(node).unwrap(), response(json))).collect()
}

pub fn ends(flow: &Flow, inputs: &str, rows: &[(&str, &str)], run: &RunOptions) -> Report {
    let inputs = flow.inputs.parse_json(inputs.as_bytes()).expect("inputs that fit");
    decide(flow, inputs, &answers(rows), run, &OfflineEngines::new(grl::Limits::default()))
        .expect("an answer for each query")
}

pub fn ending(report: &Report) -> String {
    match &report.result {
        Ok(decision) => decision.status.clone(),
        Err(error) => error.code().to_owned(),
    }
}

pub fn undecided(report: Report) -> Undecided {
    match report.result {
        Err(FlowError::Undecided(why)) => *why,
        other => panic!("it is not undecided: {other:?}"),
    }
}

/// The missing facts, and the waiting rules as `node.rule`.
pub fn names(why: &Undecided) -> (Vec<String>, Vec<String>) {
    let missing = why.missing.iter().map(|missing| missing.fact.clone()).collect();
    (missing, why.waiting.iter().map(|rule| format!("{}.{}", rule.node, rule.rule)).collect())
}
