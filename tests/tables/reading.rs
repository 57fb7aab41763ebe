//! Compiles and evaluates tables over inputs of known types.

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use tributary::diagnostics::{Diagnostics, Source};
use tributary::grl::{Engine, Evaluation, Hit, HitPolicy, Limits, Lookup, Owner, RuleError, Ruleset, Scope, Table};
use tributary::types::{Clock, Deadline, FieldName, Shape, Type, Value};

/// What the tables of these tests see: inputs of each type.
pub const INPUTS: [(&str, Type); 9] = [
    ("quantity", Type::Integer),
    ("weight", Type::Decimal),
    ("region", Type::Text),
    ("tier", Type::Text),
    ("since", Type::Date),
    ("moment", Type::Timestamp),
    ("open", Type::Boolean),
    ("limit", Type::Integer),
    ("anything", Type::Any),
];

pub fn scope() -> Scope {
    let mut scope = Scope::new();
    let fields = INPUTS.iter().map(|(name, ty)| (FieldName::from(*name), ty.clone()));
    scope.add("input", Owner::Input, Type::Map(Arc::new(Shape::closed(fields))));
    let tags = (FieldName::from("tags"), Type::List(Type::Text.into()));
    scope.add("order", Owner::Node(0), Type::Map(Arc::new(Shape::closed([tags]))));
    scope
}

/// Reads and compiles a table of this name.
pub fn compile(name: &str, text: &str, hit: &Hit) -> Result<(Ruleset, Diagnostics), Diagnostics> {
    let limits = Limits::default();
    let table = Table::read(name, None, text.as_bytes(), &limits)?;
    Ruleset::from_table("rates", &table, table.hit().unwrap_or(hit), &scope(), &[], &limits)
}

pub fn hit(policy: HitPolicy) -> Hit {
    Hit { policy, prefer: Vec::new() }
}

/// As `hit: priority` with the order of preference of one result.
pub fn preferring(policy: HitPolicy, result: &str, values: &[Value]) -> Hit {
    let span = Source::new("graph.yaml", "prefer").span(0..6);
    Hit { policy, prefer: vec![(FieldName::from(result), values.to_vec(), span)] }
}

/// The compiled table, which must have no errors.
pub fn table(text: &str, hit: &Hit) -> Arc<Ruleset> {
    Arc::new(compile("rates.csv", text, hit).unwrap_or_else(|found| panic!("{text}\n{found}")).0)
}

pub fn clock() -> Clock {
    Clock::fixed("2026-11-23T10:00:00Z".parse().unwrap(), TimeZone::UTC)
}

/// Evaluates over inputs, of which those that are left out are null, and those that are `None` are unset.
pub fn evaluate(ruleset: &Arc<Ruleset>, inputs: &[(&str, Option<Value>)]) -> Result<Evaluation, RuleError> {
    let reads: Vec<Lookup> = ruleset
        .reads()
        .iter()
        .map(|fact| {
            let given = inputs.iter().find(|(name, _)| *name == &*fact.path[0]);
            given.map_or(Lookup::Value(Value::Null), |(_, value)| value.clone().map_or(Lookup::Unset, Lookup::Value))
        })
        .collect();
    let mut engine = Engine::new(Arc::clone(ruleset), &Limits::default()).unwrap();
    let deadline = Deadline::after(Duration::from_secs(60));
    let plain = engine.evaluate(&reads, &clock(), deadline);
    let explained = engine.explain(&reads, &clock(), deadline);
    // An explanation changes nothing.
    match (&plain, &explained) {
        (Ok(plain), Ok(explained)) => {
            assert_eq!((&plain.facts, &plain.fired), (&explained.facts, &explained.fired));
        }
        (Err(plain), Err(explained)) => assert_eq!(plain, explained),
        _ => panic!("{plain:?} and {explained:?}"),
    }
    explained
}

/// The rows that fired.
pub fn fired(ruleset: &Ruleset, evaluation: &Evaluation) -> Vec<String> {
    evaluation.fired.iter().map(|row| ruleset.rule_name(*row).unwrap().to_owned()).collect()
}

/// A value as JSON writes it; dates as texts.
pub fn json(text: &str) -> Value {
    Value::from_json(&serde_json::from_str(text).unwrap()).unwrap()
}
