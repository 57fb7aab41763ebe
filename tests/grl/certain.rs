//! What is said of generated rules is held against what they do for every combination of values.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tributary::diagnostics::Diagnostics;
use tributary::grl::{
    Engine, Evaluation, FactRef, Limits, LocalFact, Lookup, Owner, RuleError, Ruleset, Scope, Surely,
};
use tributary::types::{Deadline, FieldName, Shape, Type, Value};

use crate::purchasing::{clock, file};

const INPUTS: [(&str, Type); 3] = [("a", Type::Integer), ("b", Type::Integer), ("t", Type::Text)];

fn scope() -> Scope {
    let mut scope = Scope::new();
    let fields = INPUTS.into_iter().map(|(name, ty)| (FieldName::from(name), ty));
    scope.add("input", Owner::Input, Type::Map(Shape::closed(fields).into()));
    scope
}

/// Every combination of values around the literals that the rules compare with.
fn inputs() -> Vec<[Value; 3]> {
    let mut inputs = Vec::new();
    for a in -1..5 {
        for b in [Value::Null, (-1).into(), 0.into(), 1.into(), 2.into(), 3.into(), 9.into()] {
            for t in ["", "p", "q", "a"] {
                inputs.push([a.into(), b.clone(), t.into()]);
            }
        }
    }
    inputs
}

/// A rule: its attributes, its condition and its statements.
#[derive(Debug, Clone)]
struct Written {
    attributes: &'static str,
    condition: String,
    then: Vec<String>,
}

fn part() -> impl Strategy<Value = String> {
    let operator = || prop_oneof![Just("<"), Just("<="), Just(">"), Just(">="), Just("=="), Just("!=")];
    prop_oneof![
        4 => (prop_oneof![Just("a"), Just("b"), Just("x"), Just("n")], operator(), 0u8..4)
            .prop_map(|(fact, operator, n)| format!("{fact} {operator} {n}")),
        1 => (operator(), Just(())).prop_map(|(operator, ())| format!("a {operator} b")),
        1 => "[pq]".prop_map(|text| format!("t == \"{text}\"")),
        1 => "[pqr]".prop_map(|text| format!("s == \"{text}\"")),
        1 => Just("b != null".to_owned()),
        1 => prop_oneof![Just("is_set(x)"), Just("is_set(y)")].prop_map(str::to_owned),
        1 => prop_oneof![Just("true"), Just("false")].prop_map(str::to_owned),
    ]
}

fn condition() -> impl Strategy<Value = String> {
    part().prop_recursive(2, 5, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} && {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} || {b})")),
            inner.prop_map(|part| format!("!({part})")),
        ]
    })
}

fn statement() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => (0u8..3).prop_map(|n| format!("x = {n};")),
        2 => Just("x = a;".to_owned()),
        1 => Just("x = y + 1;".to_owned()),
        1 => Just("x = default(y, 1) + 1;".to_owned()),
        1 => Just("y = a;".to_owned()),
        1 => Just("n += 1;".to_owned()),
        1 => Just("n = 2;".to_owned()),
        2 => "[pq]".prop_map(|text| format!("s = \"{text}\";")),
    ]
}

fn rule() -> impl Strategy<Value = Written> {
    let attributes = prop_oneof![4 => Just("no-loop"), 1 => Just(""), 1 => Just("salience 1 no-loop")];
    let then = proptest::collection::vec(statement(), 1..3);
    (attributes, condition(), then).prop_map(|(attributes, condition, then)| Written { attributes, condition, then })
}

/// The rules as a file; first those that give each fact its type, and never fire.
fn text(rules: &[(usize, &Written)]) -> String {
    let mut text = String::from("rule Types no-loop { when a > 90 then x = 0; y = 0; s = \"p\"; }\n");
    for (name, Written { attributes, condition, then }) in rules {
        text.push_str(&format!("rule R{name} {attributes} {{ when {condition} then {} }}\n", then.join(" ")));
    }
    text
}

fn compile(text: &str) -> Option<(Ruleset, Diagnostics)> {
    let text = file("rules.grl", text);
    let n = LocalFact::Starting { name: "n".into(), value: 0.into(), span: text.span(0..0) };
    Ruleset::compile("node", &[text], &scope(), &[n], &Limits::default()).ok()
}

