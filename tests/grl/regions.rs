//! What the solver says of generated conditions holds for every value their facts can have.

use proptest::prelude::*;
use tributary::grl::{Expression, FactRef, Facts, Limits, Lookup, Owner, Region, Scope};
use tributary::types::{FieldName, Shape, Type, Value};

use crate::purchasing::{clock, file};

const FACTS: [(&str, Type); 4] = [("a", Type::Integer), ("b", Type::Decimal), ("t", Type::Text), ("f", Type::Boolean)];

fn scope() -> Scope {
    let fields = FACTS.into_iter().map(|(name, ty)| (FieldName::from(name), ty));
    let mut scope = Scope::new();
    scope.add("row", Owner::Node(0), Type::Map(Shape::closed(fields).into()));
    scope
}

/// One row of values.
struct Row([Value; 4]);

impl Facts for Row {
    fn read(&self, fact: &FactRef) -> Lookup {
        let place = FACTS.iter().position(|(name, _)| *name == &*fact.path[0]).unwrap();
        Lookup::Value(self.0[place].clone())
    }
}

/// Every combination of some values of each fact, those at the edges of the literals in the conditions among them.
fn rows() -> Vec<Row> {
    let number = |text: &str| Value::from_number(text).unwrap();
    let mut rows = Vec::new();
    for a in [Value::Null, number("0"), number("1"), number("2"), number("3"), number("4")] {
        for b in [Value::Null, number("0.5"), number("1.0"), number("1.5"), number("2.5"), number("9")] {
            for t in [Value::Null, Value::text(""), Value::text("x"), Value::text("y"), Value::text("z")] {
                for f in [Value::Null, Value::Boolean(true), Value::Boolean(false)] {
                    rows.push(Row([a.clone(), b.clone(), t.clone(), f]));
                }
            }
        }
    }
    rows
}

fn comparison() -> impl Strategy<Value = String> {
    let operator = || prop_oneof![Just("<"), Just("<="), Just(">"), Just(">="), Just("=="), Just("!=")];
    let equality = || prop_oneof![Just("=="), Just("!=")];
    prop_oneof![
        4 => (operator(), 0u8..5).prop_map(|(operator, n)| format!("a {operator} {n}")),
        2 => (operator(), 0u8..5).prop_map(|(operator, n)| format!("{n} {operator} row.a")),
        3 => (operator(), 0u8..4).prop_map(|(operator, n)| format!("b {operator} {n}.5")),
        2 => (equality(), "[xy]").prop_map(|(operator, text)| format!("t {operator} \"{text}\"")),
        1 => (equality(), Just("a")).prop_map(|(operator, fact)| format!("{fact} {operator} null")),
        1 => (operator(), Just(())).prop_map(|(operator, ())| format!("a {operator} b")),
        1 => (operator(), 0u8..4).prop_map(|(operator, n)| format!("a + b {operator} {n}")),
        1 => Just("f".to_owned()),
        1 => Just("f != true".to_owned()),
        1 => proptest::collection::vec(0u8..5, 1..4).prop_map(|items| format!("a in {items:?}")),
        1 => "[xy]".prop_map(|text| format!("t startsWith \"{text}\"")),
    ]
}

fn condition() -> impl Strategy<Value = String> {
    comparison().prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" && "))),
            proptest::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" || "))),
            inner.prop_map(|part| format!("!({part})")),
        ]
    })
}

fn region(text: &str) -> Option<Region> {
    Region::of(&file("condition", text), &scope(), &Limits::default())
}

/// Whether the condition is true for each row; `None` where it is an error.
fn truths(text: &str, rows: &[Row]) -> Vec<Option<bool>> {
    let (expression, _) = Expression::compile(&file("condition", text), &scope(), None, &Limits::default())
        .unwrap_or_else(|e| panic!("{e}"));
    let truth = |row: &Row| match expression.evaluate(row, &clock()) {
        Ok(Some(Value::Boolean(truth))) => Some(truth),
        _ => None,
    };
    rows.iter().map(truth).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_said_of_conditions_is_certain(first in condition(), second in condition()) {
        let (Some(a), Some(b)) = (region(&first), region(&second)) else { return Ok(()) };
        let rows = rows();
        let (in_a, in_b) = (truths(&first, &rows), truths(&second, &rows));
        if a.is_empty() {
            prop_assert!(!in_a.contains(&Some(true)), "`{}` can be true", first);
        }
        for (a_holds, b_holds) in in_a.iter().zip(&in_b) {
            if a.is_disjoint(&b) {
                prop_assert!(!(*a_holds == Some(true) && *b_holds == Some(true)), "`{}` and `{}` overlap", first, second);
            }
            if a.implies(&b) && *a_holds == Some(true) {
                // What makes the second an error keeps its flow from deciding at all.
                prop_assert_ne!(*b_holds, Some(false), "`{}` does not imply `{}`", first, second);
            }
        }
        if let Some(never_false) = region(&format!("!({first})")).filter(Region::is_empty) {
            prop_assert!(never_false.is_empty() && !in_a.contains(&Some(false)), "`{}` can be false", first);
        }
    }
}

#[test]
fn what_people_write_is_understood() {
    let known = |text: &str| region(text).expect("a region");
    for (first, second, disjoint, implies) in [
        ("a > 2", "a <= 2", true, false),
        ("a > 2", "row.a > 1", false, true),
        ("a == 2", "a in [1, 2]", false, true),
        ("a in [1, 2]", "a == 3", true, false),
        ("f", "!f", true, false),
        ("f && a > 1", "f == true", false, true),
        ("t == \"x\"", "t == \"y\"", true, false),
        ("t == \"x\"", "t != \"y\"", false, true),
        ("a > b", "a <= b", true, false),
        ("b < a", "a > b", false, true),
        ("a > 1 && a < 3", "a >= 1", false, true),
        ("a > 3 || a < 1", "a == 2", true, false),
        ("a > 1", "b > 1", false, false),
    ] {
        let (a, b) = (known(first), known(second));
        assert_eq!((a.is_disjoint(&b), a.implies(&b)), (disjoint, implies), "{first}; {second}");
    }
    assert!(known("a > 3 && a < 2").is_empty() && known("!(a > 3 || a <= 3)").is_empty());
}
