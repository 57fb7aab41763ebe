//! Coverage: only sides that can occur are counted, so that tests can cover all of a flow without dead rules.

use crate::support;

/// The exit code and output of the tests of a flow, 100 % asked for.
fn tested(files: &[(&str, &str)]) -> (i32, String) {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, text) in files {
        std::fs::write(directory.path().join(name), text).expect("written");
    }
    let (code, text, errors) = support::run(directory.path(), &[], &["test", "--min-coverage", "100", "f.test.yaml"]);
    (code, format!("{text}{errors}"))
}

#[track_caller]
fn covered(files: &[(&str, &str)]) {
    let (code, text) = tested(files);
    assert!(code == 0 && text.contains("coverage: 100 %"), "{text}");
}

/// Fewer tests leave something uncovered: the sides are still counted.
#[track_caller]
fn uncovered(files: &[(&str, &str)], told: &[&str]) {
    let (code, text) = tested(files);
    assert_eq!(code, 1, "{text}");
    assert!(!text.contains("FAIL"), "{text}");
    for told in told {
        assert!(text.contains(told), "{told} is missing:\n{text}");
    }
    assert_eq!(text.matches("not covered").count(), told.len(), "{text}");
}

const COUNTER: &str = "
flow: counter
input: { age: { type: integer }, income: { type: integer } }
nodes:
  found: { type: RuleNode, rules: r.grl }
outcomes:
  - { status: declined, when: found.n > 0 }
  - { status: approved, when: found.n == 0 }
";

const COUNTING: &str = r#"
rule "Start" salience 10 no-loop { when true then n = 0; }
rule "Age" no-loop { when age < 18 then n += 1; }
rule "Income" no-loop { when income < 1000 then n += 1; }
rule "Share" salience -10 no-loop { when true then share = n / 2; }
"#;

#[test]
fn a_rule_that_only_initialises_has_no_side_that_it_cannot_have() {
    let tests = "
graph: g.yaml
tests:
  - { name: a, input: { age: 17, income: 5 }, expect: { status: declined } }
  - { name: b, input: { age: 18, income: 5000 }, expect: { status: approved } }
";
    covered(&[("g.yaml", COUNTER), ("r.grl", COUNTING), ("f.test.yaml", tests)]);
    let one = "
graph: g.yaml
tests:
  - { name: a, input: { age: 17, income: 5000 }, expect: { status: declined } }
";
    uncovered(
        &[("g.yaml", COUNTER), ("r.grl", COUNTING), ("f.test.yaml", one)],
        &["`Age` of found always fired", "`Income` of found never fired", "the flow never ended as `approved`"],
    );
}

#[test]
fn a_rule_that_needs_what_one_of_several_rules_always_sets_is_never_held_back() {
    let graph = "
flow: price
input: { qty: { type: integer } }
nodes:
  price: { type: RuleNode, rules: r.grl, facts: { threshold: 10, vat: 0.2 } }
  bill: { type: RuleNode, rules: bill.grl, field_mappings: { subtotal: price.total } }
outcomes:
  - { status: dear, when: bill.sum > 100 }
  - { status: cheap, when: bill.sum <= 100 }
";
    let rules = r#"
rule "Small" no-loop { when qty < threshold then base = 10; }
rule "Large" no-loop { when qty >= threshold && qty < 100 then base = 8; }
rule "Huge" no-loop { when qty >= 100 then base = 6; }
rule "Taxed" no-loop { when vat > 0 then factor = 1 + vat; }
rule "Total" no-loop { when true then total = base * qty * factor; }
"#;
    let bill = r#"rule "Sum" no-loop { when subtotal > 0 || subtotal <= 0 then sum = subtotal; }"#;
    let tests = "
graph: g.yaml
tests:
  - { name: a, input: { qty: 1 }, expect: { status: cheap } }
  - { name: b, input: { qty: 11 }, expect: { status: dear } }
  - { name: c, input: { qty: 100 }, expect: { status: dear } }
";
    covered(&[("g.yaml", graph), ("r.grl", rules), ("bill.grl", bill), ("f.test.yaml", tests)]);
}

const GRADES: &str = r#"
rule "A" no-loop { when score >= 700 then grade = "A"; }
rule "B" no-loop { when score >= 600 && score < 700 then grade = "B"; }
rule "C" no-loop { when score < 600 then grade = "C"; }
"#;

