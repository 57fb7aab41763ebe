//! What policies are written with: lists of reasons, values computed from rows, conditional and computed values.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tributary::diagnostics::Diagnostics;
use tributary::grl::{
    Constant, Definitions, Engine, Evaluation, FactRef, Limits, LocalFact, Lookup, Owner, Reason, RuleError, Ruleset,
    Scope,
};
use tributary::types::{Deadline, FieldName, Shape, Type, Value};

use crate::purchasing::{clock, file};

fn json(text: &str) -> Value {
    Value::from_json(&serde_json::from_str(text).unwrap()).unwrap()
}

/// Rules over the rows of `t` (`kind`, `amount`) and the inputs `age` and `name`, with a list of reasons.
struct Policy {
    rules: String,
    rows: Lookup,
    input: BTreeMap<&'static str, Lookup>,
}

impl Policy {
    fn new(rules: &str) -> Self {
        let rows = r#"[{"kind": "salary", "amount": 2000.00}, {"kind": "rent", "amount": -800.00}, {"kind": "salary", "amount": 1500.50}]"#;
        let input = BTreeMap::from([
            ("age", Lookup::Value(Value::Integer(17))),
            ("name", Lookup::Value(Value::text("Ada"))),
            ("late", Lookup::Unset),
        ]);
        Self { rules: rules.to_owned(), rows: Lookup::Value(json(rows)), input }
    }

    fn rows(mut self, rows: &str) -> Self {
        self.rows = Lookup::Value(json(rows));
        self
    }

    fn scope() -> Scope {
        let row = |fields: &[(&str, Type)]| {
            Shape::closed(fields.iter().map(|(name, ty)| (FieldName::from(*name), ty.clone())))
        };
        let mut definitions = Definitions::default();
        let mut found = Diagnostics::new();
        let place = file("graph.yaml", "limits");
        let limits = Value::list([18, 75].map(Value::Integer));
        definitions.add_constant(
            Constant { name: "limits".into(), value: limits, description: None, span: place.span(0..6) },
            &mut found,
        );
        let signature = file("graph.yaml", "share(part, whole)");
        let body = file("graph.yaml", "part / whole");
        definitions.add_function(&signature, &body, None, &Limits::default(), &mut found);
        assert!(found.is_empty(), "{found}");
        let mut scope = Scope::new();
        scope.define(Arc::new(definitions));
        let input = row(&[("age", Type::Integer), ("name", Type::Text)]);
        scope.add("input", Owner::Input, Type::Map(Arc::new(input)));
        let rows = row(&[("kind", Type::Text), ("amount", Type::Decimal)]);
        scope.add("t", Owner::Node(0), Type::List(Arc::new(Type::Map(Arc::new(rows)))));
        scope.add("other", Owner::Node(1), Type::Map(Arc::new(row(&[("late", Type::Integer)]))));
        scope
    }

    fn evaluate(&self) -> Result<Evaluation, RuleError> {
        self.run(|engine, reads| engine.evaluate(reads, &clock(), Deadline::after(Duration::from_secs(5))))
    }

    /// Why each rule that did not fire did not.
    fn reasons(&self) -> Vec<String> {
        let explained =
            self.run(|engine, reads| engine.explain(reads, &clock(), Deadline::after(Duration::from_secs(5))));
        let idle = explained.unwrap().trace.unwrap().idle;
        idle.iter()
            .flat_map(|idle| match &idle.because {
                Reason::False(failed) => failed.iter().map(ToString::to_string).collect(),
                other => vec![format!("{other:?}")],
            })
            .collect()
    }

