//! The names that the rules of these tests can see: the shipped flow's rows, and a node of many rows.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tributary::diagnostics::{Snippet, Source};
use tributary::grl::{Limits, Owner, Ruleset, Scope};
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

/// What the rules of `rules/purchase_order.grl` see: what those of `rules/purchasing.grl` decided, as well.
pub fn order_scope() -> Scope {
    let mut scope = scope();
    let (decided, _) = Ruleset::compile(
        "rule_engine",
        &[file("rules/purchasing.grl", &read("rules/purchasing.grl"))],
        &scope,
        &[],
        &Limits::default(),
    )
    .unwrap();
    scope.add_qualified("rule_engine", Owner::Node(4), Type::Map(Arc::new(decided.shape())));
    scope
}