/// What the rules do for each combination.
fn decide(text: &str) -> Vec<Result<Evaluation, RuleError>> {
    let (ruleset, _) = compile(text).unwrap_or_else(|| panic!("it compiles: {text}"));
    let value = |fact: &FactRef, values: &[Value; 3]| {
        let place = INPUTS.iter().position(|(name, _)| *name == &*fact.path[0]).unwrap();
        Lookup::Value(values[place].clone())
    };
    let reads: Vec<Vec<Lookup>> =
        inputs().iter().map(|values| ruleset.reads().iter().map(|fact| value(fact, values)).collect()).collect();
    let mut engine = Engine::new(Arc::new(ruleset), &Limits { max_cycles: 20, ..Limits::default() }).unwrap();
    let deadline = || Deadline::after(Duration::from_secs(60));
    reads.iter().map(|reads| engine.evaluate(reads, &clock(), deadline())).collect()
}

fn fired(evaluation: &Evaluation, rules: &Ruleset, name: &str) -> bool {
    let position = rules.rules().position(|rule| rule.name == name);
    evaluation.fired.iter().any(|fired| Some(*fired) == position)
}

fn hold(rules: &[Written]) -> Result<Vec<&'static str>, TestCaseError> {
    let all: Vec<(usize, &Written)> = rules.iter().enumerate().collect();
    let text = text(&all);
    let Some((ruleset, warnings)) = compile(&text) else { return Ok(Vec::new()) };
    let decided = decide(&text);
    for warning in warnings.iter().filter(|warning| !warning.message.contains("`Types`")) {
        let name = warning.message.split('`').nth(1).unwrap_or("");
        let done = || decided.iter().filter_map(|decided| decided.as_ref().ok());
        let fires = |evaluation: &Evaluation| fired(evaluation, &ruleset, name);
        let holds = match warning.code {
            "never-fires" | "never-settles" => !done().any(fires),
            "always-fires" => done().all(fires),
            "never-equal" => {
                let never = warning.message.rsplit(' ').next().unwrap_or("").trim_matches('"');
                done().all(|evaluation| evaluation.facts.at([name]).is_none_or(|value| value.to_string() != never))
            }
            other => panic!("{other}"),
        };
        prop_assert!(holds, "{text}\n{warning:?}");
    }
    let (set, values) = (|_: &FactRef| true, |_: &FactRef| None);
    let sides = ruleset.sides(&Surely { conditions: &[], is_set: &set, values: &values });
    let finite = ruleset.finite(&values);
    for evaluation in decided.iter().filter_map(|decided| decided.as_ref().ok()) {
        for (rule, proved) in sides.rules.iter().enumerate() {
            let fires = evaluation.fired.contains(&rule);
            prop_assert!(fires || !proved.always_fires, "{text}\n{rule} always fires");
            prop_assert!(!fires || proved.never_fires.is_none(), "{text}\n{rule} never fires");
        }
        for fact in &sides.set {
            let unknown = evaluation.unknown.iter().flat_map(|unknown| unknown.facts()).any(|unknown| unknown == fact);
            prop_assert!(evaluation.facts.at([&**fact]).is_some(), "{text}\n{fact} is not set");
            prop_assert!(!unknown || sides.doubtful.contains(fact), "{text}\n{fact} is unknown");
        }
        for (fact, values) in &finite {
            let value = evaluation.facts.at([&**fact]);
            prop_assert!(value.is_none_or(|value| values.contains(&value)), "{text}\n{fact}");
        }
    }
    Ok(warnings.iter().map(|warning| warning.code).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_warned_of_is_true_for_every_value(rules in proptest::collection::vec(rule(), 1..5)) {
        hold(&rules)?;
    }
}

fn rule_of(condition: &str, then: &[&str]) -> Written {
    let then = then.iter().map(|statement| (*statement).to_owned()).collect();
    Written { attributes: "no-loop", condition: condition.to_owned(), then }
}

#[test]
fn a_fact_may_be_unknown_if_its_rule_reads_or_asks_about_a_fact_of_a_waiting_rule() {
    let waits = rule_of("(a < 0 && s == \"p\") || a > 0", &["y = a;"]);
    let sets = rule_of("true", &["x = 0;"]);
    for then in [["y = a;", "x = y + 1;"], ["y = a;", "x = default(y, 1) + 1;"]] {
        hold(&[waits.clone(), sets.clone(), rule_of("a >= b", &then)]).unwrap();
    }
}

#[test]
fn the_generated_rules_are_warned_of_in_every_way() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let (mut runner, mut seen) = (TestRunner::deterministic(), std::collections::BTreeSet::new());
    for _ in 0..600 {
        let rules = proptest::collection::vec(rule(), 1..5).new_tree(&mut runner).unwrap().current();
        seen.extend(hold(&rules).unwrap());
    }
    let expected = ["always-fires", "never-equal", "never-fires", "never-settles"];
    assert!(expected.iter().all(|code| seen.contains(code)), "{seen:?}");
}