    fn run<T>(&self, evaluate: impl FnOnce(&mut Engine, &[Lookup]) -> Result<T, RuleError>) -> Result<T, RuleError> {
        let text = file("policy.grl", &self.rules);
        let empty =
            |name: &str| LocalFact::Starting { name: name.into(), value: Value::list([]), span: text.span(0..0) };
        let (limits, starting) = (Limits::default(), [empty("reasons")]);
        let compiled = Ruleset::compile("policy", std::slice::from_ref(&text), &Self::scope(), &starting, &limits);
        let (ruleset, _) = compiled.unwrap_or_else(|found| panic!("{found}"));
        let reads: Vec<Lookup> = ruleset.reads().iter().map(|fact| self.read(fact)).collect();
        let mut engine = Engine::new(Arc::new(ruleset), &limits)?;
        evaluate(&mut engine, &reads)
    }

    fn read(&self, fact: &FactRef) -> Lookup {
        match fact.owner {
            Owner::Node(0) => match &self.rows {
                Lookup::Value(rows) => Lookup::Value(rows.at(fact.path.iter().map(|name| &**name)).unwrap()),
                other => other.clone(),
            },
            _ => self.input[&*fact.path[0]].clone(),
        }
    }

    fn facts(&self) -> String {
        self.evaluate().unwrap().facts.to_string()
    }

    fn unknown(&self) -> Vec<String> {
        let evaluation = self.evaluate().unwrap();
        evaluation
            .unknown
            .iter()
            .flat_map(|unknown| unknown.facts().map(ToString::to_string).collect::<Vec<_>>())
            .collect()
    }

    fn error(&self) -> String {
        self.evaluate().unwrap_err().to_string()
    }
}

#[test]
fn every_rule_that_fires_appends_its_reason_in_the_order_of_the_rules() {
    let rules = r#"
        rule "Young" no-loop { when age < 18 then reasons += {code: "age", least: 18}; }
        rule "Poor" no-loop { when sum(x.amount for x in t where x.kind == "salary") < 3000 then reasons += {code: "income", least: 3000}; }
        rule "Rent" no-loop { when any(x in t where x.kind == "rent" and x.amount < -500) then reasons += {code: "rent", least: -500}; }
        rule "Verdict" salience -10 no-loop { when len(reasons) > 0 then declined = true; codes = [r.code for r in reasons]; }"#;
    assert_eq!(
        Policy::new(rules).facts(),
        r#"{"reasons":[{"code":"age","least":18},{"code":"rent","least":-500}],"declined":true,"codes":["age","rent"]}"#
    );
}

