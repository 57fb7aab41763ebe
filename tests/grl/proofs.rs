//! What is proved of generated conditions holds for every value their facts can have.

use proptest::prelude::*;
use tributary::grl::{Expression, ExpressionKind, FactRef, Facts, Limits, Lookup, Owner, Scope};
use tributary::types::{FieldName, Shape, Type, Value};

use crate::purchasing::{clock, file};

/// The type of `j` is not known.
const FACTS: [(&str, Type); 5] =
    [("a", Type::Integer), ("b", Type::Decimal), ("t", Type::Text), ("f", Type::Boolean), ("j", Type::Any)];

fn scope() -> Scope {
    let fields = FACTS.into_iter().map(|(name, ty)| (FieldName::from(name), ty));
    let mut scope = Scope::new();
    scope.add("row", Owner::Node(0), Type::Map(Shape::closed(fields).into()));
    scope
}

/// One row of values; `None` is unset.
struct Row([Option<Value>; 5]);

impl Facts for Row {
    fn read(&self, fact: &FactRef) -> Lookup {
        let place = FACTS.iter().position(|(name, _)| *name == &*fact.path[0]).unwrap();
        self.0[place].clone().map_or(Lookup::Unset, Lookup::Value)
    }
}

/// Every combination of some values of each fact, those at the edges of the literals in the conditions among them.
fn rows() -> Vec<Row> {
    let number = |text: &str| Some(Value::from_number(text).unwrap());
    let text = |text: &str| Some(Value::text(text));
    let null = Some(Value::Null);
    let mut rows = Vec::new();
    for a in [None, null.clone(), number("0"), number("1"), number("2"), number("3"), number("4")] {
        for b in [null.clone(), number("0.5"), number("1.0"), number("1.5"), number("2.5"), number("9")] {
            for t in [None, null.clone(), text(""), text("x"), text("z")] {
                for f in [None, null.clone(), Some(true.into()), Some(false.into())] {
                    for j in [null.clone(), text("x"), number("1"), number("2.5")] {
                        rows.push(Row([a.clone(), b.clone(), t.clone(), f.clone(), j]));
                    }
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
        1 => (operator(), 0u8..4).prop_map(|(operator, n)| format!("j {operator} {n}")),
        1 => (equality(), Just("x")).prop_map(|(operator, text)| format!("j {operator} \"{text}\"")),
        1 => equality().prop_map(|operator| format!("j {operator} null")),
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

fn compile(text: &str) -> Expression {
    let (expression, _) =
        Expression::compile(&file("condition", text), &scope(), ExpressionKind::Value, &Limits::default())
            .unwrap_or_else(|e| panic!("{e}"));
    expression
}

/// What the condition is for each row: `Err` where it is an error, `None` where it is unknown.
fn truths(condition: &Expression, rows: &[Row]) -> Vec<Result<Option<bool>, ()>> {
    let truth = |row: &Row| match condition.evaluate(row, &clock()) {
        Ok(Some(Value::Boolean(truth))) => Ok(Some(truth)),
        Ok(None) => Ok(None),
        _ => Err(()),
    };
    rows.iter().map(truth).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_proved_of_conditions_is_true(first in condition(), second in condition()) {
        let rows = rows();
        let (a, b, not_a) = (compile(&first), compile(&second), compile(&format!("!({first})")));
        let in_a = truths(&a, &rows);
        if a.is_never_true() {
            prop_assert!(!in_a.contains(&Ok(Some(true))), "`{}` can be true", first);
        }
        if not_a.is_never_true() {
            prop_assert!(!in_a.contains(&Ok(Some(false))), "`{}` can be false", first);
        }
        if b.follows_from(&a) {
            for (a_holds, b_holds) in in_a.iter().zip(truths(&b, &rows)) {
                let holds = matches!(b_holds, Ok(Some(true)) | Err(()));
                prop_assert!(holds || *a_holds != Ok(Some(true)), "`{}` does not imply `{}`", first, second);
            }
        }
    }
}

#[test]
fn what_people_write_is_proved() {
    for (first, second, implies) in [
        ("a > 2", "row.a > 1", true),
        ("a == 2", "a in [1, 2]", true),
        ("f && a > 1", "f == true", true),
        ("t == \"x\"", "t != \"y\"", true),
        ("b < a", "a > b", true),
        ("a > 1 && a < 3", "a >= 1", true),
        ("a in [1, 2]", "a < 2 || a == 2", true),
        ("a > 1", "b > 1", false),
        ("a > 1", "a > 2", false),
        // Null makes the second an error.
        ("a == null", "a > 2", false),
        ("b == null || b <= 1", "b <= 1", false),
        // The first is true of a text.
        ("j == \"x\"", "j > 2", false),
        ("f", "a > 2 || a <= 2", false),
    ] {
        assert_eq!(compile(second).follows_from(&compile(first)), implies, "{first}; {second}");
    }
    for condition in [
        "a > 3 && a < 2",
        "!(a > 3 || a <= 3)",
        "f && false",
        "1 > 2",
        "t == \"x\" && t == \"y\"",
        "a > b && a <= b",
        "f && !f",
        "a in [1, 2] && a == 3",
        "(a > 3 && a < 2) || false",
        "(a > 3 || b > 3) && a < 2 && b < 2",
        "f && f == false",
    ] {
        assert!(compile(condition).is_never_true(), "{condition}");
    }
    for condition in ["a >= 3 && a <= 3", "a != 1 || a != 2", "f || !f", "j == 1 || j == \"x\""] {
        assert!(!compile(condition).is_never_true(), "{condition}");
    }
}

#[test]
fn a_condition_of_very_many_alternatives_is_given_up_in_no_time() {
    let pairs: Vec<String> = (0..100).map(|number| format!("(a == {number} || b == {number})")).collect();
    let wide = compile(&pairs.join(" && "));
    assert!(!wide.follows_from(&compile("t == \"x\"")));
    let values: Vec<String> = (0..50_000).map(|number| number.to_string()).collect();
    assert!(!compile(&format!("a in [{}]", values.join(", "))).is_never_true());
}
