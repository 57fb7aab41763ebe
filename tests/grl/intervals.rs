//! Rules over a box of facts, compared with the evaluation of each point of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tributary::grl::{
    Branches, Engine, FactRef, Interval, Limits, LocalFact, Lookup, OverBox, Owner, Ruleset, Scope, Stop,
};
use tributary::types::{Deadline, FieldName, Shape, Type, Value};

use crate::purchasing::{clock, file};

/// A number of `a`, `b`, and the facts `x`, which has a starting value, and `y`, which has none.
fn number() -> BoxedStrategy<String> {
    let leaf = prop::sample::select(vec!["a", "b", "a", "b", "a", "b", "x", "x", "y", "1", "2.5", "-3"])
        .prop_map(str::to_owned);
    let deeper = |inner: BoxedStrategy<String>| {
        let two = ["{} + {}", "{} - {}", "{} * {}", "{} / {}", "min({}, {})", "max({}, {})"].map(str::to_owned);
        let one = ["{} / 4", "{} / 3", "abs({})", "-{}", "round({}, 1)", "floor({})", "ceil({})", "{} % 3"];
        let one = one.map(str::to_owned);
        prop_oneof![
            filled(prop::sample::select(two.to_vec()).boxed(), inner.clone()),
            filled(prop::sample::select(one.to_vec()).boxed(), inner.clone()),
            filled(Just("(if {} > {} then {} else {})".to_owned()).boxed(), inner),
        ]
        .boxed()
    };
    let two_deep = deeper(leaf.clone().boxed());
    prop_oneof![2 => leaf.clone(), 3 => two_deep.clone(), 1 => deeper(two_deep)].boxed()
}

/// `form` with each `{}` replaced by one of `parts`.
fn filled(form: BoxedStrategy<String>, parts: BoxedStrategy<String>) -> BoxedStrategy<String> {
    let fill =
        |(form, parts): (String, Vec<String>)| parts.iter().fold(form, |form, part| form.replacen("{}", part, 1));
    let parts = prop::collection::vec(parts.prop_map(|part| format!("({part})")), 4);
    (form, parts).prop_map(fill).boxed()
}

fn condition() -> BoxedStrategy<String> {
    let forms = [
        "{} > {}",
        "{} <= {}",
        "{} >= {}",
        "{} < {}",
        "{} == {}",
        "{} != {}",
        "{} > {} && {} <= {}",
        "{} < {} || {} > {}",
        "!({} > {})",
    ];
    filled(prop::sample::select(forms.map(str::to_owned).to_vec()).boxed(), number())
}

/// Rules that set what they match, so that each firing is seen.
fn rules() -> impl Strategy<Value = String> {
    let what =
        prop::sample::select(vec!["x = {}", "y = {}", "x = {}; x += 1", "y = {}; x = y + 1", "sum += {}", "sum -= 1"]);
    let what = filled(what.prop_map(str::to_owned).boxed(), number());
    let rule = (condition(), what, 0..3, prop::bool::weighted(0.9));
    prop::collection::vec(rule, 1..5).prop_map(|rules| {
        let mut text = "rule Y no-loop { when b > 20 then y = 0; }\n".to_owned();
        for (number, (when, then, salience, no_loop)) in rules.iter().enumerate() {
            let no_loop = if *no_loop { "no-loop" } else { "" };
            let rule = format!("when {when} then {then}; f{number} = {number}; ");
            text.push_str(&format!("rule R{number} salience {salience} {no_loop} {{ {rule}}}\n"));
        }
        text
    })
}

/// The rules; `y` has a starting value, or none.
fn compiled(text: &str, sets_y: bool) -> Option<Arc<Ruleset>> {
    let mut scope = Scope::new();
    let shape = Shape::closed([("a".into(), Type::Integer), ("b".into(), Type::Integer)]);
    scope.add("n", Owner::Node(0), Type::Map(Arc::new(shape)));
    let names: &[&str] = if sets_y { &["x", "sum", "y"] } else { &["x", "sum"] };
    let locals: Vec<LocalFact> = names
        .iter()
        .map(|name| LocalFact::Starting {
            name: FieldName::from(*name),
            value: Value::Integer(0),
            span: file("r.grl", text).span(0..0),
        })
        .collect();
    let found = Ruleset::compile("rules", &[file("r.grl", text)], &scope, &locals, &Limits::default());
    found.ok().map(|(ruleset, _)| Arc::new(ruleset))
}