#[test]
fn lists_grow_by_values_and_by_lists_and_texts_are_joined() {
    let rules = r#"
        rule "A" salience 2 no-loop { when true then xs = []; note = "a"; }
        rule "B" salience 1 no-loop { when true then xs += "one"; xs += ["two", "three"]; note = note + "b" + "c"; }"#;
    assert_eq!(Policy::new(rules).facts(), r#"{"reasons":[],"xs":["one","two","three"],"note":"abc"}"#);
}

#[test]
fn a_rule_that_waits_makes_the_whole_list_unknown_and_nothing_else() {
    let rules = r#"
        rule "Young" no-loop { when age < 18 then reasons += "age"; declined = true; }
        rule "Late" no-loop { when other.late > 3 then reasons += "late"; }"#;
    assert_eq!(Policy::new(rules).unknown(), ["reasons"]);
}

#[test]
fn the_order_of_a_list_is_unknown_where_a_missing_fact_could_have_changed_it() {
    let rules = r#"
        rule "First" salience 9 no-loop { when other.late > 3 then flag = true; }
        rule "Second" salience 5 no-loop { when flag then reasons += "second"; }
        rule "Third" salience 1 no-loop { when age < 18 then reasons += "third"; flag = true; }"#;
    let mut policy = Policy::new(rules);
    assert_eq!(policy.unknown(), ["reasons", "flag"]);
    policy.input.insert("late", Lookup::Value(Value::Integer(1)));
    assert_eq!(policy.facts(), r#"{"reasons":["third","second"],"flag":true}"#);
    policy.input.insert("late", Lookup::Value(Value::Integer(5)));
    assert_eq!(policy.facts(), r#"{"reasons":["second","third"],"flag":true}"#);
}

#[test]
fn computed_facts_follow_what_they_are_made_from_wherever_they_stand() {
    let rules = r#"
        let double = total * 2;
        let more = double + 1;
        rule "Start" salience 9 no-loop { when true then total = 1; }
        rule "Add" salience 5 no-loop { when total > 0 then total += 10; }
        rule "Read" salience 1 no-loop { when more > 5 then seen = more; }"#;
    assert_eq!(Policy::new(rules).facts(), r#"{"reasons":[],"double":22,"more":23,"total":11,"seen":23}"#);
    let waits = "let late_too = other.late + 1;\nrule \"A\" no-loop { when late_too > 1 then a = 1; }";
    assert_eq!(Policy::new(waits).unknown(), ["late_too", "a"]);
}

#[test]
fn only_the_chosen_value_of_a_conditional_is_computed() {
    let rules = r#"rule "A" no-loop { when true then
        a = if age == 0 then 100 / age else if age < 18 then 1 else 2;
        b = if age > 100 then other.late else 5;
        c = (if age < limits_low then 1 else 2) * 10; }
        let limits_low = min(limits);"#;
    assert!(Policy::new(rules).facts().contains(r#""a":1,"b":5,"c":10"#), "{}", Policy::new(rules).facts());
    let zero = r#"rule "A" no-loop { when true then a = if age < 18 then 100 / (age - 17) else 1; }"#;
    assert!(Policy::new(zero).error().contains("division by zero"));
    let waits = r#"rule "A" no-loop { when true then a = if other.late > 1 then 1 else 2; }"#;
    assert_eq!(Policy::new(waits).unknown(), ["a"]);
}

#[test]
fn an_element_with_a_null_is_an_error_that_names_it_and_rows_that_are_missing_make_the_rule_wait() {
    let rules = r#"rule "A" no-loop { when any(x in t where x.amount > 0) then found = true; }"#;
    let error = Policy::new(rules).rows(r#"[{"kind": "a", "amount": null}]"#).error();
    assert!(error.contains("`x.amount` is null, which > does not take"), "{error}");
    assert_eq!(Policy::new(rules).rows("[]").facts(), r#"{"reasons":[]}"#);
    let missing = Policy { rows: Lookup::Unset, ..Policy::new(rules) };
    assert_eq!(missing.unknown(), ["found"]);
}

#[test]
fn an_error_in_a_function_of_the_graph_names_the_function_and_the_call() {
    let rules = r#"rule "A" no-loop { when true then a = share(1, age - 17); }"#;
    let error = Policy::new(rules).error();
    assert!(error.contains("policy.grl:1 `share(1, age - 17)`: in `share`: division by zero"), "{error}");
}

#[test]
fn a_list_that_doubles_itself_is_stopped() {
    let rules = r#"rule "A" { when len(reasons) >= 0 then reasons += "x"; reasons += reasons; }"#;
    assert!(Policy::new(rules).error().contains("more than 100000 elements"), "{}", Policy::new(rules).error());
}

#[test]
fn setters_and_getters_of_rust_rule_engine_are_fields() {
    let rules = r#"
        rule "A" salience 1 no-loop { when age < 18 then Order.setTotal(age * 2); Order.Note = "n"; }
        rule "B" no-loop { when Order.getTotal() == 34 and not (Order.Total > 40) then Order.setDone(true); }"#;
    assert_eq!(Policy::new(rules).facts(), r#"{"reasons":[],"Order":{"Total":34,"Note":"n","Done":true}}"#);
}

#[test]
fn explanations_show_constants_by_name_and_value_and_rows_by_their_number() {
    let rules = r#"
        rule "A" no-loop { when share(age, 17) > min(limits) then a = 1; }
        rule "B" no-loop { when any(x in t where x.amount > 9000) then b = 1; }
        rule "C" no-loop { when age in limits then c = 1; }"#;
    assert_eq!(
        Policy::new(rules).reasons(),
        [
            "share(age, 17) 1 > min(limits): short by 17",
            "any(x in t where x.amount > 9000): count(t) 3",
            "age 17 in limits [18,75]"
        ]
    );
}