#[test]
fn an_edge_that_always_holds_and_a_last_outcome_that_is_never_reached_do_not_count() {
    let graph = r#"
flow: grades
input: { score: { type: integer } }
nodes:
  risk: { type: RuleNode, rules: r.grl }
  pricing: { type: RuleNode, rules: pricing.grl, dependencies: [risk] }
  note: { type: RuleNode, rules: note.grl, dependencies: [pricing] }
edges:
  - { from: risk, to: pricing, rule: 'risk.grade in ["A", "B", "C"]' }
  - { from: pricing, to: note, rule: 'pricing.priced' }
outcomes:
  - { status: best, when: 'risk.grade == "A"', body: { rate: pricing.rate, text: note.text } }
  - { status: good, when: 'risk.grade == "B"' }
  - { status: poor, when: 'risk.grade == "C"' }
  - { status: none, when: "true" }
"#;
    let pricing = r#"
rule "Best" no-loop { when grade == "A" then rate = 3; priced = true; }
rule "Other" no-loop { when grade != "A" then rate = 5; priced = true; }
"#;
    let note = r#"rule "Text" no-loop { when rate > 0 then text = "priced"; }"#;
    let tests = "
graph: g.yaml
tests:
  - { name: a, input: { score: 700 }, expect: { status: best } }
  - { name: b, input: { score: 600 }, expect: { status: good } }
  - { name: c, input: { score: 1 }, expect: { status: poor } }
";
    let flow = [("g.yaml", graph), ("r.grl", GRADES), ("pricing.grl", pricing), ("note.grl", note)];
    covered(&[&flow[..], &[("f.test.yaml", tests)]].concat());
}

const GUARDED: &str = r#"
flow: guarded
input: { score: { type: integer }, id: { type: integer } }
nodes:
  risk: { type: RuleNode, rules: r.grl }
  bureau: { type: DBNode, database: bureau_db, query: "SELECT debt FROM debts WHERE id = $1", params: [input.id] }
  limit: { type: RuleNode, rules: limit.grl, dependencies: [risk, bureau] }
edges:
  - { from: risk, to: bureau, rule: 'risk.grade != "C" && score > 500' }
  - { from: risk, to: limit, rule: 'risk.grade != "C" && score > 500' }
outcomes:
  - { status: granted, when: limit.granted }
  - { status: refused, when: '!limit.granted' }
  - { status: poor, when: 'risk.grade == "C"' }
"#;

#[test]
fn sides_that_the_edge_to_their_node_excludes_do_not_count() {
    let limit = r#"
rule "Scored" salience 10 no-loop { when score > 400 then base = 1000; }
rule "Graded" salience 10 no-loop { when risk.grade in ["A", "B"] then share = 1; }
rule "Debt" no-loop { when true then left = base * share - bureau.debt; }
rule "Granted" salience -10 no-loop { when left > 0 then granted = true; }
rule "Refused" salience -10 no-loop { when left <= 0 then granted = false; }
"#;
    let tests = "
graph: g.yaml
input: { id: 1 }
types: { bureau: { debt: decimal } }
tests:
  - { name: a, input: { score: 700 }, rows: { bureau: { debt: 1 } }, expect: { status: granted } }
  - { name: b, input: { score: 600 }, rows: { bureau: { debt: 1000 } }, expect: { status: refused } }
  - { name: c, input: { score: 1 }, expect: { status: poor } }
";
    let flow = [("g.yaml", GUARDED), ("r.grl", GRADES), ("limit.grl", limit)];
    covered(&[&flow[..], &[("f.test.yaml", tests)]].concat());
    let excluded = r#"
rule "Granted" no-loop { when bureau.debt < 1 then granted = true; }
rule "Refused" no-loop { when bureau.debt >= 1 then granted = false; }
rule "Poor" no-loop { when risk.grade == "C" then granted = false; }
"#;
    let flow = [("g.yaml", GUARDED), ("r.grl", GRADES), ("limit.grl", excluded)];
    let tests = tests.replace("{ debt: 1 }", "{ debt: 0 }");
    uncovered(
        &[&flow[..], &[("f.test.yaml", &*tests)]].concat(),
        &["`Poor` of limit never fired, and it never does: its condition is not true wherever its node runs"],
    );
}

