//! Graphs that compile, and what their plans say.

use std::time::Duration;

use tributary::graph::{Flow, Rows, Work};

use crate::reading::{here, read};

fn accepted(name: &str) -> Flow {
    let directory = here().join("accepted");
    let text = std::fs::read_to_string(directory.join(name)).expect("readable");
    read(&directory, name, &text).unwrap_or_else(|found| panic!("{found}")).0
}

/// Each node with those it waits for.
fn dependencies(flow: &Flow) -> Vec<(&str, Vec<&str>)> {
    let name = |index: &usize| flow.nodes[*index].id.as_str();
    flow.nodes.iter().map(|node| (node.id.as_str(), node.depends_on.iter().map(name).collect())).collect()
}

#[test]
fn anchors_aliases_and_merge_keys_work_and_an_explicit_key_wins() {
    let flow = accepted("anchors_and_merge_keys.yaml");
    let queries: Vec<(String, Option<Duration>, String)> = flow
        .nodes
        .iter()
        .filter_map(|node| match &node.work {
            Work::Query(query) => Some((query.domain.to_string(), query.timeout, query.query.text().to_owned())),
            Work::Rules(_) => None,
        })
        .collect();
    assert_eq!(queries.len(), 2);
    assert_eq!((queries[1].0.as_str(), queries[1].1), ("price_db", Some(Duration::from_millis(250))));
    assert!(queries[1].2.contains("FROM prices"));
}

#[test]
fn a_flow_without_databases_compiles() {
    let flow = accepted("rules_alone.yaml");
    assert_eq!(flow.path, "/flows/fee");
    assert_eq!(dependencies(&flow), [("big", vec![])]);
}

#[test]
fn constants_and_functions_of_a_flow_are_known_to_rules_edges_and_outcomes() {
    let flow = accepted("definitions.yaml");
    let constants: Vec<&str> = flow.definitions.constants().iter().map(|constant| &*constant.name).collect();
    assert_eq!(constants, ["least_age", "regions"]);
    let functions: Vec<String> = flow.definitions.functions().iter().map(|function| function.signature()).collect();
    assert_eq!(functions, ["net(gross, rate)", "fee(gross)"]);
    let text = std::fs::read_to_string(here().join("accepted/definitions.yaml")).expect("readable");
    let page = std::fs::read_to_string(here().join("../../rules/README.md")).expect("readable");
    let block = page.split("```yaml\n").find(|block| block.starts_with("constants:")).expect("a block");
    let (block, _) = block.split_once("```").expect("its end");
    assert!(text.contains(block), "{block}");
}

#[test]
fn parameters_and_edges_make_the_order() {
    let flow = accepted("parameters_from_another_node.yaml");
    assert_eq!(dependencies(&flow), [("a", vec![]), ("b", vec!["a"]), ("c", vec!["b"])]);
    let c = &flow.nodes[2];
    assert_eq!(c.guards.len(), 1);
    assert!(
        matches!(&c.work, Work::Query(query) if query.rows == Rows::Optional && &*query.params[0].written == "b.name")
    );
}

#[test]
fn the_shipped_flow_compiles_without_a_warning() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("graph.yaml")).expect("readable");
    let (flow, warnings) = read(root, "graph.yaml", &text).unwrap_or_else(|found| panic!("{found}"));
    assert!(warnings.is_empty(), "{warnings}");
    assert_eq!((flow.name.as_str(), flow.path.as_str()), ("purchasing", "/purchasing/flow"));
    // The four queries need nothing of each other and so run side by side.
    assert_eq!(flow.nodes.iter().filter(|node| node.depends_on.is_empty()).count(), 4);
}
