//! What the solver says of generated conditions holds for every value their facts can have.

use proptest::prelude::*;
use tributary::diagnostics::Span;
use tributary::grl::{Expression, ExpressionKind, FactRef, Facts, Limits, Lookup, Owner, Region, Scope};
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

/// What makes a condition true; an error where nothing does.
fn region(text: &str) -> Result<Option<Region>, Span> {
    Region::of(&file("condition", text), &scope(), &Limits::default())
}

/// Whether the condition is true for each row; `None` where it is an error.
fn truths(text: &str, rows: &[Row]) -> Vec<Option<bool>> {
    let (expression, _) =
        Expression::compile(&file("condition", text), &scope(), ExpressionKind::Value, &Limits::default())
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
        let rows = rows();
        let (in_a, in_b) = (truths(&first, &rows), truths(&second, &rows));
        if region(&first).is_err() {
            prop_assert!(!in_a.contains(&Some(true)), "`{}` can be true", first);
        }
        if region(&format!("!({first})")).is_err() {
            prop_assert!(!in_a.contains(&Some(false)), "`{}` can be false", first);
        }
        let (Ok(Some(a)), Ok(Some(b))) = (region(&first), region(&second)) else { return Ok(()) };
        for (a_holds, b_holds) in in_a.iter().zip(&in_b) {
            if a.implies(&b) && *a_holds == Some(true) {
                // What makes the second an error keeps its flow from deciding at all.
                prop_assert_ne!(*b_holds, Some(false), "`{}` does not imply `{}`", first, second);
            }
        }
    }
}

#[test]
fn what_people_write_is_understood() {
    let known = |text: &str| region(text).unwrap().expect("a region");
    for (first, second, implies) in [
        ("a > 2", "row.a > 1", true),
        ("a == 2", "a in [1, 2]", true),
        ("f && a > 1", "f == true", true),
        ("t == \"x\"", "t != \"y\"", true),
        ("b < a", "a > b", true),
        ("a > 1 && a < 3", "a >= 1", true),
        ("a > 1", "b > 1", false),
        ("a > 1", "a > 2", false),
    ] {
        assert_eq!(known(first).implies(&known(second)), implies, "{first}; {second}");
    }
    for (condition, part) in [
        ("a > 3 && a < 2", "a < 2"),
        ("!(a > 3 || a <= 3)", "a <= 3"),
        ("f && false", "false"),
        ("1 > 2", "1 > 2"),
        ("t == \"x\" && t == \"y\"", "t == \"y\""),
        ("a > b && a <= b", "a <= b"),
        ("f && !f", "!f"),
        ("a in [1, 2] && a == 3", "a == 3"),
        ("(a > 3 && a < 2) || false", "a < 2"),
    ] {
        assert_eq!(region(condition).unwrap_err().text(), part, "{condition}");
    }
}
