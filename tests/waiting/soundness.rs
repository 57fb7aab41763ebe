//! Properties over generated rules, facts and outcomes: an answer is the same for all values of the missing facts, and no rule waits
//! where no fact is missing.

use std::collections::BTreeMap;
use std::fmt::Write;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use tributary::flow::{FlowError, NodeEnd, Report};

use crate::flows::{Written, ending, ends, run};

/// The facts of a node. The last is a counter, which has a starting value, as have half of the others.
fn names(node: char) -> [&'static str; 6] {
    if node == 'a' { ["f0", "f1", "f2", "g0", "g1", "n"] } else { ["h0", "h1", "h2", "k0", "k1", "m"] }
}

/// A flow of two rule nodes over three facts of the node `src`, each of which is given or missing.
#[derive(Debug, Clone)]
struct Case {
    inputs: [Option<i64>; 3],
    a: String,
    b: String,
    edge: Option<String>,
    outcomes: Vec<String>,
    starts: BTreeMap<(char, &'static str), i64>,
}

impl Case {
    fn written(&self) -> Written {
        let facts = |node: char| {
            let own = self.starts.iter().filter(|((of, _), _)| *of == node);
            own.map(|((_, name), value)| format!("{name}: {value}")).collect::<Vec<_>>().join(", ")
        };
        let mut graph = format!(
            "flow: generated\ninput: {{ i0: {{ type: integer, required: false }}, i1: {{ type: integer, required: false }}, \
             i2: {{ type: integer, required: false }} }}\nnodes:\n  src: {{ type: RuleNode, rules: src.grl }}\n  \
             a: {{ type: RuleNode, rules: a.grl, dependencies: [src], facts: {{ {} }} }}\n  \
             b: {{ type: RuleNode, rules: b.grl, dependencies: [src, a], facts: {{ {} }}, field_mappings: {{ hits: a.n }} }}\n",
            facts('a'),
            facts('b')
        );
        if let Some(edge) = &self.edge {
            writeln!(graph, "edges:\n  - {{ from: a, to: b, rule: \"{edge}\" }}").unwrap();
        }
        graph.push_str("outcomes:\n");
        for (number, when) in self.outcomes.iter().enumerate() {
            writeln!(graph, "  - {{ status: o{number}, when: \"{when}\" }}").unwrap();
        }
        let src =
            (0..3).map(|n| format!("rule \"U{n}\" no-loop {{ when input.i{n} != null then u{n} = input.i{n}; }}\n"));
        let files = [("src.grl", src.collect()), ("a.grl", self.a.clone()), ("b.grl", self.b.clone())];
        Written { graph, files: files.into_iter().map(|(name, text)| (name.to_owned(), text)).collect() }
    }

    /// The report. `None` where its rules are rejected because they may never settle.
    fn report(&self) -> Option<Report> {
        let (flow, _) = self.written().compile().ok()?;
        let inputs = self.inputs.iter().enumerate();
        let inputs: BTreeMap<String, i64> =
            inputs.filter_map(|(n, value)| Some((format!("i{n}"), (*value)?))).collect();
        Some(ends(&flow, &serde_json::to_string(&inputs).unwrap(), &[], &run()))
    }