#[test]
fn values_that_conditionals_choose_are_all_there_are() {
    let graph = r#"
flow: conditionals
input: { score: { type: integer } }
nodes:
  risk: { type: RuleNode, rules: r.grl }
  limit: { type: RuleNode, rules: limit.grl, dependencies: [risk] }
outcomes:
  - { status: best, when: 'risk.grade == "A"' }
  - { status: good, when: 'risk.grade == "B"', body: { limit: limit.limit } }
  - { status: poor, when: 'risk.grade != "A" && risk.grade != "B"' }
"#;
    let rules = r#"
rule "Grade" no-loop { when true then grade = if score >= 700 then "A" else if score >= 600 then "B" else "C"; }
let known = grade in ["A", "B", "C"];
"#;
    let limit = r#"
rule "Limit" no-loop { when risk.known && grade in ["A", "B", "C"] then limit = if grade == "A" then 10 else 5; }
rule "Unknown" no-loop { when grade == "D" then limit = 0; }
"#;
    let tests = "
graph: g.yaml
tests:
  - { name: a, input: { score: 700 }, expect: { status: best } }
  - { name: b, input: { score: 600 }, expect: { status: good } }
  - { name: c, input: { score: 1 }, expect: { status: poor } }
";
    let flow = [("g.yaml", graph), ("r.grl", rules), ("limit.grl", limit), ("f.test.yaml", tests)];
    uncovered(
        &flow,
        &[
            "`Limit` of limit always fired",
            "`Unknown` of limit never fired, and it never does: its condition is not true wherever its node runs",
        ],
    );
}

#[test]
fn rows_of_tables_count_as_far_as_their_hit_policy_lets_them_give_results() {
    let graph = "
flow: tables
input: { qty: { type: integer } }
nodes:
  rate: { type: RuleNode, table: rate.csv, hit: first }
  points: { type: RuleNode, table: points.csv, hit: sum }
outcomes:
  - { status: cheap, when: rate.rate < 3 }
  - { status: dear, when: rate.rate >= 3, body: { points: points.points } }
";
    let rate = "when qty,then rate\n< 10,1\n[10..100),2\n>= 100,3\n-,4\n";
    let points = "rule,when qty,then points\nBase,-,10\nMore,> 50,5\n";
    let tests = "
graph: g.yaml
tests:
  - { name: a, input: { qty: 1 }, expect: { status: cheap } }
  - { name: b, input: { qty: 10 }, expect: { status: cheap } }
  - { name: c, input: { qty: 100 }, expect: { status: dear } }
";
    covered(&[("g.yaml", graph), ("rate.csv", rate), ("points.csv", points), ("f.test.yaml", tests)]);
    let hidden = rate.replace(">= 100,3", "[20..30],9\n>= 100,3");
    uncovered(
        &[("g.yaml", graph), ("rate.csv", &*hidden), ("points.csv", points), ("f.test.yaml", tests)],
        &["`row 4` of rate never fired, and it never does: a row above it matches wherever it does"],
    );
}

#[test]
fn waiting_and_dates_hold_a_rule_back_and_an_unknown_edge_keeps_a_node_from_running() {
    let graph = r#"
flow: waiting
input: { age: { type: integer, required: false } }
nodes:
  person: { type: RuleNode, rules: r.grl }
  check: { type: RuleNode, rules: check.grl, dependencies: [person] }
edges:
  - { from: person, to: check, rule: "person.months > 0 || person.months <= 0" }
outcomes:
  - { status: adult, when: check.adult }
  - { status: minor, when: '!check.adult' }
"#;
    let rules = r#"
rule "Months" no-loop { when age != null then months = age * 12; }
rule "Years" no-loop { when true then years = months / 12; }
rule "New law" no-loop date-effective "2027-01-01" { when true then law = "new"; }
rule "Old law" no-loop date-expires "2027-01-01" { when true then law = "old"; }
"#;
    let check = r#"rule "Adult" no-loop { when true then adult = months >= 216; }"#;
    let tests = "
graph: g.yaml
tests:
  - { name: a, input: { age: 18 }, expect: { status: adult } }
  - { name: b, input: { age: 17 }, clock: 2027-01-01T12:00:00Z, expect: { status: minor } }
  - { name: c, input: { age: null }, expect: { error: undecided } }
";
    let flow = [("g.yaml", graph), ("r.grl", rules), ("check.grl", check)];
    covered(&[&flow[..], &[("f.test.yaml", tests)]].concat());
    let fewer: Vec<&str> = tests.lines().filter(|line| !line.contains("name: c")).collect();
    uncovered(
        &[&flow[..], &[("f.test.yaml", &*fewer.join("\n"))]].concat(),
        &[
            "`Months` of person always fired",
            "`Years` of person always fired",
            "the conditions of the edges to check always held",
        ],
    );
}

