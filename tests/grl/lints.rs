//! Rules that load and cannot mean what they say get a warning.

use tributary::diagnostics::Diagnostics;
use tributary::grl::{Limits, LocalFact, Ruleset};
use tributary::types::Value;

use crate::purchasing::{file, scope};

fn warnings(rules: &str, facts: &[(&str, Value)], read_elsewhere: &[&str]) -> Diagnostics {
    let text = file("rules.grl", rules);
    let starting = facts.iter().map(|(name, value)| LocalFact::Starting {
        name: (*name).into(),
        value: value.clone(),
        span: text.span(0..0),
    });
    let starting: Vec<LocalFact> = starting.collect();
    let (ruleset, mut found) = Ruleset::compile("node", &[text], &scope(), &starting, &Limits::default())
        .unwrap_or_else(|found| panic!("{found}"));
    found.extend(ruleset.unused(|fact| read_elsewhere.contains(&fact)));
    found
}

fn codes(found: &Diagnostics) -> Vec<&'static str> {
    found.iter().map(|warning| warning.code).collect()
}

#[test]
fn rules_that_never_fire_are_warned_of_with_the_reason() {
    for (condition, reason) in [
        ("false", "never true"),
        ("moq > 0 && false", "never true"),
        ("!true", "never true"),
        ("moq > 10 && moq < 5", "contradicts"),
        ("moq > 10 && 10 >= moq", "contradicts"),
        ("moq == 1 && moq == 2", "contradicts"),
        ("supplier_name == \"a\" && supplier_name == \"b\"", "contradicts"),
        ("(moq > 3 && moq < 2) || 2 < 1", "never true"),
        ("2 < 1", "never true"),
        ("!(moq > 0 || late > 0)", "set only by rules that wait for it"),
        ("late > 0", "set only by rules that wait for it"),
        ("moq > 0 && (late > 0 || later > 0)", "set only by rules that wait for it"),
    ] {
        let rules = format!(
            "rule A no-loop {{ when {condition} then x = 1; }}
             rule Late no-loop {{ when late > 1 then late = 1; later = 2; }}"
        );
        let found = warnings(&rules, &[], &["x", "late", "later"]);
        let is_warned = found.iter().any(|warning| {
            warning.code == "never-fires"
                && warning.message.contains("`A`")
                && warning.label.as_deref().is_some_and(|label| label.contains(reason))
        });
        assert!(is_warned, "{condition}: {found}");
    }
}

