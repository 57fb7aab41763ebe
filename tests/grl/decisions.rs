//! What the shipped rules decide, row by row: the three products, each boundary, and a NULL in every column.

use std::sync::Arc;
use std::time::Duration;

use tributary::grl::{Engine, FactRef, Limits, Lookup, Owner, RuleError, Ruleset};
use tributary::types::{Deadline, Value};

use crate::purchasing::{clock, decision_rules, discounts, file, order_scope, read};

/// A product's rows, changed by `change` (JSON of the columns that differ), and what the rules make of them.
struct Product(serde_json::Value);

impl Product {
    fn new(demand: &str, available: &str, price: &str, moq: &str, lead_time: i64) -> Self {
        let text = format!(
            r#"{{"oms_history": {{"product_id": "P", "avg_daily_demand": {demand}, "trend": "stable"}},
                 "inventory_levels": {{"product_id": "P", "available_qty": {available}, "reserved_qty": 0, "warehouse_location": "A"}},
                 "supplier_info": {{"product_id": "P", "supplier_name": "S", "unit_price": {price}, "moq": {moq},
                                    "lead_time": {lead_time}, "is_active": true}}}}"#
        );
        Self(serde_json::from_str(&text).unwrap())
    }

    fn with(mut self, node: &str, column: &str, value: serde_json::Value) -> Self {
        self.0[node][column] = value;
        self
    }

    fn facts(&self) -> Result<(Value, Value), RuleError> {
        let decided = self.run(decision_rules(), &[])?;
        // The edge to the table of discounts.
        let is_ordered = shown(&decided, &["need_reorder", "supplier_active"]) == ["true", "true"];
        let skipped = || Value::from_json(&serde_json::json!({})).unwrap();
        let discount = if is_ordered { self.run(discounts(), &[&decided])? } else { skipped() };
        let rules = [file("rules/purchase_order.grl", &read("rules/purchase_order.grl"))];
        let (rules, _) = Ruleset::compile("create_po", &rules, &order_scope(), &[], &Limits::default()).unwrap();
        let order = self.run(rules, &[&decided, &discount])?;
        Ok((decided, order))
    }

    /// What these rules make of the rows, and of the facts of the nodes of rules before them.
    fn run(&self, ruleset: Ruleset, before: &[&Value]) -> Result<Value, RuleError> {
        let reads: Vec<Lookup> = ruleset.reads().iter().map(|fact| self.read(fact, before)).collect();
        let mut engine = Engine::new(Arc::new(ruleset), &Limits::default())?;
        engine.evaluate(&reads, &clock(), Deadline::after(Duration::from_secs(5))).map(|evaluation| evaluation.facts)
    }

    fn read(&self, fact: &FactRef, before: &[&Value]) -> Lookup {
        let path = fact.path.iter().map(|name| &**name);
        let node = match fact.owner {
            Owner::Node(0) => "oms_history",
            Owner::Node(1) => "inventory_levels",
            Owner::Node(2) => "supplier_info",
            Owner::Node(place) => return before[place - 4].at(path).map_or(Lookup::Unset, Lookup::Value),
            Owner::Input => panic!("{} is of no node", fact.written),
        };
        Value::from_json(&self.0[node]).unwrap().at(path).map_or(Lookup::Missing, Lookup::Value)
    }
}

fn shown(facts: &Value, names: &[&str]) -> Vec<String> {
    names.iter().map(|name| facts.at([*name]).map_or_else(|| "unset".to_owned(), |value| value.to_string())).collect()
}

const ORDER: [&str; 6] =
    ["total_amount", "discount_amount", "final_amount", "tax_amount", "grand_total", "approval_status"];