    /// The same case with the values of `choice` for the facts that are missing in `report`.
    fn completed(&self, report: &Report, choice: &[i64]) -> Self {
        let mut case = self.clone();
        let mut choice = choice.iter().copied();
        for input in &mut case.inputs {
            *input = input.or_else(|| choice.next());
        }
        let trace = report.trace.as_ref().unwrap();
        for (node, place) in [('a', 1), ('b', 2)] {
            let NodeEnd::Value(facts) = &trace.nodes[place].end else { continue };
            for name in names(node) {
                // A negative value means that the fact stays missing.
                let value = choice.next().unwrap_or(-1);
                if facts.at([name]).is_none() && value >= 0 {
                    case.starts.insert((node, name), value);
                }
            }
        }
        case
    }
}

fn own(node: char) -> impl Strategy<Value = String> {
    prop::sample::select(names(node).to_vec()).prop_map(str::to_owned)
}

fn outside(node: char) -> impl Strategy<Value = String> {
    let names: &[&str] = match node {
        'a' => &["src.u0", "src.u1", "src.u2"],
        'b' => &["src.u0", "a.f0", "a.f1", "a.g0", "a.n", "hits"],
        _ => &["src.u0", "a.f0", "a.f1", "a.g0", "a.n", "b.h0", "b.h1", "b.k1", "b.m"],
    };
    prop::sample::select(names).prop_map(str::to_owned)
}

fn operand(node: char) -> BoxedStrategy<String> {
    match node {
        'o' => outside(node).boxed(),
        _ => prop_oneof![2 => own(node), 1 => outside(node)].boxed(),
    }
}

fn condition(node: char) -> impl Strategy<Value = String> {
    let operator = prop::sample::select(&["==", "!=", "<", "<=", ">", ">="][..]);
    let other = prop_oneof![4 => (0i64..3).prop_map(|number| number.to_string()), 1 => operand(node)];
    let comparison =
        (operand(node), operator, other).prop_map(|(left, operator, right)| format!("{left} {operator} {right}"));
    comparison.prop_recursive(2, 5, 3, |inner| {
        prop_oneof![
            2 => prop::collection::vec(inner.clone(), 2..3).prop_map(|parts| format!("({})", parts.join(" && "))),
            2 => prop::collection::vec(inner.clone(), 2..3).prop_map(|parts| format!("({})", parts.join(" || "))),
            1 => inner.prop_map(|part| format!("!({part})")),
        ]
    })
}

fn statement(node: char) -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (own(node), 0i64..3).prop_map(|(target, value)| format!("{target} = {value};")),
        2 => (own(node), operand(node)).prop_map(|(target, value)| format!("{target} = {value};")),
        3 => Just(format!("{} += 1;", names(node)[5])),
        1 => (own(node), operand(node)).prop_map(|(target, value)| format!("{target} += {value};")),
        1 => (own(node), operand(node)).prop_map(|(target, value)| format!("{target} = {value} + 1;")),
    ]
}

fn rules(node: char) -> impl Strategy<Value = String> {
    let rule = (condition(node), prop::collection::vec(statement(node), 1..3), 0i32..4, prop::bool::weighted(0.85));
    prop::collection::vec(rule, 2..6).prop_map(move |rules| {
        // Facts that no rule sets are declared as well.
        let all = names(node)[..5].join(" = 0; ");
        let mut text = format!("rule \"Never\" no-loop {{ when false then {all} = 0; }}\n");
        for (number, (condition, statements, salience, no_loop)) in rules.iter().enumerate() {
            let (then, no_loop) = (statements.join(" "), if *no_loop { "no-loop" } else { "" });
            writeln!(text, "rule \"R{number}\" salience {salience} {no_loop} {{ when {condition} then {then} }}")
                .unwrap();
        }
        text
    })
}

fn starts() -> impl Strategy<Value = BTreeMap<(char, &'static str), i64>> {
    let one = |node: char, name: &'static str, always: bool| {
        (any::<bool>(), 0i64..2).prop_map(move |(starts, value)| ((node, name), (starts || always).then_some(value)))
    };
    let all: Vec<_> = ['a', 'b']
        .into_iter()
        .flat_map(|node| names(node).map(|name| one(node, name, matches!(name, "n" | "m")).boxed()))
        .collect();
    all.prop_map(|facts| facts.into_iter().filter_map(|(fact, value)| Some((fact, value?))).collect())
}

fn case() -> impl Strategy<Value = Case> {
    let inputs = prop::array::uniform3(prop::option::weighted(0.5, 0i64..3));
    let edge = prop::option::weighted(
        0.2,
        condition('o').prop_map(|text| text.replace("b.h", "a.f").replace("b.k1", "a.g0").replace("b.m", "a.n")),
    );
    (inputs, rules('a'), rules('b'), edge, prop::collection::vec(condition('o'), 1..4), starts()).prop_map(
        |(inputs, a, b, edge, mut outcomes, starts)| {
            outcomes.push("true".to_owned());
            Case { inputs, a, b, edge, outcomes, starts }
        },
    )
}

