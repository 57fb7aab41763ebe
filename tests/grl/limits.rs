//! What a rule file may cost: crossing a limit is an error that names it; what is legal is also fast.

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tributary::diagnostics::Diagnostics;
use tributary::grl::{
    Engine, Evaluation, Expression, ExpressionKind, FactRef, Facts, Limits, Lookup, RuleError, Ruleset,
};
use tributary::types::{Deadline, Value};

use crate::purchasing::{clock, file, scope};

/// Evaluates rules over rows in which every number is 5.
fn decide(rules: &str, limits: &Limits) -> Result<Evaluation, RuleError> {
    let (ruleset, _) = Ruleset::compile("node", &[file("rules.grl", rules)], &scope(), &[], limits)
        .unwrap_or_else(|found| panic!("{found}"));
    let reads: Vec<Lookup> = ruleset.reads().iter().map(|_| Lookup::Value(Value::Integer(5))).collect();
    let mut engine = Engine::new(Arc::new(ruleset), limits)?;
    engine.evaluate(&reads, &clock(), Deadline::after(Duration::from_secs(60)))
}

fn refused(expression: &str, limits: &Limits) -> Diagnostics {
    Expression::compile(&file("graph.yaml", expression), &scope(), ExpressionKind::Condition, limits).unwrap_err()
}

fn codes(found: &Diagnostics) -> Vec<&'static str> {
    found.iter().map(|diagnostic| diagnostic.code).collect()
}

#[test]
fn each_limit_of_a_file_has_an_error_of_its_own() {
    let limits = Limits { max_file_bytes: 60, max_nesting: 3, max_terms: 4, ..Limits::default() };
    let long = format!("moq > 1 {}", " ".repeat(60));
    for (expression, code, named) in [
        (long.as_str(), "file-too-long", "rules.limits.file_bytes"),
        ("((((moq > 1))))", "nested-too-deep", "rules.limits.nesting"),
        ("!!!!is_active", "nested-too-deep", "rules.limits.nesting"),
        ("moq + 1 + 2 + 3 + 4 > 5", "too-many-terms", "rules.limits.terms"),
    ] {
        let found = refused(expression, &limits);
        assert_eq!(codes(&found), [code], "{expression}");
        assert!(found.to_string().contains(named), "{found}");
    }
    let rules = "rule A no-loop { when moq > 0 then a = 1; } rule B no-loop { when moq > 0 then b = 1; }";
    let limits = Limits { max_rules: 1, ..Limits::default() };
    let found = Ruleset::compile("node", &[file("rules.grl", rules)], &scope(), &[], &limits).unwrap_err();
    assert_eq!(codes(&found), ["too-many-rules"]);
    assert!(found.to_string().contains("rules.limits.rules"), "{found}");
}

#[test]
fn nothing_is_too_deep_for_the_stack_whatever_the_limits_say() {
    let limits = Limits { max_nesting: 1_000_000, ..Limits::default() };
    for depth in [5_000, 200_000] {
        for (open, inner, close) in [
            ("(", "moq", ")"),
            ("!", "is_active", ""),
            ("-", "moq", ""),
            ("[", "1", "]"),
            ("abs(", "moq", ")"),
            ("a.", "b", ""),
        ] {
            let expression = format!("{}{inner}{}", open.repeat(depth), close.repeat(depth));
            assert_eq!(codes(&refused(&expression, &limits)), ["nested-too-deep"], "{depth} times {open}");
        }
    }
    // The deepest that is legal is read, checked, evaluated and dropped on half a thread's usual stack.
    let mixed = "true || true && 1 < 1 + 1 * (";
    for (open, times, inner) in
        [("(!", 240, "(moq > 0)"), (mixed, 40, "moq"), ("abs(", 240, "moq"), ("1 < 2 + abs(", 70, "1")]
    {
        let deepest = format!("{}{inner}{}", open.repeat(times), ")".repeat(times));
        let limits = limits.clone();
        let work = move || {
            let compiled = Expression::compile(&file("graph.yaml", &deepest), &scope(), ExpressionKind::Value, &limits);
            let codes = compiled.as_ref().map_or_else(codes, |_| Vec::new());
            assert!(!codes.contains(&"nested-too-deep"), "{codes:?}");
            compiled.ok().map(|(expression, _)| expression.evaluate(&Fives, &clock()))
        };
        let value = std::thread::Builder::new().stack_size(2 << 20).spawn(work).unwrap().join().unwrap();
        assert!(!matches!(value, Some(Err(_))), "{value:?}");
    }
    // What is too deep is noticed on the way down.
    let mixed = format!("{}moq{}", mixed.repeat(5_000), ")".repeat(5_000));
    assert_eq!(codes(&refused(&mixed, &limits)), ["nested-too-deep"]);
}

