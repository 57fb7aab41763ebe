//! The language reference says what is true: each of its examples is run.

use std::collections::BTreeMap;

use regex::Regex;
use tributary::grl::{Expression, ExpressionKind, FactRef, Facts, Limits, Lookup, Owner, Ruleset};
use tributary::types::Value;

use crate::purchasing::{clock, file, read, scope};

/// The rows that the reference describes.
struct Rows(BTreeMap<Owner, Value>);

impl Facts for Rows {
    fn read(&self, fact: &FactRef) -> Lookup {
        let owner = self.0.get(&fact.owner);
        owner.and_then(|row| row.at(fact.path.iter().map(|name| &**name))).map_or(Lookup::Missing, Lookup::Value)
    }
}

fn rows() -> Rows {
    let json = |text: &str| Value::from_json(&serde_json::from_str(text).unwrap()).unwrap();
    let supplier = r#"{"supplier_name": "Acme", "unit_price": 15.50, "moq": 550, "lead_time": 7, "is_active": true}"#;
    let Value::Map(supplier) = json(supplier) else { panic!("a row is a map") };
    let since = ("since".into(), Value::Date("2026-01-31".parse().unwrap()));
    let supplier = supplier.iter().map(|(name, value)| (name.clone(), value.clone())).chain([since]);
    let lines = r#"[{"sku": "a", "qty": 2, "price": 9.99, "open": true}, {"sku": "b", "qty": 3, "price": 1.50, "open": false}]"#;
    Rows(BTreeMap::from([
        (Owner::Node(1), json(r#"{"warehouse_location": null, "available_qty": 300}"#)),
        (Owner::Node(2), Value::map(supplier)),
        (Owner::Node(3), json(lines)),
    ]))
}

/// The cells of the page's table rows, as they are shown.
fn table_rows(page: &str) -> Vec<Vec<String>> {
    let rows = page.lines().filter(|line| line.starts_with('|'));
    rows.map(|line| {
        let cells = line.replace("\\|", "\u{1}");
        cells.trim_matches('|').split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect()
    })
    .collect()
}

/// The text of a cell that is all code.
fn code(cell: &str) -> Option<&str> {
    cell.strip_prefix('`')?.strip_suffix('`').filter(|code| !code.contains('`'))
}

#[test]
fn every_example_has_the_value_that_the_reference_says() {
    let page = read("rules/README.md");
    // The last table has constructs of another dialect.
    let page = page.split_once("## For those who know").expect("the heading").0;
    let mut examples = 0;
    for cells in table_rows(page).iter().filter(|cells| [2, 4].contains(&cells.len())) {
        let [.., expression, value] = cells.as_slice() else { continue };
        let (Some(expression), Some(expected)) = (code(expression), code(value)) else { continue };
        if expected.starts_with("rules.limits.") {
            continue;
        }
        let (compiled, warnings) =
            Expression::compile(&file("example", expression), &scope(), ExpressionKind::Value, &Limits::default())
                .unwrap_or_else(|found| panic!("{found}"));
        assert!(warnings.is_empty(), "{warnings}");
        let shown = match compiled.evaluate(&rows(), &clock()).unwrap().unwrap() {
            Value::Text(text) => format!("\"{text}\""),
            other => other.to_string(),
        };
        assert_eq!(shown, expected, "{expression}");
        examples += 1;
    }
    assert!(examples > 40, "{examples} examples");
}

#[test]
fn every_function_has_a_row_and_an_example() {
    let found =
        Expression::compile(&file("all", "zzzzzzzzzzzz(1)"), &scope(), ExpressionKind::Value, &Limits::default())
            .unwrap_err();
    let help = found.iter().next().unwrap().help.clone().unwrap();
    let functions: Vec<&str> = help.strip_prefix("the functions are: ").unwrap().split(", ").collect();
    assert!(functions.len() > 25, "{functions:?}");
    let rows = table_rows(&read("rules/README.md"));
    for function in functions {
        let call = Regex::new(&format!(r"\b{function}\(")).unwrap();
        let documented = rows.iter().any(|cells| {
            cells.len() == 4 && cells[0].starts_with(&format!("`{function}(")) && call.is_match(&cells[2])
        });
        assert!(documented, "`{function}` has no row with an example");
    }
}

#[test]
fn every_rule_in_the_reference_loads() {
    let page = read("rules/README.md");
    let blocks: Vec<&str> = page.split("```grl\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() >= 5, "{}", blocks.len());
    let policy = read("tests/policies/loan.grl");
    let is_tested = |block: &&str| block.split_inclusive("}\n").all(|part| policy.contains(part));
    for block in blocks.into_iter().filter(|block| !is_tested(block)) {
        Ruleset::compile("node", &[file("block.grl", block)], &scope(), &[], &Limits::default())
            .unwrap_or_else(|found| panic!("{found}"));
    }
}

#[test]
fn the_limits_are_those_of_the_code() {
    let (page, limits) = (read("rules/README.md"), Limits::default());
    for row in [
        format!("| the size of a file | {} MiB |", limits.max_file_bytes >> 20),
        format!("| {}, never more than 250 | `rules.limits.nesting` |", limits.max_nesting),
        format!("| rules of a node | {} |", thousands(limits.max_rules)),
        format!("| operands of one expression | {} |", thousands(limits.max_terms)),
        format!("| passes over the rules | {} |", limits.max_cycles),
        format!("| time for one evaluation | {} s |", limits.max_evaluation.as_secs()),
    ] {
        assert!(page.contains(&row), "{row}");
    }
}

#[test]
fn the_policy_of_the_reference_is_the_one_that_is_tested() {
    let page = read("rules/README.md");
    let (_, section) = page.split_once("## A policy from beginning to end").expect("the heading");
    let (section, _) = section.split_once("\n## ").expect("the next heading");
    let files: String =
        ["loan.yaml", "loan.grl", "rates.csv"].map(|name| read(&format!("tests/policies/{name}"))).concat();
    let blocks = section.split("```").skip(1).step_by(2).filter(|block| !block.starts_with("console"));
    let blocks: Vec<&str> = blocks.collect();
    assert_eq!(blocks.len(), 5);
    for block in blocks {
        let (_, text) = block.split_once('\n').expect("a block has lines");
        let rules: Vec<&str> = text.split_inclusive("}\n").collect();
        let parts = if block.starts_with("grl") { rules } else { vec![text] };
        assert!(parts.iter().all(|part| files.contains(part)), "{text}");
    }
}

fn thousands(number: usize) -> String {
    format!("{},{:03}", number / 1000, number % 1000)
}
