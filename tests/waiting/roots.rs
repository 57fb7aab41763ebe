//! What `undecided` names: the facts at the root, the rules that would have set them, and why these did not fire.

use serde_json::{Value as Json, json};

use crate::flows::{Written, ends, run, undecided, written};

/// The missing facts and the message of a decision that is undecided.
fn missing(flow: &Written, inputs: &str, rows: &[(&str, &str)]) -> (Json, String) {
    let found = undecided(ends(&flow.flow(), inputs, rows, &run()));
    (serde_json::to_value(&found.missing).unwrap(), found.to_string())
}

const PRICING: &str = r#"rule "Margin" no-loop { when cost > 0 then margin = (price - cost) / cost; }"#;
const APPROVAL: &str = r#"rule "Approve" no-loop { when pricing.margin > 0.1 then ok = true; }
rule "Reject" no-loop { when pricing.margin <= 0.1 then ok = false; }"#;

fn chain(more_nodes: &str, edges: &str, outcomes: &str) -> Written {
    let graph = format!(
        "flow: chain\ninput: {{ cost: {{ type: decimal }}, price: {{ type: decimal }} }}\nnodes:\n  \
         pricing: {{ type: RuleNode, rules: pricing.grl }}\n  \
         approval: {{ type: RuleNode, rules: approval.grl, dependencies: [pricing] }}\n{more_nodes}{edges}outcomes:\n{outcomes}"
    );
    let last = r#"rule "Ship" no-loop { when good then shipped = true; }
rule "Keep" no-loop { when !good then shipped = false; }"#;
    written(&graph, &[("pricing.grl", PRICING), ("approval.grl", APPROVAL), ("last.grl", last)])
}

const BY_MARGIN: &str = "  - { status: approved, when: approval.ok }\n  - { status: rejected, when: '!approval.ok' }\n";

fn margin() -> Json {
    json!([{
        "fact": "pricing.margin",
        "set_by": ["Margin"],
        "because": ["rule `Margin` did not fire: `cost > 0` is false"],
    }])
}

const FREE: &str = r#"{"cost": 0, "price": 5}"#;

#[test]
fn the_fact_that_no_rule_set_is_named_with_its_rule_and_why_that_did_not_fire() {
    let (found, message) = missing(&chain("", "", BY_MARGIN), FREE, &[]);
    assert_eq!(found, margin());
    assert_eq!(
        message,
        "the outcome `approved` is undecided; missing: `pricing.margin`, which rule `Margin` would have set \
         (`cost > 0` is false); waiting rules: `Approve` of `approval`, `Reject` of `approval`"
    );
}

#[test]
fn a_chain_of_nodes_is_followed_through_mapped_facts_guards_and_parameters() {
    let mapped = "  last: { type: RuleNode, rules: last.grl, field_mappings: { good: approval.ok } }\n";
    let by_last = "  - { status: shipped, when: last.shipped }\n  - { status: kept, when: '!last.shipped' }\n";
    assert_eq!(missing(&chain(mapped, "", by_last), FREE, &[]).0, margin(), "mapped");

    let guarded = "  last: { type: RuleNode, rules: last.grl, dependencies: [approval], facts: { good: true } }\n";
    let edge = "edges:\n  - { from: approval, to: last, rule: approval.ok }\n";
    assert_eq!(missing(&chain(guarded, edge, by_last), FREE, &[]).0, margin(), "guard");

    let query = "  stock: { type: DBNode, database: s_db, query: \"SELECT qty FROM s WHERE ok = $1\", params: [approval.ok], rows: optional }\n";
    let by_stock = "  - { status: there, when: stock.qty > 0 }\n  - { status: gone, when: stock.qty == 0 }\n";
    assert_eq!(missing(&chain(query, "", by_stock), FREE, &[]).0, margin(), "parameter");
    // A fact in the answer.
    let body = "  - { status: done, when: 'true', body: { ok: approval.ok } }\n";
    assert_eq!(missing(&chain("", "", body), FREE, &[]).0, margin(), "body");
}

#[test]
fn a_skipped_node_is_named_with_the_condition_that_skipped_it() {
    let last = "  last: { type: RuleNode, rules: last.grl, dependencies: [approval], facts: { good: true } }\n";
    let edge = "edges:\n  - { from: approval, to: last, rule: approval.ok }\n";
    let by_last = "  - { status: shipped, when: last.shipped }\n";
    let skipped = json!([{
        "fact": "last.shipped",
        "because": ["node `last` was skipped: `approval.ok` is false"],
    }]);
    let rejected = r#"{"cost": 5, "price": 5}"#;
    let (found, message) = missing(&chain(last, edge, by_last), rejected, &[]);
    assert_eq!(found, skipped);
    assert_eq!(
        message,
        "no outcome could be decided; without a value: `last.shipped` (node `last` was skipped: `approval.ok` is false)"
    );
    let body = "  - { status: done, when: 'true', body: { shipped: last.shipped } }\n";
    assert_eq!(missing(&chain(last, edge, body), rejected, &[]).0, skipped, "body");

    // A node behind the skipped one.
    let both = format!("{last}  after: {{ type: RuleNode, condition: last.shipped, dependencies: [last] }}\n");
    let edges = format!("{edge}  - {{ from: last, to: after, rule: last.shipped }}\n");
    let by_after = "  - { status: done, when: after.result }\n";
    assert_eq!(missing(&chain(&both, &edges, by_after), rejected, &[]).0, skipped, "edge behind a skipped node");

    let query = format!(
        "{last}  stock: {{ type: DBNode, database: s_db, query: \"SELECT qty FROM s WHERE ok = $1\", params: [last.shipped] }}\n"
    );
    let by_stock = "  - { status: there, when: stock.qty > 0 }\n";
    assert_eq!(missing(&chain(&query, edge, by_stock), rejected, &[]).0, skipped, "parameter of a skipped node");
}

#[test]
fn a_row_that_was_not_found_a_date_and_an_allowed_wait_are_reasons_too() {
    let graph = "
flow: rows
input: { id: { type: integer } }
nodes:
  customer: { type: DBNode, database: c_db, query: \"SELECT segment FROM c WHERE id = $1\", params: [input.id], rows: optional }
  terms: { type: RuleNode, rules: terms.grl, dependencies: [customer] WAITING }
  sum: { type: RuleNode, condition: terms.discount > 2 }
outcomes:
  - { status: special, when: sum.result }
";
    let terms = r#"rule "Known" no-loop { when customer.segment != null && customer.segment == "x" then discount = 1; }
rule "New" no-loop date-effective "2030-01-01" { when true then discount = 2; }
rule "Old" no-loop date-expires "2020-01-01" { when true then discount = 3; }"#;
    let expected = json!([{
        "fact": "terms.discount",
        "set_by": ["Known", "New", "Old"],
        "because": [
            "rule `Known` did not fire: `customer.segment != null` is false",
            "rule `New` did not fire: its date-effective has not come",
            "rule `Old` did not fire: its date-expires has come",
        ],
    }]);
    for waiting in ["", ", waiting: allow"] {
        let flow = written(&graph.replace(" WAITING", waiting), &[("terms.grl", terms)]);
        assert_eq!(missing(&flow, r#"{"id": 1}"#, &[("customer", "[]")]).0, expected, "{waiting}");
    }
}
