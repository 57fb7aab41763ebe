//! The section of the language reference about tables says what is true.

use std::fs;
use std::path::Path;

use tributary::grl::HitPolicy;
use tributary::types::Value;

use crate::reading::{evaluate, hit, json, table};

fn section() -> String {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/README.md")).unwrap();
    let from = page.split("\n## Decision tables\n").nth(1).unwrap();
    from.split("\n## ").next().unwrap().to_owned()
}

/// The texts between backticks.
fn codes(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_condition_cell_matches_what_the_page_says() {
    let page = section();
    let mut tried = 0;
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        let columns: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [cells, matching, others] = columns.as_slice() else { continue };
        for cell in codes(cells) {
            let rates = table(&format!("when quantity;then hit\n{cell};1\n"), &hit(HitPolicy::Unique));
            for (values, expected) in [(matching, 1), (others, 0)] {
                for value in codes(values) {
                    let inputs = [("quantity", Some(json(value))), ("limit", Some(json("7")))];
                    assert_eq!(evaluate(&rates, &inputs).unwrap().fired.len(), expected, "{cell} of {value}");
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 25, "{tried} values");
}

#[test]
fn the_example_gives_what_it_seems_to() {
    let page = section();
    let text = page.split("```csv\n").nth(1).unwrap().split("```").next().unwrap();
    let rates = table(text, &hit(HitPolicy::First));
    for (quantity, region, expected) in [
        (100, "EU", r#"{"discount": 0.1, "label": "bulk order"}"#),
        (10, "UK", r#"{"discount": 0.05, "label": "some"}"#),
        (10, "US", r#"{"discount": 0, "label": "none"}"#),
        (1, "JP", "{}"),
    ] {
        let inputs = [("quantity", Some(Value::Integer(quantity))), ("region", Some(Value::text(region)))];
        assert_eq!(evaluate(&rates, &inputs).unwrap().facts, json(expected), "{quantity} {region}");
    }
}

#[test]
fn every_hit_policy_is_described() {
    let page = section();
    for policy in
        ["unique", "any", "first", "priority", "rule_order", "collect", "output_order", "sum", "min", "max", "count"]
    {
        let row = page
            .lines()
            .find(|line| line.starts_with("| ") && line.split('|').nth(1).is_some_and(|names| names.contains(policy)));
        assert!(row.is_some(), "{policy}");
    }
}
