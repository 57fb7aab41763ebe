//! What is said of generated outcomes and inputs is held against every combination of inputs.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use tributary::graph::Flow;
use tributary::grl::{FactRef, Facts, Lookup};
use tributary::types::{Clock, Value};

use crate::reading::{here, read};

/// The inputs `a`, `b` and `c`.
struct Inputs([i64; 3]);

impl Facts for Inputs {
    fn read(&self, fact: &FactRef) -> Lookup {
        let place = fact.path.first().and_then(|name| "abc".find(&**name)).expect("an input");
        Lookup::Value(self.0[place].into())
    }
}

fn inputs() -> impl Iterator<Item = Inputs> {
    (-1..5).flat_map(|a| (-1..5).flat_map(move |b| [0, 3].map(|c| Inputs([a, b, c]))))
}

fn part() -> impl Strategy<Value = String> {
    let operator = prop_oneof![Just("<"), Just("<="), Just(">"), Just(">="), Just("=="), Just("!=")];
    prop_oneof![
        4 => (prop_oneof![Just("a"), Just("input.b"), Just("a + b")], operator.clone(), 0u8..4)
            .prop_map(|(fact, operator, n)| format!("{fact} {operator} {n}")),
        1 => operator.prop_map(|operator| format!("a {operator} b")),
        1 => proptest::collection::vec(0u8..4, 1..3).prop_map(|items| format!("a in {items:?}")),
    ]
}

fn condition() -> impl Strategy<Value = String> {
    part().prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" && "))),
            proptest::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" || "))),
            inner.prop_map(|part| format!("!({part})")),
        ]
    })
}

/// For each combination of inputs: which outcomes hold.
fn truths(flow: &Flow) -> Vec<Vec<bool>> {
    let clock = Clock::fixed(Timestamp::UNIX_EPOCH, TimeZone::UTC);
    let holds = |inputs: &Inputs| {
        let whens = flow.outcomes.iter().map(|outcome| outcome.when.as_ref().expect("a condition"));
        whens.map(|when| when.evaluate(inputs, &clock) == Ok(Some(Value::Boolean(true)))).collect()
    };
    inputs().map(|inputs| holds(&inputs)).collect()
}

/// The outcomes `o1`, ... that a message names.
fn named(message: &str) -> Vec<usize> {
    message.split('`').skip(1).step_by(2).map(|name| name.trim_start_matches('o').parse().expect("a number")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn what_is_warned_of_in_a_graph_is_true_for_every_input(whens in proptest::collection::vec(condition(), 2..5)) {
        let mut text = String::from("flow: f\ninput: { a: integer, b: integer, c: integer }\n");
        text.push_str("nodes: { n: { type: RuleNode, condition: \"1 < 2\" } }\noutcomes:\n");
        for (number, when) in whens.iter().enumerate() {
            text.push_str(&format!("  - {{ status: o{number}, when: '{when}' }}\n"));
        }
        let (flow, warnings) = read(here(), "graph.yaml", &text).unwrap_or_else(|found| panic!("{found}"));
        let truths = truths(&flow);
        for warning in &warnings.into_iter().collect::<Vec<_>>() {
            let message = &warning.message;
            match warning.code {
                "unreachable-outcome" => {
                    let outcome = named(message)[0];
                    let first = |holds: &Vec<bool>| holds.iter().position(|holds| *holds);
                    prop_assert!(truths.iter().all(|holds| first(holds) != Some(outcome)), "{}\n{}", text, message);
                }
                "overlapping-outcomes" => {
                    let (later, earlier) = (named(message)[0], named(message)[1]);
                    prop_assert!(truths.iter().all(|holds| !holds[earlier] || holds[later]), "{}\n{}", text, message);
                }
                "unused-input" => {
                    let name = message.split('`').nth(1).expect("a name");
                    prop_assert!(!whens.iter().any(|when| when.contains(name) && name != "c"
                        && when.split(|c: char| !c.is_alphanumeric()).any(|word| word == name)), "{}\n{}", text, message);
                }
                "unused-node" => prop_assert!(message.contains("`n`")),
                other => prop_assert!(false, "{}: {}", other, message),
            }
        }
    }
}