/// Every fact is 5.
struct Fives;

impl Facts for Fives {
    fn read(&self, _: &FactRef) -> Lookup {
        Lookup::Value(Value::Integer(5))
    }
}

#[test]
fn length_costs_no_depth() {
    let sum = vec!["moq"; 70_000].join("+");
    let rules = format!("rule Sum no-loop {{ when {sum} > 1 then total = {sum}; }}");
    assert_eq!(decide(&rules, &Limits::default()).unwrap().facts.to_string(), r#"{"total":350000}"#);
    let conditions = vec!["moq == 5"; 150].join(" && ");
    let rules = format!("rule All no-loop {{ when {conditions} then all_hold = true; }}");
    assert_eq!(decide(&rules, &Limits::default()).unwrap().facts.to_string(), r#"{"all_hold":true}"#);
}

/// 10,000 rules, each of which needs what the one before it wrote; in the file they stand in the order of `numbers`.
fn ten_thousand_rules(numbers: impl Iterator<Item = usize>) -> String {
    let mut rules = String::from("rule \"0\" no-loop { when moq > 0 then fact_0 = moq; }\n");
    for number in numbers {
        let before = number - 1;
        let rule = format!("when fact_{before} >= 0 && moq*2 > 3 then fact_{number} = fact_{before} + 1;");
        writeln!(rules, "rule \"{number}\" no-loop {{ {rule} }}").unwrap();
    }
    rules
}

#[test]
fn ten_thousand_rules_are_legal_and_load_at_once() {
    let limits = Limits { max_evaluation: Duration::from_secs(60), ..Limits::default() };
    // Without optimisation, and beside other tests, everything takes many times as long.
    let allowed = Duration::from_secs(if cfg!(debug_assertions) { 20 } else { 1 });
    for text in [ten_thousand_rules(1..10_000), ten_thousand_rules((1..10_000).rev())] {
        let started = Instant::now();
        let (ruleset, warnings) =
            Ruleset::compile("node", &[file("rules.grl", &text)], &scope(), &[], &limits).unwrap();
        Engine::new(Arc::new(ruleset), &limits).unwrap();
        let took = started.elapsed();
        assert!(took < allowed && warnings.is_empty(), "{took:?} {warnings}");
        println!("10,000 rules load in {took:?}");
    }
    let evaluation = decide(&ten_thousand_rules(1..10_000), &limits).unwrap();
    assert_eq!(evaluation.fired.len(), 10_000);
}

#[test]
fn a_condition_of_a_hundred_thousand_terms_is_checked_in_linear_time() {
    type Part<'a> = &'a dyn Fn(usize) -> String;
    let chain = |count: usize, between: &str, part: Part<'_>| (0..count).map(part).collect::<Vec<_>>().join(between);
    let shapes: [(&str, usize, Part<'_>); 7] = [
        (" && ", 33_000, &|i| format!("moq + {i} > 1")),
        (" || ", 50_000, &|i| format!("moq > {i}")),
        (" && ", 50_000, &|i| format!("moq != {i}")),
        (" && ", 50_000, &|i| format!("supplier_name == \"k{i}\"")),
        (" && ", 19_900, &|i| format!("!(moq > {i} || moq < {i})")),
        (" || ", 50_000, &|i| format!("written == \"k{i}\"")),
        (" && ", 33_000, &|i| format!("any(lines.qty > {i})")),
    ];
    // Without optimisation, and beside other tests, everything takes many times as long.
    let allowed = Duration::from_secs(if cfg!(debug_assertions) { 120 } else { 2 });
    for (between, count, part) in shapes {
        let condition = chain(count, between, part);
        let rules = format!(
            "rule Long no-loop {{ when {condition} then y = 1; }} rule W no-loop {{ when moq > 1 then written = \"w\"; }}"
        );
        let started = Instant::now();
        let compiled = Ruleset::compile("node", &[file("rules.grl", &rules)], &scope(), &[], &Limits::default());
        let (took, refused) = (started.elapsed(), compiled.err());
        assert!(took < allowed && refused.is_none(), "{took:?} for {}: {refused:?}", part(1));
    }
}

#[test]
fn rules_that_never_settle_and_rules_that_take_too_long_are_different_errors() {
    let endless = "rule Start salience 9 no-loop { when moq > 0 then a = 1; } rule Up { when a > 0 then a += 1; }";
    let error = decide(endless, &Limits::default()).unwrap_err();
    assert_eq!(error.to_string(), "after 100 passes these rules still fire: Up");
    let limits = Limits { max_evaluation: Duration::ZERO, ..Limits::default() };
    let error = decide("rule Slow no-loop { when moq > 0 then a = 1; }", &limits).unwrap_err();
    assert!(matches!(error, RuleError::Timeout { ref rule, .. } if rule == "Slow"), "{error}");
    // One rule of many expensive statements is stopped between them.
    let statement = format!("a = {};", vec!["1.000000000000000000001"; 2_000].join(" / 3 * "));
    let rules = format!("rule Slow no-loop {{ when moq > 0 then {} }}", statement.repeat(40));
    let limits = Limits { max_evaluation: Duration::from_millis(1), ..Limits::default() };
    let error = decide(&rules, &limits).unwrap_err();
    assert!(matches!(error, RuleError::Timeout { .. }), "{error}");
}

#[test]
fn the_last_pass_counts_only_what_fires_in_it() {
    // Three passes fire (one for each step) and the fourth finds nothing: with four allowed, that is rest.
    let rules = "rule Start salience 9 no-loop { when moq > 0 then n = 0; } rule Up { when n < 3 then n += 1; }";
    let with = |max_cycles| decide(rules, &Limits { max_cycles, ..Limits::default() });
    assert_eq!(with(4).unwrap().facts.to_string(), r#"{"n":3}"#);
    let error = with(3).unwrap_err();
    assert!(matches!(error, RuleError::Cycles { ref rules, .. } if *rules == ["Up"]), "{error}");
}

#[test]
fn a_rule_cannot_fill_the_memory() {
    let doubled = "rule Start salience 9 no-loop { when moq > 0 then s = \"0123456789\"; n = 0; }
                   rule Grow { when n < 90 then s = concat(s, s); n += 1; }";
    let error = decide(doubled, &Limits::default()).unwrap_err().to_string();
    assert!(error.contains("rule `Grow`") && error.contains("longer than"), "{error}");
    let replaced = "rule Start salience 9 no-loop { when moq > 0 then s = \"aa\"; n = 0; }
                    rule Grow { when n < 90 then s = replace(s, \"a\", \"aaaaaaaa\"); n += 1; }";
    let error = decide(replaced, &Limits::default()).unwrap_err().to_string();
    assert!(error.contains("longer than"), "{error}");
    for grow in ["replace_pattern(s, \"a\", \"${0}${0}aaaaaa\")", "replace_pattern(s, \".*\", \"$0$0\")"] {
        let grown = format!(
            "rule Start salience 9 no-loop {{ when moq > 0 then s = \"aa\"; n = 0; }}
             rule Grow {{ when n < 90 then s = {grow}; n += 1; }}"
        );
        let error = decide(&grown, &Limits::default()).unwrap_err().to_string();
        assert!(error.contains("longer than"), "{error}");
    }
    for grow in ["append(l, 1)", "concatenate(l, l)"] {
        let grown = format!(
            "rule Start salience 9 no-loop {{ when moq > 0 then l = [1, 2, 3]; n = 0; }}
             rule Grow {{ when n < 90 then l = concatenate(l, l, l, l); l = {grow}; n += 1; }}"
        );
        let error = decide(&grown, &Limits::default()).unwrap_err().to_string();
        assert!(error.contains("rule `Grow`") && error.contains("more than 100000 elements"), "{error}");
    }
    let squared = "rule Start salience 9 no-loop { when moq > 0 then x = 9.9; n = 0; }
                   rule Grow { when n < 90 then x = x * x; n += 1; }";
    let error = decide(squared, &Limits::default()).unwrap_err().to_string();
    assert!(error.contains("more than 1000 digits"), "{error}");
}