#[test]
fn rows_that_may_be_missing_leave_both_sides_of_the_rules_that_read_them() {
    let graph = r#"
flow: rows
input: { id: { type: integer } }
nodes:
  customer: { type: DBNode, database: c_db, query: "SELECT segment, since FROM c WHERE id = $1", params: [input.id], rows: optional }
  orders: { type: DBNode, database: o_db, query: "SELECT total FROM o WHERE id = $1", params: [input.id], rows: many }
  terms: { type: RuleNode, rules: r.grl, dependencies: [customer, orders], facts: { discount: 0, kind: standard } }
outcomes:
  - { status: special, when: 'terms.kind == "special"', body: { discount: terms.discount } }
  - { status: standard, when: 'terms.kind == "standard"' }
"#;
    let rules = r#"
rule "Known" no-loop { when customer.segment != null then discount += 1; }
rule "Loyal" no-loop { when sum(orders.total) > 1000 then discount += 5; }
rule "Special" salience -1 no-loop { when discount > 5 then kind = "special"; }
rule "Rounded" salience -2 no-loop { when kind in ["standard", "special"] then discount = round(discount, 0); }
"#;
    let tests = "
graph: g.yaml
input: { id: 1 }
tests:
  - { name: a, rows: { customer: { segment: x, since: 2020-01-01 }, orders: [ { total: 2000 } ] }, expect: { status: special } }
  - { name: b, rows: { customer: null, orders: [] }, expect: { status: standard } }
";
    covered(&[("g.yaml", graph), ("r.grl", rules), ("f.test.yaml", tests)]);
}

#[test]
fn a_condition_as_a_node_and_a_node_that_never_runs() {
    let graph = r#"
flow: dead
input: { n: { type: integer } }
nodes:
  big: { type: RuleNode, condition: n > 10 }
  never: { type: RuleNode, rules: r.grl, dependencies: [big] }
edges:
  - { from: big, to: never, rule: "n > 10 && n < 5" }
outcomes:
  - { status: big, when: big.result }
  - { status: small, when: '!big.result' }
  - { status: never, when: never.x }
"#;
    let rules = r#"rule "X" no-loop { when n > 20 then x = true; }"#;
    let tests = "
graph: g.yaml
tests:
  - { name: a, input: { n: 11 }, expect: { status: big } }
  - { name: b, input: { n: 10 }, expect: { status: small } }
";
    uncovered(
        &[("g.yaml", graph), ("r.grl", rules), ("f.test.yaml", tests)],
        &[
            "`X` of never never fired, and it never does: its node never runs",
            "the conditions of the edges to never never held, and they never do: no values make them true",
        ],
    );
}

#[test]
fn a_loan_policy_of_more_than_twenty_rules_is_covered_unless_a_rule_is_dead() {
    let directory = support::repository().join("tests/explain/loan");
    let read = |name: &str| std::fs::read_to_string(directory.join(name)).expect("readable");
    let names = ["g.yaml", "applicant.grl", "knock_out.grl", "pricing.grl", "f.test.yaml"];
    let texts = names.map(read);
    let rules: usize = texts.iter().map(|text| text.matches("\nrule ").count()).sum();
    assert!(rules > 20, "{rules}");
    let files: Vec<(&str, &str)> = names.iter().copied().zip(texts.iter().map(String::as_str)).collect();
    covered(&files);
    let dead = format!("{}\nrule \"Dead\" no-loop {{ when grade == \"E\" then rate = 9; }}\n", texts[3]);
    let files: Vec<(&str, &str)> =
        files.into_iter().map(|(name, text)| (name, if name == "pricing.grl" { &*dead } else { text })).collect();
    uncovered(
        &files,
        &["`Dead` of pricing never fired, and it never does: its condition is not true wherever its node runs"],
    );
}