fn is_undecided(report: &Report) -> bool {
    matches!(report.result, Err(FlowError::Undecided(_)))
}

/// Whether `case` is decided. Panics where a completion ends differently.
fn check(case: &Case, choices: &[Vec<i64>]) -> bool {
    let Some(report) = case.report() else { return false };
    if report.result.is_err() {
        return false;
    }
    for choice in choices {
        let complete: Vec<i64> = choice.iter().map(|value| (*value).max(0)).collect();
        for (choice, is_complete) in [(choice, false), (&complete, true)] {
            let completed = case.completed(&report, choice);
            let Some(other) = completed.report() else { continue };
            // Rules that never settle and facts that are still missing are reported as errors.
            let is_rule_error = matches!(&other.result, Err(error) if error.code() == "rule_error");
            if is_rule_error || (!is_complete && is_undecided(&other)) {
                continue;
            }
            assert_eq!(ending(&report), ending(&other), "{case:#?}\ncompleted: {completed:#?}");
        }
    }
    true
}

fn choices() -> impl Strategy<Value = Vec<Vec<i64>>> {
    prop::collection::vec(prop::collection::vec(-1i64..3, 15), 12).prop_map(|all| {
        all.into_iter()
            .map(|one| one.into_iter().enumerate().map(|(n, v)| if n < 3 { v.max(0) } else { v }).collect())
            .collect()
    })
}

proptest! {
    #[test]
    fn an_answer_is_the_same_for_all_values_of_the_missing_facts(case in case(), choices in choices()) {
        check(&case, &choices);
    }

    #[test]
    fn no_decision_without_missing_facts_is_undecided(case in case(), values in prop::array::uniform3(0i64..3), start in 0i64..2) {
        let mut case = Case { inputs: values.map(Some), edge: None, ..case };
        for node in ['a', 'b'] {
            for name in names(node) {
                case.starts.entry((node, name)).or_insert(start);
            }
        }
        if let Some(report) = case.report() {
            prop_assert!(!is_undecided(&report), "{case:#?} {:?}", report.result);
        }
    }
}

#[test]
fn many_flows_with_missing_facts_are_decided() {
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    let (mut decided, mut undecided) = (0, 0);
    for _ in 0..300 {
        let case = case().new_tree(&mut runner).unwrap().current();
        let Some(report) = case.report() else { continue };
        decided += usize::from(report.result.is_ok());
        undecided += usize::from(is_undecided(&report));
    }
    assert!(decided > 60 && undecided > 60, "{decided} are decided, {undecided} are not");
}

/// With `h2` given, R1 fires again after R2 and replaces its `m`. The value that R2 set in `h1` stays certain.
#[test]
fn a_fact_that_is_replaced_later_does_not_make_other_facts_of_its_rule_unknown() {
    let case = Case {
        inputs: [None; 3],
        a: "rule \"Never\" no-loop { when false then f0 = 0; }".to_owned(),
        b: "rule \"Never\" no-loop { when false then h0 = 0; h1 = 0; h2 = 0; k0 = 0; m = 0; }\n\
            rule \"R0\" { when a.f0 == 0 then h0 = h0 + 1; }\n\
            rule \"R1\" { when h0 != 2 || h0 == 0 then h0 = h2; m = 2; }\n\
            rule \"R2\" no-loop { when k0 >= 0 || a.f0 == 0 then h1 = 0; m = h1; }\n"
            .to_owned(),
        edge: None,
        outcomes: vec!["b.h1 == b.h1 || b.h0 == 0".to_owned(), "true".to_owned()],
        starts: [(('a', "n"), 0), (('b', "h0"), 0), (('b', "h2"), 1), (('b', "k0"), 0), (('b', "m"), 0)].into(),
    };
    assert_eq!(ending(&case.report().unwrap()), "o0");
}
