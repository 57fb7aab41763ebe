//! Generated flows: two query nodes, one node of rules, an outcome that shows all its facts.

use std::fmt::Write;
use std::sync::Arc;

use proptest::prelude::*;
use tributary::config::Env;
use tributary::diagnostics::Source;
use tributary::flow::offline::{Answers, StubResponse};
use tributary::graph::{Context, Flow, RuleFiles, compile};
use tributary::types::{Decimal, FieldName, NodeId, Value};

/// A generated flow with the rows of its databases.
#[derive(Debug, Clone)]
pub struct Case {
    /// The rules.
    pub rules: String,
    /// What node `a` answers: its rows.
    pub a: Vec<Value>,
    /// What node `b` answers.
    pub b: Vec<Value>,
}

impl Case {
    /// What the databases answer.
    pub fn answers(&self) -> Answers {
        let rows = |rows: &[Value]| StubResponse::Rows { rows: rows.to_vec(), params: None };
        let id = |name| NodeId::parse(name).expect("a name");
        Answers::from([(id("a"), rows(&self.a)), (id("b"), rows(&self.b))])
    }

    /// The flow; `None` where the rules are refused, as some generated ones are.
    pub fn flow(&self) -> Option<Flow> {
        let env = Env::default();
        let context = Context::new(&env);
        compile(&Source::new("graph.yaml", GRAPH), self, &context).ok().map(|(flow, _)| flow)
    }
}

impl RuleFiles for Case {
    fn read(&self, _: &str) -> std::io::Result<Arc<Source>> {
        Ok(Source::new("generated.grl", self.rules.clone()))
    }
}

const GRAPH: &str = r#"
flow: generated
nodes:
  a: { type: DBNode, database: a_db, query: "SELECT n, m, flag, name FROM a", params: [] }
  b: { type: DBNode, database: b_db, query: "SELECT x, due FROM b", params: [], rows: optional }
  r:
    type: RuleNode
    rules: generated.grl
    facts: { total: 0, note: "" }
    dependencies: [a, b]
outcomes:
  - { status: done, when: "r.total >= 0", message: "{r.note}", body: { total: r.total, n: a.n, m: a.m, due: b.due, x: b.x } }
  - { status: below, when: "r.total < 0", body: { total: r.total, facts: r } }
"#;

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        (-20i64..20).prop_map(Value::Integer),
        (-2000i128..2000, 0u32..3)
            .prop_map(|(digits, scale)| Value::Decimal(Decimal::from_i128(digits, scale).unwrap())),
    ]
}

fn row_a() -> impl Strategy<Value = Value> {
    let nullable = prop_oneof![9 => number(), 1 => Just(Value::Null)];
    (number(), nullable, any::<bool>(), "[a-c]{0,2}").prop_map(|(n, m, flag, name)| {
        Value::map([
            (FieldName::from("n"), n),
            (FieldName::from("m"), m),
            (FieldName::from("flag"), Value::Boolean(flag)),
            (FieldName::from("name"), Value::text(name)),
        ])
    })
}

fn row_b() -> impl Strategy<Value = Value> {
    (number(), 0i64..400).prop_map(|(x, days)| {
        let start: jiff::civil::Date = "2026-01-01".parse().unwrap();
        let due = start.saturating_add(jiff::Span::new().days(days));
        Value::map([(FieldName::from("x"), x), (FieldName::from("due"), Value::Date(due))])
    })
}

fn rows<S: Strategy<Value = Value>>(row: S) -> impl Strategy<Value = Vec<Value>> {
    prop_oneof![1 => Just(Vec::new()), 12 => row.prop_map(|row| vec![row])]
}

fn operand() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("a.n".to_owned()),
        Just("a.m".to_owned()),
        Just("b.x".to_owned()),
        Just("total".to_owned()),
        Just("f0".to_owned()),
        Just("f1".to_owned()),
        Just("f2".to_owned()),
        (-20i64..20).prop_map(|number| if number < 0 { format!("({number})") } else { number.to_string() }),
    ]
}

fn sum() -> impl Strategy<Value = String> {
    let operator = prop_oneof![Just("+"), Just("-"), Just("*"), Just("/"), Just("%")];
    prop_oneof![
        2 => operand(),
        1 => (operand(), operator, operand()).prop_map(|(a, operator, b)| format!("({a} {operator} {b})")),
    ]
}

fn comparison() -> impl Strategy<Value = String> {
    let operator = prop_oneof![Just("<"), Just("<="), Just(">"), Just(">="), Just("=="), Just("!=")];
    prop_oneof![
        6 => (sum(), operator, sum()).prop_map(|(a, operator, b)| format!("{a} {operator} {b}")),
        1 => Just("a.flag".to_owned()),
        1 => "[a-c]{1,2}".prop_map(|text| format!("a.name == \"{text}\"")),
        1 => Just("b.due > date(\"2026-06-01\")".to_owned()),
        1 => "[a-c]".prop_map(|text| format!("a.name startsWith \"{text}\"")),
    ]
}

fn condition() -> impl Strategy<Value = String> {
    comparison().prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" && "))),
            proptest::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" || "))),
            inner.prop_map(|part| format!("!({part})")),
        ]
    })
}

fn statement() -> impl Strategy<Value = String> {
    let target = prop_oneof![Just("f0"), Just("f1"), Just("f2"), Just("total")];
    let assign = prop_oneof![4 => Just("="), 1 => Just("+="), 1 => Just("-=")];
    prop_oneof![
        5 => (target, assign, sum()).prop_map(|(target, assign, value)| format!("{target} {assign} {value};")),
        1 => sum().prop_map(|value| format!("Log(\"value\", {value});")),
        1 => "[a-z]{1,4}".prop_map(|text| format!("note = \"{text}\";")),
    ]
}

/// Generated flows with their rows.
pub fn case() -> impl Strategy<Value = Case> {
    let rule = (condition(), proptest::collection::vec(statement(), 1..4), -3i32..4);
    (proptest::collection::vec(rule, 1..7), rows(row_a()), rows(row_b())).prop_map(|(rules, a, b)| {
        let mut text = String::new();
        for (number, (condition, statements, salience)) in rules.iter().enumerate() {
            let then = statements.join(" ");
            writeln!(text, "rule \"R{number}\" salience {salience} no-loop {{ when {condition} then {then} }}")
                .unwrap();
        }
        Case { rules: text, a, b }
    })
}
