//! Generated rules, decided by our evaluator and by rust-rule-engine's own parser and evaluator, in the part of the language
//! that the latter evaluates correctly: integers and booleans, operators between spaces, conditions with only `&&` or only `||`,
//! literal assignments, one rule for each fact, each rule once.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::time::Duration;

use proptest::prelude::*;
use rust_rule_engine::{Facts as NativeFacts, GRLParser, KnowledgeBase, RustRuleEngine, Value as Native};
use tributary::diagnostics::Source;
use tributary::grl::{Engine, Limits, Lookup, Owner, Ruleset, Scope};
use tributary::types::{Clock, Deadline, FieldName, Shape, Type, Value};

/// The facts of the one object that is read.
const FIELDS: [&str; 4] = ["alpha", "beta", "gamma", "delta"];

#[derive(Debug, Clone)]
struct Case {
    rules: Vec<(Vec<String>, &'static str, i64, i32)>,
    numbers: [i64; 3],
    truth: bool,
}

fn comparison() -> impl Strategy<Value = String> {
    let operator = prop_oneof![Just("<"), Just("<="), Just(">"), Just(">="), Just("=="), Just("!=")];
    prop_oneof![
        5 => (0usize..3, operator, -9i64..10).prop_map(|(field, operator, bound)| format!("In.{} {operator} {bound}", FIELDS[field])),
        1 => any::<bool>().prop_map(|truth| format!("In.delta == {truth}")),
    ]
}

fn case() -> impl Strategy<Value = Case> {
    let joint = prop_oneof![Just(" && "), Just(" || ")];
    let rule = (proptest::collection::vec(comparison(), 1..4), joint, -99i64..100, -3i32..4);
    (proptest::collection::vec(rule, 1..8), [-9i64..10, -9i64..10, -9i64..10], any::<bool>())
        .prop_map(|(rules, numbers, truth)| Case { rules, numbers, truth })
}

impl Case {
    /// The rules; `prefix` stands before the facts they write.
    fn text(&self, prefix: &str) -> String {
        let mut text = String::new();
        for (number, (parts, joint, value, salience)) in self.rules.iter().enumerate() {
            let when = parts.join(joint);
            writeln!(text, "rule \"R{number}\" salience {salience} no-loop {{\n    when\n        {when}\n    then\n        {prefix}out{number} = {value};\n}}").unwrap();
        }
        text
    }

    fn values(&self) -> [Value; 4] {
        let [alpha, beta, gamma] = self.numbers;
        [Value::Integer(alpha), Value::Integer(beta), Value::Integer(gamma), Value::Boolean(self.truth)]
    }

    /// The facts by our evaluator.
    fn ours(&self) -> BTreeMap<String, i64> {
        let types = [Type::Integer, Type::Integer, Type::Integer, Type::Boolean];
        let fields = FIELDS.iter().zip(types).map(|(name, ty)| (FieldName::from(*name), ty));
        let mut scope = Scope::new();
        scope.add("In", Owner::Node(0), Type::Map(Shape::closed(fields).into()));
        let source = Source::new("generated.grl", self.text(""));
        let (ruleset, _) = Ruleset::compile("r", &[source.snippet()], &scope, &[], &Limits::default())
            .unwrap_or_else(|e| panic!("{e}"));
        let by_name: HashMap<&str, Value> = FIELDS.iter().copied().zip(self.values()).collect();
        let reads: Vec<Lookup> =
            ruleset.reads().iter().map(|fact| Lookup::Value(by_name[&*fact.path[0]].clone())).collect();
        let mut engine = Engine::new(ruleset.into(), &Limits::default()).unwrap();
        let clock = Clock::fixed(jiff::Timestamp::UNIX_EPOCH, jiff::tz::TimeZone::UTC);
        let evaluation = engine.evaluate(&reads, &clock, Deadline::after(Duration::from_secs(60))).unwrap();
        let Value::Map(facts) = evaluation.facts else { panic!("facts are a map") };
        facts.iter().map(|(name, value)| (name.to_string(), value.to_string().parse().unwrap())).collect()
    }

    /// The facts by rust-rule-engine's.
    fn theirs(&self) -> BTreeMap<String, i64> {
        let knowledge = KnowledgeBase::new("generated");
        for rule in GRLParser::parse_rules(&self.text("Out.")).unwrap() {
            knowledge.add_rule(rule).unwrap();
        }
        let facts = NativeFacts::new();
        let native = |value: &Value| match value {
            Value::Boolean(truth) => Native::Boolean(*truth),
            other => Native::Integer(other.to_string().parse().unwrap()),
        };
        let object =
            FIELDS.iter().zip(&self.values()).map(|(name, value)| ((*name).to_owned(), native(value))).collect();
        facts.set("In", Native::Object(object));
        facts.set("Out", Native::Object(HashMap::new()));
        RustRuleEngine::new(knowledge).execute(&facts).unwrap();
        let Some(Native::Object(out)) = facts.get("Out") else { panic!("the object is there") };
        let number = |value: &Native| match value {
            Native::Integer(number) => *number,
            Native::Number(number) => number.to_string().parse().unwrap(),
            other => panic!("{other:?} was assigned"),
        };
        out.iter().map(|(name, value)| (name.clone(), number(value))).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn both_evaluators_decide_alike(case in case()) {
        prop_assert_eq!(case.ours(), case.theirs(), "{}", case.text("Out."));
    }
}
