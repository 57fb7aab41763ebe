//! Which decisions are decided and which are undecided where rules wait.

use tributary::flow::Overrides;
use tributary::types::Value;

use crate::flows::{Written, ending, ends, names, run, undecided, written};

/// A loan, with the rules of `applicant` and `knock_out` and further keys of each node.
fn loan(applicant: &str, knock_out: &str, keys: &str) -> Written {
    let graph = format!(
        r#"
flow: loan
input: {{ birth_date: {{ type: date, required: false }}, income: {{ type: integer, required: false }} }}
nodes:
  applicant: {{ type: RuleNode, rules: applicant.grl }}
  knock_out: {{ type: RuleNode, rules: knock_out.grl, dependencies: [applicant], facts: {{ found: 0 }}{keys} }}
outcomes:
  - {{ status: declined, when: "knock_out.found > 0" }}
  - {{ status: approved, when: "knock_out.found == 0" }}
"#
    );
    written(&graph, &[("applicant.grl", applicant), ("knock_out.grl", knock_out)])
}

const AGE: &str = r#"rule "Age" no-loop { when birth_date != null then age = year(today()) - year(birth_date); }
rule "Income" no-loop { when income != null then income_known = income; }"#;
const UNDERAGE: &str = r#"rule "Underage" no-loop { when age < 18 then found += 1; }"#;

