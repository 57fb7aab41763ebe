//! `is_set`, `default` and `waiting: allow`: their meaning, errors and warnings.

use crate::flows::{Written, written};

fn flow(rules: &str) -> Written {
    let graph = r#"
flow: t
input: { age: { type: integer, required: false } }
nodes:
  person: { type: RuleNode, rules: person.grl }
  r: { type: RuleNode, rules: r.grl, dependencies: [person], facts: { found: 0 } }
outcomes:
  - { status: out, when: "r.found > 0" }
  - { status: in, when: "r.found == 0" }
"#;
    written(
        graph,
        &[("person.grl", r#"rule "Age" no-loop { when input.age != null then years = input.age; }"#), ("r.grl", rules)],
    )
}

#[test]
fn is_set_and_default_define_the_meaning_of_a_missing_fact() {
    for (condition, missing, young, old) in [
        ("is_set(years) && years < 18", "in", "out", "in"),
        ("!is_set(years) || years < 18", "out", "out", "in"),
        ("default(years, 0) < 18", "out", "out", "in"),
        ("default(years, 99) < 18", "in", "out", "in"),
        ("default(person.years, 99) < 18", "in", "out", "in"),
        ("is_set(input.age) == false", "in", "in", "in"),
        ("years < 18", "undecided", "out", "in"),
    ] {
        let flow = flow(&format!(r#"rule "R" no-loop {{ when {condition} then found += 1; }}"#));
        let ends = [flow.ending("{}"), flow.ending(r#"{"age": 5}"#), flow.ending(r#"{"age": 50}"#)];
        assert_eq!(ends, [missing, young, old], "{condition}");
    }
    let flow = flow(r#"rule "R" no-loop { when years < 18 then found += 1; }"#);
    let asks = |when: &str| {
        let graph = flow.graph.replace("\"r.found > 0\"", &format!("\"{when}\""));
        Written { graph, ..flow.clone() }.ending("{}")
    };
    assert_eq!(asks("is_set(r.found)"), "undecided", "the next outcome is unknown");
    assert_eq!(asks("!is_set(r.found)"), "out");
    assert_eq!(asks("default(r.found, 1) > 0"), "out");
    assert_eq!(asks("default(r.found, person.years) > 0"), "undecided");
}

#[test]
fn is_set_and_default_of_a_fact_that_a_rule_may_still_set_are_errors() {
    let asked = |writer: &str, reader: &str| {
        let rules = format!(
            r#"rule "Writer" {writer} no-loop {{ when years < 18 then minor = true; }}
rule "Reader" {reader} no-loop {{ when !is_set(minor) then found += 1; }}"#
        );
        flow(&rules)
    };
    assert_eq!(asked("salience 10", "salience 5").codes(), Vec::<&str>::new());
    assert_eq!(asked("salience 10", "salience 10").codes(), ["early-question"]);
    assert_eq!(asked("", "salience 10").codes(), ["early-question"]);
    assert_eq!(asked("salience 10", "salience 5").ending("{}"), "out");
    let own = r#"rule "R" no-loop { when default(level, 0) == 0 then level = 1; found += default(level, 0); }"#;
    assert_eq!(flow(own).codes(), ["early-question", "early-question"]);
}

#[test]
fn so_are_those_of_a_fact_whose_writer_reads_what_changes_after_it_was_tried() {
    let chain = |level: &str, minor: &str| {
        flow(&format!(
            r#"rule "Level" {level} {{ when years < 18 then level = 1; }}
rule "Minor" {minor} no-loop {{ when level == 1 then minor = true; }}
rule "Reader" salience 1 no-loop {{ when !is_set(minor) then found += 1; }}"#
        ))
    };
    let early = ["early-question"];
    assert_eq!(chain("salience 9 no-loop", "salience 5").codes(), Vec::<&str>::new());
    // Of one salience, the rules are tried in the order of their file.
    assert_eq!(chain("salience 5 no-loop", "salience 5").codes(), Vec::<&str>::new());
    assert_eq!(chain("salience 3 no-loop", "salience 5").codes(), early);
    assert_eq!(chain("no-loop", "salience 5").codes(), early);
    let by_way_of_others = r#"rule "Last" no-loop { when years < 18 then low = true; }
rule "Level" salience 9 no-loop { when low then level = 1; }
rule "Minor" salience 5 no-loop { when level == 1 then minor = true; }
rule "Reader" salience 1 no-loop { when !is_set(minor) then found += 1; }"#;
    assert_eq!(flow(by_way_of_others).codes(), early);
    // `let` is computed after what it reads, wherever it stands, and so is what it asks about.
    let computed = r#"let next = level + 1;
rule "Level" salience 9 no-loop { when years < 18 then level = 1; }
rule "Minor" salience 5 no-loop { when next == 2 then minor = true; }
rule "Reader" salience 1 no-loop { when !is_set(minor) then found += 1; }"#;
    assert_eq!(flow(computed).codes(), Vec::<&str>::new());
    let asking = r#"let known = default(level, 0);
rule "Level" salience 9 no-loop { when years < 18 then level = 1; }
rule "Reader" no-loop { when known == 0 then found += 1; }"#;
    assert_eq!([r#"{"age": 5}"#, r#"{"age": 50}"#].map(|input| flow(asking).ending(input)), ["in", "out"]);
    // A rule that fires again sets nothing that it had not set before.
    let own = r#"rule "Minor" salience 5 { when years < 18 && level < 3 then level += 1; minor = true; }
rule "Reader" salience 1 no-loop { when !is_set(minor) then found += 1; }"#;
    let own = flow(own);
    let graph = own.graph.replace("found: 0", "found: 0, level: 0");
    assert_eq!(Written { graph, ..own }.codes(), Vec::<&str>::new());
    let repeated = r#"rule "Count" salience 9 { when years < 18 && level < 3 then level += 1; }
rule "Minor" salience 5 no-loop { when level == 3 then minor = true; }
rule "Reader" salience 1 no-loop { when !is_set(minor) then found += 1; }"#;
    let repeated = flow(repeated);
    let graph = repeated.graph.replace("found: 0", "found: 0, level: 0");
    assert_eq!(Written { graph, ..repeated }.codes(), early);
}

#[test]
fn is_set_and_default_take_facts_and_a_default_has_the_type_of_its_fact() {
    let codes = |condition: &str| flow(&format!(r#"rule "R" no-loop {{ when {condition} then found += 1; }}"#)).codes();
    assert_eq!(codes("is_set(years + 1)"), ["wrong-argument"]);
    assert_eq!(codes("is_set(1)"), ["wrong-argument"]);
    assert_eq!(codes("default(1, 2) > 1"), ["wrong-argument"]);
    assert_eq!(codes("is_set()"), ["wrong-arguments"]);
    assert_eq!(codes("default(years) > 1"), ["wrong-arguments"]);
    assert_eq!(codes("default(years, \"none\") == 1"), ["type-mismatch"]);
    assert_eq!(codes("default(yaers, 1) == 1"), ["unknown-fact"]);
    assert_eq!(codes("default(years, 1.5) > 1"), Vec::<&str>::new());
}

#[test]
fn check_warns_where_an_outcome_depends_on_a_node_with_waiting_allowed() {
    let plain = flow(r#"rule "R" no-loop { when years < 18 then found += 1; }"#);
    let allow = |graph: String| Written { graph, ..plain.clone() };
    let own = plain.graph.replace("facts: { found: 0 }", "facts: { found: 0 }, waiting: allow");
    assert_eq!(allow(own.clone()).codes(), ["waiting-allowed", "waiting-allowed"]);
    let earlier = plain.graph.replace("rules: person.grl", "rules: person.grl, waiting: allow");
    assert_eq!(allow(earlier).codes(), ["waiting-allowed", "waiting-allowed"]);
    let silenced = own.replace("  - {", "  # allow: waiting-allowed -- an age is optional\n  - {");
    assert_eq!(allow(silenced).codes(), Vec::<&str>::new());
    let strict = plain.graph.replace("facts: { found: 0 }", "facts: { found: 0 }, waiting: strict");
    assert_eq!(allow(strict).codes(), Vec::<&str>::new());
    let unknown = plain.graph.replace("facts: { found: 0 }", "facts: { found: 0 }, waiting: perhaps");
    assert!(!allow(unknown).codes().is_empty());
    let (_, warnings) = allow(own).compile().unwrap();
    let warning = warnings.into_iter().next().unwrap();
    assert!(warning.message.contains("`out`") && warning.message.contains("`r`"), "{}", warning.message);
}
