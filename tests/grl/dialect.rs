//! Rule files as people already have them: flat or dotted facts, no-loop, salience, Log. They load unchanged.

use std::sync::Arc;
use std::time::Duration;

use tributary::grl::{Engine, Limits, LocalFact, Ruleset, Scope};
use tributary::types::{Deadline, Value};

use crate::purchasing::{clock, file};

/// What the rules make of starting facts (JSON), and what they log.
fn decide(rules: &str, facts: &str) -> (String, Vec<String>) {
    let text = file("theirs.grl", rules);
    let Value::Map(facts) = Value::from_json(&serde_json::from_str(facts).unwrap()).unwrap() else { panic!("a map") };
    let starting = |(name, value): (&Arc<str>, &Value)| LocalFact::Starting {
        name: name.clone(),
        value: value.clone(),
        span: text.span(0..0),
    };
    let starting: Vec<LocalFact> = facts.iter().map(starting).collect();
    let limits = Limits::default();
    let (ruleset, _) = Ruleset::compile("theirs", std::slice::from_ref(&text), &Scope::new(), &starting, &limits)
        .unwrap_or_else(|found| panic!("{found}"));
    let mut engine = Engine::new(Arc::new(ruleset), &limits).unwrap();
    let evaluation = engine.evaluate(&[], &clock(), Deadline::after(Duration::from_secs(5))).unwrap();
    (evaluation.facts.to_string(), evaluation.log)
}

#[test]
fn dotted_facts_of_objects_load_unchanged() {
    let rules = r#"
        // Customer tiers
        rule "GoldCustomer" "big spenders" salience 100 no-loop true {
            when
                Customer.TotalSpent >= 1000.0 && Customer.Country == "NO"
            then
                Customer.Tier = "gold";
                Order.Discount = 0.15;
                Log("Gold customer detected");
        }
        rule "ApplyDiscount" salience 50 no-loop {
            when
                Order.Discount > 0 && (Order.Amount - 10) * 2 > 100
            then
                Order.Total = Order.Amount - Order.Amount * Order.Discount;
        }
        rule "Blocked" salience -10 no-loop {
            when !Customer.Active || Customer.Country in ["XX", "YY"]
            then Customer.Tier = "none";
        }"#;
    let facts = r#"{"Customer": {"TotalSpent": 1200, "Country": "NO", "Active": true}, "Order": {"Amount": 200.00}}"#;
    let (facts, log) = decide(rules, facts);
    assert_eq!(
        facts,
        r#"{"Customer":{"TotalSpent":1200,"Country":"NO","Active":true,"Tier":"gold"},"Order":{"Amount":200.00,"Discount":0.15,"Total":170.0000}}"#
    );
    assert_eq!(log, ["Gold customer detected"]);
}

#[test]
fn flat_facts_and_rules_in_any_order_load_unchanged() {
    let rules = "rule Decide salience 1 { when need_reorder == true && done == false then order_qty = shortage; done = true; }\r\n\
                 rule Shortage salience 10 { when available<required*factor && need_reorder==false then\r\n\
                 shortage=required*factor-available; need_reorder=true; }\r\n";
    let facts = r#"{"available": 5, "required": 4, "factor": 2, "need_reorder": false, "done": false}"#;
    let (facts, _) = decide(rules, facts);
    assert_eq!(
        facts,
        r#"{"available":5,"required":4,"factor":2,"need_reorder":true,"done":true,"order_qty":3,"shortage":3}"#
    );
}

#[test]
fn counters_and_text_in_any_script_load_unchanged() {
    let rules = "rule \"Zähler\" { when zähler < 3 then zähler += 1; Log('名前', zähler, \"🎉\"); }";
    let (facts, log) = decide(rules, r#"{"zähler": 0}"#);
    assert_eq!(facts, r#"{"zähler":3}"#);
    assert_eq!(log, ["名前 1 🎉", "名前 2 🎉", "名前 3 🎉"]);
}
