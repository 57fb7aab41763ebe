//! The names that the rules of these tests can see: the shipped flow's rows, and a node of many rows.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tributary::diagnostics::{Snippet, Source};
use tributary::grl::{Hit, Limits, Owner, Ruleset, Scope, Table};
use tributary::types::{Clock, FieldName, Shape, Type};

/// A path below this repository.
pub fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A file of this repository.
pub fn read(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap()
}

/// All of `text`, as a file of this name.
pub fn file(name: &str, text: &str) -> Snippet {
    Source::new(name, text).snippet()
}

/// 23 November 2026, ten in the morning, UTC.
pub fn clock() -> Clock {
    Clock::fixed("2026-11-23T10:00:00Z".parse::<Timestamp>().unwrap(), TimeZone::UTC)
}

fn row(fields: &[(&str, Type)]) -> Type {
    Type::Map(Arc::new(Shape::closed(fields.iter().map(|(name, ty)| (FieldName::from(*name), ty.clone())))))
}

/// The rows of the shipped flow, and `lines`, a node of `rows: many`.
pub fn scope() -> Scope {
    use Type::{Boolean, Date, Decimal, Integer, Text};
    let mut scope = Scope::new();
    scope.add("input", Owner::Input, row(&[("product_id", Text)]));
    let history = [("product_id", Text), ("avg_daily_demand", Decimal), ("trend", Text)];
    scope.add("oms_history", Owner::Node(0), row(&history));
    let levels =
        [("product_id", Text), ("available_qty", Decimal), ("reserved_qty", Decimal), ("warehouse_location", Text)];
    scope.add("inventory_levels", Owner::Node(1), row(&levels));
    let supplier = [
        ("product_id", Text),
        ("supplier_name", Text),
        ("unit_price", Decimal),
        ("moq", Decimal),
        ("lead_time", Integer),
        ("is_active", Boolean),
        ("since", Date),
    ];
    scope.add("supplier_info", Owner::Node(2), row(&supplier));
    let lines = row(&[("sku", Text), ("qty", Integer), ("price", Decimal), ("open", Boolean)]);
    scope.add("lines", Owner::Node(3), Type::List(Arc::new(lines)));
    scope
}

/// The rules of `rules/purchasing.grl`.
pub fn decision_rules() -> Ruleset {
    let rules = [file("rules/purchasing.grl", &read("rules/purchasing.grl"))];
    Ruleset::compile("rule_engine", &rules, &scope(), &[], &Limits::default()).unwrap().0
}

/// The table `rules/discounts.csv`, which sees what the rules of `rules/purchasing.grl` decided.
pub fn discounts() -> Ruleset {
    let (limits, text) = (Limits::default(), read("rules/discounts.csv"));
    let mut scope = scope();
    scope.add("rule_engine", Owner::Node(4), Type::Map(Arc::new(decision_rules().shape())));
    let table = Table::read("rules/discounts.csv", None, text.as_bytes(), &limits).unwrap();
    Ruleset::from_table("discount", &table, &Hit::default(), &scope, &[], &limits).unwrap().0
}

/// What the rules of `rules/purchase_order.grl` see: what those of `rules/purchasing.grl` decided, and the rate, as well.
pub fn order_scope() -> Scope {
    let mut scope = scope();
    scope.add_qualified("rule_engine", Owner::Node(4), Type::Map(Arc::new(decision_rules().shape())));
    scope.add_qualified("discount", Owner::Node(5), Type::Map(Arc::new(discounts().shape())));
    scope
}