#[test]
fn a_knock_out_that_waits_for_a_missing_fact_does_not_approve_the_applicant() {
    let loan = loan(AGE, UNDERAGE, "");
    assert_eq!(loan.ending(r#"{"birth_date": "2020-01-01"}"#), "declined");
    assert_eq!(loan.ending(r#"{"birth_date": "1980-01-01"}"#), "approved");
    let why = loan.undecided("{}");
    assert_eq!(why.outcome.as_deref(), Some("declined"));
    assert_eq!(why.unset, ["knock_out.found"]);
    assert_eq!(why.missing[0].set_by, ["Age"]);
    assert_eq!(names(&why), (vec!["applicant.age".to_owned()], vec!["knock_out.Underage".to_owned()]));
    let expected = "the outcome `declined` is undecided; missing: `applicant.age`, which rule `Age` would have set \
                    (`birth_date != null` is false); waiting rules: `Underage` of `knock_out`";
    assert_eq!(why.to_string(), expected);
}

#[test]
fn a_knock_out_after_a_chain_of_rules_waits_as_well() {
    let chain = r#"rule "Band" no-loop { when age < 18 then band = "minor"; }
rule "Risk" no-loop { when band == "minor" then risk = 3; }
rule "Out" no-loop { when risk > 2 then found += 1; }"#;
    let why = loan(AGE, chain, "").undecided("{}");
    let (missing, waiting) = names(&why);
    assert_eq!(missing, ["applicant.age"]);
    assert!(waiting.contains(&"knock_out.Band".to_owned()), "{waiting:?}");
}

#[test]
fn a_fact_that_a_waiting_rule_would_replace_is_unknown_and_so_are_facts_derived_from_it() {
    let rules = r#"rule "Strict" salience 100 no-loop { when age < 18 then level = 2; }
rule "Limit" salience 50 no-loop { when level == 0 then limit = 5; }
rule "Other" salience 40 no-loop { when level == 2 then found += 1; }"#;
    let graph = r#"
flow: t
input: { birth_date: { type: date, required: false } }
nodes:
  applicant: { type: RuleNode, rules: applicant.grl }
  n: { type: RuleNode, rules: n.grl, dependencies: [applicant], facts: { level: 0, found: 0, calm: true } }
outcomes:
  - { status: CONDITION, when: "CONDITION" }
"#;
    let age = AGE.lines().next().unwrap();
    for (condition, expected) in [
        ("n.level == 0", "undecided"),
        ("n.limit == 5", "undecided"),
        ("n.found == 0", "undecided"),
        ("n.calm", "n.calm"),
        ("n.calm || n.level == 2", "n.calm || n.level == 2"),
        ("n.calm == false && n.level == 2", "undecided"),
    ] {
        let graph = graph.replace("CONDITION", condition);
        let flow = written(&graph, &[("applicant.grl", age), ("n.grl", rules)]);
        // The last one is false, and no further outcome exists.
        assert_eq!(flow.ending("{}"), expected, "{condition}");
        let outcome = flow.ends("{}", &[]).result.err().map(|_| undecided(flow.ends("{}", &[])).outcome);
        let is_false = condition.contains("false");
        assert_eq!(
            outcome.map(|outcome| outcome.is_none()),
            (expected == "undecided").then_some(is_false),
            "{condition}"
        );
    }
}

#[test]
fn a_knock_out_still_waits_where_a_later_rule_makes_its_condition_false() {
    // When `Underage` was tried, `stage` was 0 and `age` was missing. Its condition at the end is not decisive.
    let early = r#"rule "Underage" salience 100 no-loop { when age < 18 && stage == 0 then found += 1; }
rule "Next" salience 10 no-loop { when stage == 0 then stage = 1; }"#;
    let facts = early.replace("found += 1", "declined = true");
    for (rules, fact) in [(early, "found: 0, stage: 0"), (facts.as_str(), "declined: false, stage: 0, found: 0")] {
        let graph = loan(AGE, rules, "").graph.replace("found: 0", fact);
        let graph = if fact.contains("declined") {
            graph
                .replace("knock_out.found > 0", "knock_out.declined")
                .replace("knock_out.found == 0", "!knock_out.declined")
        } else {
            graph
        };
        let flow = written(&graph, &[("applicant.grl", AGE), ("knock_out.grl", rules)]);
        assert_eq!(flow.ending("{}"), "undecided", "{rules}");
        assert_eq!(flow.ending(r#"{"birth_date": "2020-01-01"}"#), "declined", "{rules}");
        assert_eq!(flow.ending(r#"{"birth_date": "1980-01-01"}"#), "approved", "{rules}");
    }
}

#[test]
fn a_rule_whose_other_condition_is_false_does_not_wait() {
    let rules = r#"rule "Underage" salience 100 no-loop { when age < 18 && resident then found += 1; }
rule "Resident" salience 10 no-loop { when income == 0 then resident = true; }
rule "Not resident" salience 10 no-loop { when income != 0 then resident = false; }"#;
    let flow = loan(AGE, rules, "");
    assert_eq!(flow.ending(r#"{"income": 5}"#), "approved");
    assert_eq!(flow.ending(r#"{"income": 0}"#), "undecided");
}

#[test]
fn a_starting_value_that_is_replaced_before_a_rule_is_tried_does_not_make_it_wait() {
    let rules = r#"rule "Shortage" salience 100 no-loop { when income != null then shortage = income; }
rule "Enough" salience 50 no-loop { when shortage <= 0 && age < 18 then found += 1; }
rule "Short" salience 50 no-loop { when shortage > 0 then short = true; }"#;
    let flow = loan(AGE, rules, "");
    let graph = flow.graph.replace("found: 0", "found: 0, shortage: 0");
    assert_eq!(Written { graph, ..flow }.ending(r#"{"income": 12}"#), "approved");
}

#[test]
fn aliases_and_mappings_propagate_unknown_facts() {
    for (rules, keys) in [
        (r#"rule "Underage" no-loop { when person.age < 18 then found += 1; }"#, ", inputs: { person: applicant }"),
        (
            r#"rule "Underage" no-loop { when years < 18 then found += 1; }"#,
            ", field_mappings: { years: applicant.age }",
        ),
    ] {
        let why = loan(AGE, rules, keys).undecided("{}");
        assert_eq!(names(&why), (vec!["applicant.age".to_owned()], vec!["knock_out.Underage".to_owned()]), "{keys}");
    }
}

#[test]
fn a_counter_is_known_to_be_positive_once_one_rule_has_certainly_added_to_it() {
    let rules = r#"rule "Underage" no-loop { when age < 18 then found += 1; }
rule "Poor" no-loop { when income < 100 then found += 1; }"#;
    let outcome = |when: &str, otherwise: &str| {
        let flow = loan(AGE, rules, "");
        let graph = flow.graph.replace("knock_out.found == 0", otherwise).replace("knock_out.found > 0", when);
        Written { graph, ..flow }.ending(r#"{"income": 50}"#)
    };
    for (when, otherwise, expected) in [
        ("knock_out.found > 0", "true", "declined"),
        ("knock_out.found >= 1", "true", "declined"),
        ("knock_out.found != 0", "true", "declined"),
        ("0 < knock_out.found", "true", "declined"),
        ("knock_out.found == 0", "true", "approved"),
        ("knock_out.found < 1", "true", "approved"),
        ("knock_out.found > 1", "true", "undecided"),
        ("knock_out.found == 1", "true", "undecided"),
        ("knock_out.found <= 1", "true", "undecided"),
        ("knock_out.found != 1", "true", "undecided"),
    ] {
        assert_eq!(outcome(when, otherwise), expected, "{when}");
    }
    let rich = loan(AGE, rules, "");
    assert_eq!(rich.ending(r#"{"income": 500}"#), "undecided");
}

#[test]
fn a_counter_is_not_known_to_be_positive_by_rules_that_depend_on_it() {
    let rules = r#"rule "Underage" salience 90 no-loop { when age < 18 then level = 1; }
rule "First" salience 80 no-loop { when level == 0 then found += 1; }
rule "More" salience 70 no-loop { when found > 0 then found += 1; }"#;
    let flow = loan(AGE, rules, "");
    let graph = flow.graph.replace("found: 0", "found: 0, level: 0");
    assert_eq!(Written { graph, ..flow }.ending("{}"), "undecided");
}

#[test]
fn the_bound_of_a_counter_holds_in_the_rules_and_mappings_of_later_nodes() {
    let graph = r#"
flow: t
input: { age: { type: integer, required: false }, poor: { type: boolean } }
nodes:
  applicant: { type: RuleNode, rules: applicant.grl }
  counted: { type: RuleNode, rules: counted.grl, dependencies: [applicant], facts: { found: 0 } }
  mapped: { type: RuleNode, rules: mapped.grl, field_mappings: { hits: counted.found }, dependencies: [counted] }
outcomes:
  - { status: declined, when: "mapped.out" }
  - { status: mapped, when: "mapped.hits > 0" }
  - { status: approved, when: "mapped.hits == 0" }
"#;
    let files = [
        ("applicant.grl", r#"rule "Age" no-loop { when input.age != null then years = input.age; }"#),
        (
            "counted.grl",
            r#"rule "Underage" no-loop { when years < 18 then found += 1; } rule "Poor" no-loop { when poor then found += 1; }"#,
        ),
        (
            "mapped.grl",
            r#"rule "Out" no-loop { when hits > 0 then out = true; } rule "In" no-loop { when hits == 0 then out = false; }"#,
        ),
    ];
    let flow = written(graph, &files);
    assert_eq!(flow.ending(r#"{"poor": true}"#), "declined");
    assert_eq!(flow.ending(r#"{"poor": false}"#), "undecided");
    let only_mapped = written(&graph.replace("  - { status: declined, when: \"mapped.out\" }\n", ""), &files);
    assert_eq!(only_mapped.ending(r#"{"poor": true}"#), "mapped");
}

const BEHIND: &str = r#"
flow: t
input: { n: { type: integer, required: false } }
nodes:
  first: { type: RuleNode, rules: first.grl }
  asked: { type: DBNode, database: d_db, query: "SELECT score FROM t WHERE n = $1", params: [PARAM] }
  second: { type: RuleNode, rules: second.grl, dependencies: [asked] }
edges:
  - { from: first, to: asked, rule: "EDGE" }
outcomes:
  - { status: low, when: "asked.score < 10" }
  - { status: second, when: "second.low" }
  - { status: rest, when: "true" }
"#;

fn behind(edge: &str, param: &str) -> Written {
    let graph = BEHIND.replace("EDGE", edge).replace("PARAM", param);
    let first =
        r#"rule "One" no-loop { when n != null then one = n; } rule "Two" no-loop { when n == null then two = 2; }"#;
    written(
        &graph,
        &[("first.grl", first), ("second.grl", r#"rule "Low" no-loop { when asked.score < 10 then low = true; }"#)],
    )
}

#[test]
fn a_query_after_an_unknown_edge_or_parameter_is_not_sent_and_its_facts_are_unknown() {
    // If the query were sent, the run would fail, because there is no answer for it.
    for flow in [behind("first.one > 0", "input.n"), behind("true", "first.one"), behind("first.one > 0", "first.one")]
    {
        let why = flow.undecided("{}");
        assert_eq!((why.outcome.as_deref(), why.unset), (Some("low"), vec!["asked.score".to_owned()]));
        assert_eq!(
            (why.missing[0].fact.as_str(), why.missing[0].set_by.as_slice()),
            ("first.one", &["One".to_owned()][..])
        );
    }
    let rows = [("asked", r#"[{"score": 5}]"#)];
    assert_eq!(ending(&behind("first.one > 0", "first.one").ends(r#"{"n": 1}"#, &rows)), "low");
}

#[test]
fn a_node_after_a_false_edge_has_unset_facts_and_an_outcome_that_needs_them_does_not_hold() {
    let flow = behind("first.two == 3", "input.n");
    // Rules that read facts of a skipped node wait, and an outcome of their facts is undecided.
    let graph = flow.graph.replace("  - { status: second, when: \"second.low\" }\n", "");
    let flow = Written { graph, ..flow };
    assert_eq!(flow.ending("{}"), "rest");
    let mixed = flow.graph.replace("asked.score < 10", "asked.score < 10 && first.one > 0");
    assert_eq!(Written { graph: mixed, ..flow.clone() }.ending("{}"), "undecided");
    // A query with a fact of a skipped node as parameter is skipped, too.
    let chain = flow.graph.replace("edges:", "  last: { type: DBNode, database: d_db, query: \"SELECT x FROM u WHERE s = $1\", params: [asked.score] }\nedges:");
    let chain = chain.replace("asked.score < 10", "last.x > 0");
    assert_eq!(Written { graph: chain, ..flow }.ending("{}"), "rest");
}

#[test]
fn a_false_edge_takes_precedence_over_an_unknown_one() {
    let flow = behind("first.one > 0", "input.n");
    let graph = flow.graph.replace("outcomes:", "  - { from: first, to: asked, rule: \"first.two == 3\" }\noutcomes:");
    let graph = graph.replace("  - { status: second, when: \"second.low\" }\n", "");
    assert_eq!(Written { graph, ..flow }.ending("{}"), "rest");
}

#[test]
fn null_is_a_value_and_makes_no_rule_wait() {
    let graph = r#"
flow: t
input: { n: { type: integer, required: false } }
nodes:
  row: { type: DBNode, database: d_db, query: "SELECT score FROM t WHERE n = $1", params: [input.n], rows: optional }
  r: { type: RuleNode, rules: r.grl, dependencies: [row], facts: { found: 0 } }
outcomes:
  - { status: none, when: "r.found == 0" }
  - { status: some, when: "r.found > 0" }
"#;
    let flow = written(
        graph,
        &[("r.grl", r#"rule "Low" no-loop { when row.score != null && row.score < 10 then found += 1; }"#)],
    );
    assert_eq!(ending(&flow.ends("{}", &[("row", "[]")])), "none");
    assert_eq!(ending(&flow.ends("{}", &[("row", r#"[{"score": null}]"#)])), "none");
    assert_eq!(ending(&flow.ends("{}", &[("row", r#"[{"score": 5}]"#)])), "some");
}

#[test]
fn a_spent_rule_and_one_that_is_not_in_force_do_not_wait() {
    let spent = r#"rule "Spent" salience 100 no-loop { when open || age < 18 then found += 1; open = false; }"#;
    let flow = loan(AGE, spent, "");
    let graph = flow.graph.replace("found: 0", "found: 0, open: true");
    assert_eq!(Written { graph, ..flow }.ending("{}"), "declined");
    for dates in [r#"date-effective "2027-01-01""#, r#"date-expires "2026-01-01""#] {
        let rule = UNDERAGE.replace("no-loop", &format!("no-loop {dates}"));
        assert_eq!(loan(AGE, &rule, "").ending("{}"), "approved", "{dates}");
    }
    let in_force = UNDERAGE.replace("no-loop", r#"no-loop date-effective "2026-01-01""#);
    assert_eq!(loan(AGE, &in_force, "").ending("{}"), "undecided");
}

#[test]
fn a_log_statement_never_waits() {
    let rules = r#"rule "Log" no-loop { when age < 18 then Log("a minor"); }
rule "Log and set" no-loop { when true then Log("age", age); found += 1; }"#;
    assert_eq!(loan(AGE, rules, "").ending("{}"), "declined");
}

#[test]
fn a_rule_that_lacks_a_value_to_set_waits_and_one_whose_condition_is_false_does_not() {
    let rules = r#"rule "Value" no-loop { when income == 1 then level = age; found += 1; }"#;
    let flow = loan(AGE, rules, "");
    assert_eq!(flow.ending(r#"{"income": 1}"#), "undecided");
    assert_eq!(flow.ending(r#"{"income": 2}"#), "approved");
}

#[test]
fn a_message_or_body_that_reads_an_unknown_fact_is_undecided() {
    for field in
        ["message: \"{knock_out.found} found\"", "body: { found: knock_out.found }", "body: { all: knock_out }"]
    {
        let flow = loan(AGE, UNDERAGE, "");
        let graph = flow.graph.replace("when: \"knock_out.found > 0\"", &format!("when: \"true\", {field}"));
        let why = Written { graph, ..flow }.undecided("{}");
        assert_eq!(names(&why).0, ["applicant.age"], "{field}");
    }
}

#[test]
fn a_fact_that_is_replaced_is_known_although_rules_wait() {
    let flow = loan(AGE, UNDERAGE, "").flow();
    for (fact, value, expected) in [("knock_out.found", 0, "approved"), ("knock_out.found", 2, "declined")] {
        let mut overrides = Overrides::none();
        overrides.set(&flow, fact, Value::Integer(value)).unwrap();
        let run = tributary::flow::RunOptions { overrides, ..run() };
        assert_eq!(ending(&ends(&flow, "{}", &[], &run)), expected);
    }
}

#[test]
fn rules_that_wait_only_for_each_other_are_listed_with_the_facts_that_they_would_set() {
    let rules = r#"rule "A" no-loop { when b > 0 then a = 1; }
rule "B" no-loop { when a > 0 then b = 1; found += 1; }"#;
    let why = loan(AGE, rules, "").undecided("{}");
    let (missing, waiting) = names(&why);
    assert_eq!(missing, ["knock_out.found"]);
    assert_eq!(waiting, ["knock_out.B", "knock_out.A"]);
}

#[test]
fn with_waiting_allowed_a_node_decides_as_if_its_waiting_rules_had_not_fired() {
    let flow = loan(AGE, UNDERAGE, ", waiting: allow");
    assert_eq!(flow.ending("{}"), "approved");
    let strict = loan(AGE, UNDERAGE, ", waiting: strict");
    assert_eq!(strict.ending("{}"), "undecided");
    // An unset fact of such a node does not make an outcome undecided, either.
    let graph = flow.graph.replace("knock_out.found > 0", "knock_out.never").clone();
    let rules = r#"rule "Never" no-loop { when age < 18 then never = true; }"#;
    assert_eq!(written(&graph, &[("applicant.grl", AGE), ("knock_out.grl", rules)]).ending("{}"), "approved");
}
