//! One-character mutants of the shipped graph: each is refused with a place, or the plan says what the mutated text says.
//!
//! The text is read a second time by `serde_yaml`, independently of our parser; nodes, queries, domains,
//! outcomes and conditions must agree with it. Nothing is lost, merged or renamed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_yaml::Value as Yaml;
use tributary::diagnostics::{Place, Source};
use tributary::graph::{Flow, RuleFiles, Work};

use crate::mutants::mutants;
use crate::reading::compile_with;

/// The shipped rule files, read once.
struct Shipped(BTreeMap<String, Arc<Source>>);

impl RuleFiles for Shipped {
    fn read(&self, path: &str) -> std::io::Result<Arc<Source>> {
        self.0.get(path).cloned().ok_or_else(|| std::io::ErrorKind::NotFound.into())
    }
}

fn text<'a>(yaml: &'a Yaml, key: &str) -> Option<&'a str> {
    yaml.get(key).and_then(Yaml::as_str)
}

/// Where the plan and the independent reading disagree.
fn disagreement(flow: &Flow, yaml: &Yaml) -> Option<String> {
    if text(yaml, "flow") != Some(flow.name.as_str()) || text(yaml, "path").is_some_and(|path| path != flow.path) {
        return Some("name or path".to_owned());
    }
    let nodes = yaml.get("nodes").and_then(Yaml::as_mapping).expect("nodes");
    if nodes.len() != flow.nodes.len() {
        return Some("number of nodes".to_owned());
    }
    for node in &flow.nodes {
        let Some(written) = nodes.get(node.id.as_str()) else { return Some(format!("node {}", node.id)) };
        if text(written, "description") != node.description.as_deref() {
            return Some(format!("description of {}", node.id));
        }
        if let Work::Query(query) = &node.work {
            let domain = text(written, "database").unwrap_or("default");
            if text(written, "query") != Some(query.query.text()) || domain != query.domain.as_str() {
                return Some(format!("query of {}", node.id));
            }
        }
    }
    let outcomes = yaml.get("outcomes").and_then(Yaml::as_sequence).expect("outcomes");
    if outcomes.len() != flow.outcomes.len() {
        return Some("number of outcomes".to_owned());
    }
    for (outcome, written) in flow.outcomes.iter().zip(outcomes) {
        let when = outcome.when.as_ref().map(|when| when.text().to_owned());
        let fields = written.get("body").and_then(Yaml::as_mapping).map_or(0, serde_yaml::Mapping::len);
        if text(written, "status") != Some(&outcome.status)
            || text(written, "when").map(str::to_owned) != when
            || fields != outcome.body.len()
        {
            return Some(format!("outcome {}", outcome.status));
        }
    }
    let inputs = yaml.get("input").and_then(Yaml::as_mapping).map_or(0, serde_yaml::Mapping::len);
    (inputs != flow.inputs.fields().len()).then(|| "inputs".to_owned())
}

#[test]
fn every_one_character_mutant_of_the_shipped_graph_is_refused_or_read_as_written() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let load = |file: &str| std::fs::read_to_string(root.join(file)).expect("readable");
    let rules = ["rules/purchasing.grl", "rules/discounts.csv", "rules/purchase_order.grl"];
    let files = Shipped(rules.iter().map(|file| ((*file).to_owned(), Source::new(*file, load(file)))).collect());
    let mutants = mutants(&load("graph.yaml"));
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let (refused, read) = std::thread::scope(|scope| {
        let shares = mutants.chunks(mutants.len().div_ceil(threads));
        let sweeps: Vec<_> = shares.map(|share| scope.spawn(|| sweep(&files, share))).collect();
        let counts = sweeps.into_iter().map(|sweep| sweep.join().expect("no panic"));
        counts.fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1))
    });
    assert!(refused > 500 && read > 500, "{refused} refused, {read} read");
}

/// How many of these mutants are refused, and how many are read as written.
fn sweep(files: &Shipped, mutants: &[String]) -> (usize, usize) {
    let (mut refused, mut read) = (0, 0);
    for mutant in mutants {
        match compile_with(files, "graph.yaml", mutant) {
            Err(found) => {
                refused += 1;
                let placed = found.iter().all(|error| matches!(error.place, Place::Span(_)));
                assert!(placed && found.has_errors(), "no place: {found}\n{mutant}");
            }
            Ok((flow, _)) => {
                read += 1;
                let yaml: Yaml =
                    serde_yaml::from_str(mutant).expect("a mutant that compiles is YAML to others as well");
                if let Some(difference) = disagreement(&flow, &yaml) {
                    panic!("{difference} differs in a mutant that was not refused:\n{mutant}");
                }
            }
        }
    }
    (refused, read)
}