fn of(fact: &FactRef) -> usize {
    usize::from(&*fact.path[0] == "b")
}

/// The facts at the end of each branch, and which of them vary; `None` where the box is not covered.
fn over(ruleset: &Ruleset, sides: [(i64, i64); 2]) -> Option<Vec<(Value, Vec<FieldName>)>> {
    let (mut branches, mut all) = (Branches::default(), Vec::new());
    for _ in 0..300 {
        let mut fact = |number: usize| {
            let (low, high) = sides[number];
            let corner = |corner: usize| Value::Integer(if corner >> number & 1 == 0 { low } else { high });
            branches.fact(u8::try_from(number).unwrap(), (0..4).map(corner).collect())
        };
        let facts = [fact(0), fact(1)];
        let reads = vec![Lookup::Value(Value::Null); ruleset.reads().len()];
        let varying: HashMap<usize, Interval> =
            ruleset.reads().iter().map(|read| facts[of(read)].clone()).enumerate().collect();
        let until = Instant::now() + Duration::from_secs(60);
        let given = OverBox { reads: &reads, varying: &varying, clock: &clock(), until };
        match ruleset.enclosed(&given, &Limits::default(), &mut branches) {
            Ok((facts, varying)) => all.push((facts, varying.into_iter().map(|(name, _)| name).collect())),
            Err(Stop::NoDecision) => {}
            Err(Stop::NotCovered(_)) => return None,
        }
        if !branches.another() {
            return Some(all);
        }
    }
    None
}

/// Whether a branch ends with these facts.
fn is_among(facts: &Value, branches: &[(Value, Vec<FieldName>)]) -> bool {
    let Value::Map(facts) = facts else { panic!("facts are a map") };
    branches.iter().any(|(branch, varying)| {
        let Value::Map(branch) = branch else { panic!("facts are a map") };
        branch.len() == facts.len()
            && branch
                .iter()
                .all(|(name, value)| facts.get(name).is_some_and(|known| varying.contains(name) || known == value))
    })
}

#[test]
fn each_point_of_a_box_ends_as_a_branch_does() {
    let covered = std::cell::Cell::new(0);
    let config =
        ProptestConfig { cases: 400, max_shrink_iters: 2_000, failure_persistence: None, ..ProptestConfig::default() };
    let sides = || (-6_i64..=6, 1_i64..=6).prop_map(|(low, length)| (low, low + length));
    let result =
        TestRunner::new(config).run(&(rules(), prop::bool::weighted(0.7), sides(), sides()), |(text, sets_y, a, b)| {
            let Some(ruleset) = compiled(&text, sets_y) else { return Ok(()) };
            let Some(branches) = over(&ruleset, [a, b]) else { return Ok(()) };
            covered.set(covered.get() + 1);
            let mut engine = Engine::new(Arc::clone(&ruleset), &Limits::default()).unwrap();
            for (a, b) in (a.0..=a.1).flat_map(|a| (b.0..=b.1).map(move |b| (a, b))) {
                let read = |fact: &FactRef| Lookup::Value(Value::Integer([a, b][of(fact)]));
                let reads: Vec<Lookup> = ruleset.reads().iter().map(read).collect();
                let Ok(found) = engine.evaluate(&reads, &clock(), Deadline::after(Duration::from_secs(60))) else {
                    continue;
                };
                prop_assert!(found.unknown.is_none(), "a = {a}, b = {b}:\n{text}");
                prop_assert!(
                    is_among(&found.facts, &branches),
                    "a = {a}, b = {b}: {:?}\n{text}\n{branches:?}",
                    found.facts
                );
            }
            Ok(())
        });
    result.unwrap_or_else(|found| panic!("{found}"));
    assert!(covered.get() >= 100, "{} of 400 were covered", covered.get());
}