#[test]
fn rules_that_may_fire_get_no_warning() {
    for (condition, then) in [
        ("moq > 5 && moq < 10", "x = 1;"),
        ("moq >= 5 && moq <= 5", "x = 1;"),
        ("moq > 0 && other > 0", "x = other;"),
        ("moq > 0 || never > 0", "x = 1;"),
        ("!(moq > 0 && never > 0)", "x = 1;"),
        ("moq > 0", "y = 1; x = y + 1;"),
        ("moq > 0", "x = moq < 0 && never > 0;"),
        ("(moq < 0 && never > 0) == false", "x = 1;"),
        ("begun", "x = begun_with;"),
        ("state == \"new\" || state == \"old\"", "x = 1;"),
        ("lines_ok != null", "x = 1;"),
    ] {
        let rules = format!(
            "rule A no-loop {{ when {condition} then {then} }}
             rule Other no-loop {{ when moq > 1 then other = 1; lines_ok = true; state = \"new\"; }}
             rule Old no-loop {{ when moq > 2 then state = \"old\"; }}
             rule Never no-loop {{ when never > 1 then never = 2; }}"
        );
        let facts = [("begun", Value::Boolean(true)), ("begun_with", Value::Integer(1))];
        let read = ["x", "y", "other", "never", "begun", "begun_with", "state", "lines_ok"];
        let found = warnings(&rules, &facts, &read);
        assert!(!found.iter().any(|warning| warning.message.contains("`A`")), "{condition}: {found}");
        assert!(!codes(&found).contains(&"never-equal"), "{condition}: {found}");
    }
}

#[test]
fn a_comparison_with_a_value_that_no_rule_assigns_is_warned_of() {
    let rules = "rule Small no-loop { when moq < 10 then status = \"small\"; big = false; }
                 rule Large no-loop { when moq >= 10 then status = \"large\"; }
                 rule Act no-loop { when status == \"lagre\" || status in [\"small\", \"medium\"] || big then x = 1; }";
    let found = warnings(rules, &[], &["x"]);
    assert_eq!(codes(&found), ["never-equal", "never-equal", "never-equal"], "{found}");
    let text = found.to_string();
    assert!(text.contains("`status` is never \"lagre\"") && text.contains("`big` is never true"), "{text}");
    assert!(text.contains("only make it \"large\" or \"small\""), "{text}");
    let started = warnings(rules, &[("status", Value::text("lagre")), ("big", Value::Boolean(true))], &["x"]);
    assert_eq!(codes(&started), ["never-equal"], "{started}");
    assert!(started.to_string().contains("`status` is never \"medium\""), "{started}");
    assert!(started.to_string().contains("and its starting value only make it \"lagre\" or"), "{started}");
    let level = "rule Low no-loop { when moq < 10 then level = 1; }
                 rule High no-loop { when moq >= 10 then level = 2.0; }
                 rule Act no-loop { when level == 2 || level == 3 then x = level == 4; }";
    let found = warnings(level, &[], &["x"]);
    assert_eq!(codes(&found), ["never-equal", "never-equal"], "{found}");
}

#[test]
fn a_rule_that_never_settles_is_warned_of() {
    let facts = [("x", Value::Integer(0))];
    let found = warnings("rule Up { when moq > 0 then x += 1; }", &facts, &["x"]);
    assert_eq!(codes(&found), ["never-settles"]);
    for settles in ["x = 1;", "x += 1; x -= 1;", "x += 0;"] {
        let rule = format!("rule Up {{ when moq > 0 then {settles} }}");
        assert_eq!(codes(&warnings(&rule, &facts, &["x"])), [""; 0], "{settles}");
    }
    let counted = "rule Start no-loop { when moq > 0 then n = 0; } rule Up { when n < 3 then n += 1; }";
    assert_eq!(codes(&warnings(counted, &[], &[])), [""; 0]);
}

#[test]
fn facts_that_nothing_reads_are_warned_of() {
    let rules = "rule A no-loop { when moq > 0 then used = 1; order.qty = used; order.qyt = 2; typo = 3; }";
    let facts = [("shortage", Value::Integer(0)), ("moved", Value::Integer(0))];
    let found = warnings(rules, &facts, &["order.qty", "moved"]);
    assert_eq!(codes(&found), ["unused-fact"; 3], "{found}");
    for name in ["`shortage`", "`order.qyt`", "`typo`"] {
        assert!(found.to_string().contains(name), "{found}");
    }
}

#[test]
fn a_rule_that_expires_before_it_takes_effect_is_warned_of() {
    let rules = "rule A date-effective \"2027-01-01\" date-expires \"2026-01-01\" no-loop { when moq > 0 then x = 1; }";
    assert_eq!(codes(&warnings(rules, &[], &["x"])), ["never-fires"]);
}

/// Whether the rules with these starting facts get a warning of this code.
fn is_warned_of(code: &str, rules: &str, facts: &[(&str, Value)]) -> bool {
    let found = warnings(rules, facts, &["x", "y", "n", "late"]);
    for warning in found.iter().filter(|warning| warning.code == code) {
        assert!(warning.help.is_some(), "{warning:?}");
    }
    codes(&found).contains(&code)
}

#[test]
fn rules_that_always_fire_are_warned_of_and_others_are_not() {
    for (condition, always) in [
        ("true", true),
        ("1 < 2", true),
        ("n > 3 || n <= 3", true),
        ("!(n > 3 && n < 2)", true),
        ("n > 3 || n < 3", false),
        ("input.product_id != null || input.product_id == null", true),
        ("input.product_id != null", false),
        ("n >= 0", false),
        // A row that is not there leaves its columns unset, and the rule waits.
        ("moq > 3 || moq <= 3", false),
    ] {
        let rules = format!("rule A no-loop {{ when {condition} then x = 1; }}");
        assert_eq!(is_warned_of("always-fires", &rules, &[("n", Value::Integer(1))]), always, "{condition}");
    }
    assert!(!is_warned_of("always-fires", "rule A no-loop { when true then x = moq; }", &[]));
}

#[test]
fn conditions_that_no_values_make_true_are_warned_of_through_alternatives() {
    for (condition, never) in [
        ("(moq > 3 && moq < 2) || (moq == 1 && moq == 2)", true),
        ("moq in [1, 2] && moq > 5", true),
        ("moq in [1, 2] && moq > 1", false),
        ("lead_time > moq && lead_time <= moq", true),
        ("supplier_name == \"a\" && !(supplier_name == \"a\")", true),
        ("moq == null && moq > 1", true),
    ] {
        let rules = format!("rule A no-loop {{ when {condition} then x = 1; }}");
        assert_eq!(is_warned_of("never-fires", &rules, &[]), never, "{condition}");
    }
}

#[test]
fn ends_of_a_rule_are_compared_as_the_times_they_are() {
    for (from, until, never) in [
        ("2026-02-01", "2026-01-01", true),
        ("2026-01-01", "2026-01-01", true),
        ("2026-01-01T10:00:00+05:00", "2026-01-01T08:00:00Z", false),
        ("2026-01-01T10:00:00+01:00", "2026-01-01T08:00:00Z", true),
        ("2026-01-01", "2026-01-01T08:00:00Z", false),
    ] {
        let rule =
            format!("rule A date-effective \"{from}\" date-expires \"{until}\" no-loop {{ when moq > 0 then x = 1; }}");
        assert_eq!(is_warned_of("never-fires", &rule, &[]), never, "{from} {until}");
    }
}

#[test]
fn a_list_of_very_many_values_is_looked_at_in_no_time() {
    let values = (0..50_000).map(|number| number.to_string()).collect::<Vec<_>>().join(", ");
    let rules = format!("rule A no-loop {{ when moq in [{values}] then x = 1; }}");
    assert!(!is_warned_of("always-fires", &rules, &[]));
}