#[test]
fn the_three_products_are_ordered_at_their_price() {
    for (product, quantity, order, delivery) in [
        (
            Product::new("150.00", "500.00", "15.50", "100.00", 7),
            "550.00",
            ["8525.00", "0.00", "8525.00", "682.00", "9207.00", "auto_approved"],
            "2026-11-30",
        ),
        (
            Product::new("80.50", "300.00", "25.00", "50.00", 14),
            "827.00",
            ["20675.00", "0.00", "20675.00", "1654.00", "22329.00", "pending"],
            "2026-12-07",
        ),
        (
            Product::new("200.00", "150.00", "42.75", "200.00", 21),
            "4050.00",
            ["173137.50", "17313.75", "155823.75", "12465.90", "168289.65", "pending"],
            "2026-12-14",
        ),
    ] {
        let (decided, facts) = product.facts().unwrap();
        assert_eq!(shown(&decided, &["need_reorder", "supplier_active", "order_qty"]), ["true", "true", quantity]);
        assert_eq!(shown(&facts, &ORDER), order);
        assert_eq!(shown(&facts, &["should_create_po", "expected_delivery_date"]), ["true", delivery]);
    }
}

#[test]
fn boundaries_are_where_they_are_said_to_be() {
    // One piece is short a day: demand 1, lead time 1, nothing in stock; the price is the total.
    for (price, discount, approval) in [
        ("10000.00", "0.00", "auto_approved"),
        ("10000.01", "0.00", "pending"),
        ("49999.99", "0.00", "pending"),
        ("50000.00", "5000.00", "pending"),
    ] {
        let (_, facts) = Product::new("1", "0", price, "1", 1).facts().unwrap();
        assert_eq!(shown(&facts, &["discount_amount", "approval_status"]), [discount, approval], "{price}");
    }
    // The order is the larger of shortage and least quantity; a shortage of nothing is none.
    for (available, quantity, needed) in
        [("9", "50", "true"), ("10", "unset", "false"), ("11", "unset", "false"), ("-1", "unset", "unset")]
    {
        let (decided, facts) = Product::new("10", available, "1.00", "50", 1).facts().unwrap();
        assert_eq!(shown(&decided, &["order_qty", "need_reorder"]), [quantity, needed], "{available}");
        assert_eq!(shown(&facts, &["should_create_po"])[0] == "true", needed == "true", "{available}");
    }
    let (decided, _) = Product::new("100", "0", "1.00", "50", 1).facts().unwrap();
    assert_eq!(shown(&decided, &["order_qty"]), ["100"]);
}

#[test]
fn an_inactive_supplier_is_never_ordered_from() {
    let product =
        Product::new("150.00", "500.00", "15.50", "100.00", 7).with("supplier_info", "is_active", false.into());
    let (decided, order) = product.facts().unwrap();
    assert_eq!(
        shown(&decided, &["need_reorder", "supplier_active", "no_order_reason"]),
        ["true", "false", "supplier_inactive"]
    );
    assert_eq!(shown(&order, &["should_create_po", "total_amount"]), ["unset", "unset"]);
}

#[test]
fn a_null_in_any_column_is_never_read_as_no() {
    for (node, column) in [
        ("oms_history", "avg_daily_demand"),
        ("inventory_levels", "available_qty"),
        ("supplier_info", "unit_price"),
        ("supplier_info", "moq"),
        ("supplier_info", "lead_time"),
        ("supplier_info", "is_active"),
    ] {
        let product =
            Product::new("150.00", "500.00", "15.50", "100.00", 7).with(node, column, serde_json::Value::Null);
        match product.facts() {
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains(&format!("{node}.{column}` is null")) && text.contains("rules/"), "{text}");
            }
            // Neither the evidence for an order nor that for none: the flow answers `undecided`.
            Ok((decided, order)) => {
                assert_eq!(column, "is_active");
                let asserted = shown(&decided, &["no_order_reason", "supplier_active"]);
                assert_eq!(
                    (asserted, shown(&order, &["should_create_po"])),
                    (vec!["unset".into(); 2], vec!["unset".into()])
                );
            }
        }
    }
}
