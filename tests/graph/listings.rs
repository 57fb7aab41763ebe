//! The rules of flows as they are listed for review, and the schema of the listing.

use std::path::Path;

use serde_json::Value as Json;
use tributary::graph::Flow;
use tributary::graph::listing::Listing;

use crate::pictures::assert_file_of;
use crate::reading::{here, read};

fn flow(directory: &Path, name: &str) -> Flow {
    let text = std::fs::read_to_string(directory.join(name)).expect("readable");
    read(directory, name, &text).unwrap_or_else(|found| panic!("{found}")).0
}

fn assert_listed(flow: &Flow, name: &str) {
    let mut listing = Listing::of([flow]);
    for flow in &mut listing.flows {
        assert!(flow.graph_version.len() == 16 && flow.rules_version.len() == 16);
        (flow.graph_version, flow.rules_version) = ("0123456789abcdef".to_owned(), "fedcba9876543210".to_owned());
    }
    assert_file_of("listings", &format!("{name}.txt"), &listing.text());
    assert_file_of("listings", &format!("{name}.md"), &listing.markdown());
    let document = serde_json::to_value(&listing).expect("JSON");
    assert_file_of("listings", &format!("{name}.json"), &format!("{document:#}\n"));
    let schema: Json = serde_json::from_str(&Listing::schema()).expect("JSON");
    assert!(jsonschema::meta::is_valid(&schema), "{:?}", jsonschema::meta::validate(&schema));
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let errors: Vec<String> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
}

#[test]
fn the_shipped_rules_are_listed_as_they_are_published() {
    assert_listed(&flow(Path::new(env!("CARGO_MANIFEST_DIR")), "graph.yaml"), "purchasing");
}

#[test]
fn everything_that_is_written_about_rules_and_tables_is_listed() {
    assert_listed(&flow(&here().join("listings"), "policy.yaml"), "policy");
}
