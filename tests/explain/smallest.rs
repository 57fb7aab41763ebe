//! The smallest change of several facts together, compared with all changes of a grid.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tributary::config::Env;
use tributary::diagnostics::Source;
use tributary::flow::flip::{Question, Search, Together};
use tributary::flow::offline::{Answers, OfflineEngines, decide};
use tributary::flow::{Detail, RunOptions};
use tributary::graph::{Context, Flow, RuleFiles, compile};
use tributary::grl::Limits;
use tributary::types::{Clock, Deadline, Value};

const NAMES: [&str; 3] = ["a", "b", "c"];

struct Rules(String);

impl RuleFiles for Rules {
    fn read(&self, path: &str) -> std::io::Result<Arc<Source>> {
        Ok(Source::new(path, self.0.clone()))
    }
}

/// A flow, its rules, and an input.
struct Case {
    graph: String,
    rules: String,
    input: String,
}

impl Case {
    /// Rules that make `sum`; `limits` are those of each input.
    fn linear(rules: &str, values: &[i64], limits: &str) -> Self {
        let names = NAMES.iter().take(values.len());
        let inputs: Vec<String> = names.clone().map(|name| format!("{name}: {{ type: integer{limits} }}")).collect();
        let values: Vec<String> = names.zip(values).map(|(name, value)| format!("\"{name}\": {value}")).collect();
        Self { input: format!("{{ {} }}", values.join(", ")), ..Self::of(&inputs.join(", "), rules) }
    }

    /// Decimals `a` and `b`.
    fn decimals(rules: &str, a: &str, b: &str) -> Self {
        let input = format!("{{ \"a\": {a}, \"b\": {b} }}");
        Self { input, ..Self::of("a: { type: decimal }, b: { type: decimal }", rules) }
    }

    fn of(inputs: &str, rules: &str) -> Self {
        let graph = format!(
            "flow: linear\ninput: {{ {inputs} }}\nnodes:\n  r: {{ type: RuleNode, rules: r.grl, facts: {{ sum: 0 }} }}\n\
             outcomes:\n  - {{ status: high, when: r.sum >= 2 }}\n  - {{ status: low, when: r.sum < 2 }}\n"
        );
        Self { graph, rules: rules.to_owned(), input: String::new() }
    }

    fn compiled(&self) -> Result<Flow, String> {
        let env = Env::default();
        let source = Source::new("graph.yaml", self.graph.clone());
        let compiled = compile(&source, &Rules(self.rules.clone()), &Context::new(&env));
        compiled.map(|(flow, _)| flow).map_err(|found| tributary::diagnostics::render_json(&found))
    }

    fn flow(&self) -> Flow {
        self.compiled().unwrap_or_else(|found| panic!("{}\n{found}", self.rules))
    }

    /// The smallest change of all its inputs.
    async fn together(&self, field: Option<&str>) -> Together {
        let facts = NAMES.iter().filter(|name| self.input.contains(&format!("\"{name}\"")));
        self.search(facts.map(|name| format!("input.{name}")).collect(), field).await
    }

    async fn of_facts(&self, facts: &[&str]) -> Together {
        self.search(facts.iter().map(|fact| (*fact).to_owned()).collect(), None).await
    }

    async fn search(&self, facts: Vec<String>, field: Option<&str>) -> Together {
        let flow = self.flow();
        let (run, engines) = (run(), OfflineEngines::new(Limits::default()));
        let inputs = flow.inputs.parse_json(self.input.as_bytes()).expect("inputs that fit");
        let report = decide(&flow, inputs, &Answers::new(), &run, &engines).expect("no query");
        let search = Search { flow: &flow, trace: report.trace.as_ref().unwrap(), run: &run, engines: &engines };
        let question = Question { facts, field: field.map(str::to_owned) };
        let found = search.flips(&question, async |_| panic!("there are no queries")).await.expect("numbers");
        found.together.expect("several facts")
    }
}

fn run() -> RunOptions {
    let clock = Clock::fixed("2026-03-04T05:06:07Z".parse().unwrap(), jiff::tz::TimeZone::UTC);
    RunOptions { detail: Detail::Answers, ..RunOptions::new(clock, Deadline::after(Duration::from_secs(60))) }
}

/// What is found around `values` with these rules.
async fn found(rules: &str, values: &[i64], limits: &str) -> Together {
    Case::linear(rules, values, limits).together(None).await
}

/// The values after the change.
fn changed(found: &Together, values: &[i64]) -> Option<Vec<i64>> {
    let change = found.change.as_ref()?;
    let after = |(name, value): (&&str, &i64)| {
        let changed = change.facts.iter().find(|changed| changed.fact == format!("input.{name}"));
        match changed.map(|changed| &changed.after) {
            Some(Value::Integer(after)) => *after,
            _ => *value,
        }
    };
    Some(NAMES.iter().zip(values).map(after).collect())
}

/// A multiple of every size that is generated.
const UNIT: i64 = 27_720_000;

/// What the shares of a value are of.
fn size(value: i64) -> i64 {
    if value == 0 { 1_000 } else { value.abs() }
}

/// The largest share by which a value moves, in parts of [`UNIT`].
fn share(before: &[i64], after: &[i64]) -> i64 {
    before.iter().zip(after).map(|(b, a)| (a - b).abs() * (UNIT / size(*b))).max().unwrap_or(0)
}

/// `factors * values > least` adds `adds` to the sum.
#[derive(Debug, Clone)]
struct Linear {
    factors: Vec<i64>,
    least: i64,
    adds: i64,
}

impl Linear {
    fn holds(&self, values: &[i64]) -> bool {
        self.factors.iter().zip(values).map(|(factor, value)| factor * value).sum::<i64>() > self.least
    }
}

fn text(rules: &[Linear]) -> String {
    let mut text = String::new();
    for (number, Linear { factors, least, adds }) in rules.iter().enumerate() {
        let terms: Vec<String> = factors.iter().zip(NAMES).map(|(factor, name)| format!("{factor} * {name}")).collect();
        let sum = terms.join(" + ");
        writeln!(text, "rule R{number} no-loop {{ when {sum} > {least} then sum += {adds}; }}").expect("text");
    }
    text
}

fn is_high(rules: &[Linear], values: &[i64]) -> bool {
    rules.iter().filter(|rule| rule.holds(values)).map(|rule| rule.adds).sum::<i64>() >= 2
}

/// All points whose coordinates differ from those of `values` by at most the `bounds`.
fn around(values: &[i64], bounds: &[i64]) -> Vec<Vec<i64>> {
    let longer = |point: Vec<i64>, value: i64, bound: i64| {
        (-bound..=bound).map(move |by| point.iter().copied().chain([value + by]).collect::<Vec<i64>>())
    };
    values.iter().zip(bounds).fold(vec![Vec::new()], |all, (value, bound)| {
        all.into_iter().flat_map(|point| longer(point, *value, *bound)).collect()
    })
}

fn case() -> impl Strategy<Value = (Vec<Linear>, Vec<i64>)> {
    (2_usize..=3).prop_flat_map(|facts| {
        let factors = prop::collection::vec(-3_i64..=3, facts);
        let rule = (factors, -40_i64..40, prop::sample::select(vec![-1_i64, 1, 2, 3]));
        let rule = rule.prop_map(|(factors, least, adds)| Linear { factors, least, adds });
        (prop::collection::vec(rule, 1..5), prop::collection::vec(-12_i64..=12, facts))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 50, ..ProptestConfig::default() })]

    #[test]
    fn a_change_has_the_other_outcome_and_after_a_proof_no_smaller_one_has((rules, values) in case()) {
        let found = actix_web::rt::System::new().block_on(found(&text(&rules), &values, ""));
        let here = is_high(&rules, &values);
        prop_assert_eq!(found.ending.as_str(), if here { "high" } else { "low" });
        let Some(after) = changed(&found, &values) else {
            prop_assert_eq!(found.found_by, "search");
            return Ok(());
        };
        prop_assert_ne!(is_high(&rules, &after), here, "{:?}", found);
        if found.found_by == "proof" {
            let most = share(&values, &after);
            let bounds: Vec<i64> = values.iter().map(|value| most * size(*value) / UNIT).collect();
            for point in around(&values, &bounds) {
                let is_smaller = share(&values, &point) < most;
                prop_assert!(!is_smaller || is_high(&rules, &point) == here, "{point:?} is smaller: {found:?}");
            }
        }
    }
}

#[actix_web::test]
async fn a_smaller_change_that_the_directions_miss_is_found_where_all_are_tried() {
    // The directions keep the shares equal: they pass by a = 11 with b = 8, and meet a = 16.
    let rules = "rule R no-loop { when a == 11 && b == 8 || a >= 16 then sum = 2; }";
    let found_all = found(rules, &[10, 10], "").await;
    assert_eq!((found_all.found_by, changed(&found_all, &[10, 10])), ("proof", Some(vec![11, 8])), "{found_all:?}");
    // A change that cannot be tried is no proof.
    let limited = found(rules, &[10, 10], ", minimum: 9").await;
    assert_eq!((limited.found_by, changed(&limited, &[10, 10])), ("search", Some(vec![16, 10])), "{limited:?}");
    // Too many to try.
    let many = found("rule R no-loop { when sqrt(a * b) > 150 then sum = 2; }", &[100, 100], "").await;
    assert_eq!(many.found_by, "search", "{many:?}");
}

/// How it was found, and the numbers after it.
fn numbers(found: &Together) -> (&'static str, Vec<String>) {
    let facts = found.change.iter().flat_map(|change| &change.facts);
    (found.found_by, facts.map(|changed| format!("{} = {}", changed.fact, changed.after)).collect())
}

fn proved(after: &[&str]) -> (&'static str, Vec<String>) {
    ("proof", after.iter().map(|text| (*text).to_owned()).collect())
}

#[actix_web::test]
async fn the_smallest_change_of_large_numbers_is_exact_where_the_rules_are_linear() {
    // Of 3 a + 2 b > 7700, a tenth of each is just too little. The next step of b is a smaller share than that of a.
    let linear = ["input.a = 1100.00", "input.b = 2200.01"];
    let of_price = ["input.a = 13.75", "input.b = 4400.0"];
    for (rules, a, b, expected) in [
        ("rule R no-loop { when 3 * a + 2 * b > 7700 then sum = 2; }", "1000.00", "2000.00", linear),
        ("rule R { when !(a * 3 - -b * 2 <= 7700) then sum = 2; }", "1000.00", "2000.00", linear),
        // Two passes: the first rule waits for what the second one sets, and that for the third.
        (
            "rule A salience 9 no-loop { when half > 4235 then sum = 2; }
             rule B salience 8 no-loop { when gross > 0 then half = gross / 2; half -= gross * 0; }
             rule C salience 7 no-loop { when a > 0 then gross = 3 * a + 2 * b + 770; }",
            "1000.00",
            "2000.00",
            linear,
        ),
        // The discount ends far from the border, and crosses the box.
        (
            "rule A salience 9 no-loop { when a < 950.5 then reduced = a * 0.5; }
             rule B salience 9 no-loop { when a >= 950.5 then reduced = a; }
             rule C salience 8 no-loop { when max(reduced, 900) * 3 + 2 * b > 7700 then sum = 2; }",
            "1000.00",
            "2000.00",
            linear,
        ),
        ("rule R no-loop { when a * b >= 60500 then sum = 2; }", "12.50", "4000.0", of_price),
        (
            "rule R no-loop { when (if a > 13 then round(a * b) else a * b) >= 60500 then sum = 2; }",
            "12.50",
            "4000.0",
            of_price,
        ),
        ("rule R no-loop { when a * b / 3 >= 60500 / 3 then sum = 2; }", "12.50", "4000.0", of_price),
    ] {
        let found = Case::decimals(rules, a, b).together(None).await;
        assert_eq!(numbers(&found), proved(&expected), "{rules}: {found:?}");
    }
}

#[actix_web::test]
async fn a_smaller_change_of_large_numbers_that_the_directions_miss_is_found() {
    // With equal shares, b is below 900 where a reaches 1150: the directions meet a = 1600.
    let rules =
        "rule R no-loop { when a >= 1150.5 && a <= 1152 && b >= 900 && b <= 905.25 || a >= 1600 then sum = 2; }";
    let found = Case::decimals(rules, "1000.00", "1000.00").together(None).await;
    assert_eq!(numbers(&found), proved(&["input.a = 1150.50", "input.b = 905.25"]), "{found:?}");
    // A square is not linear: at the corners of the box it is large.
    let rules = "rule R no-loop { when (a - 1050) * (a - 1050) <= 1 || a + b >= 3000 then sum = 2; }";
    let found = Case::decimals(rules, "1000.00", "1000.00").together(None).await;
    assert_eq!(numbers(&found), proved(&["input.a = 1049.00"]), "{found:?}");
}

#[actix_web::test]
async fn what_intervals_do_not_cover_is_found_by_search() {
    for rules in [
        "rule R no-loop { when sqrt(a) + b > 1131 then sum = 2; }",
        "rule R no-loop { when a % 7 + b > 1107 then sum = 2; }",
        "rule R no-loop { when len(concat(a)) + b > 1107 then sum = 2; }",
        "rule R no-loop { when b in [1100, 1200] then sum = 2; } rule S no-loop { when a + b > 2200 then sum = 2; }",
        // The rule waits where a is smaller: what it would set is unknown.
        "rule R no-loop { when a > 999 then seen = b; } rule S no-loop { when seen > 1100 then sum = 2; }",
    ] {
        let found = Case::decimals(rules, "1000.00", "1000.00").together(None).await;
        assert_eq!(found.found_by, "search", "{rules}: {found:?}");
        assert!(found.change.is_some() && found.cut_off.is_none(), "{rules}: {found:?}");
    }
}

#[actix_web::test]
async fn facts_of_a_skipped_node_are_unset_in_a_proof() {
    let rules = "rule R no-loop { when a < 1049 || a > 1051 then open = true; }
        rule S no-loop { when a >= 1049 && a <= 1051 then open = false; }";
    let case = Case::decimals(rules, "1000.00", "1000.00");
    let graph = "flow: linear\ninput: { a: { type: decimal }, b: { type: decimal } }\nnodes:\n  \
        r: { type: RuleNode, rules: r.grl }\n  s: { type: RuleNode, condition: input.a + input.b, dependencies: [r] }\nedges:\n  \
        - { from: r, to: s, rule: r.open }\noutcomes:\n  - { status: high, when: s.result >= 2400 }\n  \
        - { status: low, when: s.result < 2400 }\n  - { status: none, when: input.a > 0 }\n";
    let case = Case { graph: graph.to_owned(), ..case };
    // The directions pass by the values of a for which there is no sum.
    for facts in [["input.a", "input.b"], ["s.result", "input.a"]] {
        let found = case.of_facts(&facts).await;
        assert_eq!(numbers(&found), proved(&["input.a = 1049.00"]), "{found:?}");
    }
}

#[actix_web::test]
async fn a_field_is_proved_where_its_value_does_not_vary_with_the_facts() {
    let case = |body: &str, rules: &str| {
        let case = Case::decimals(rules, "1000.00", "2000.00");
        let graph =
            case.graph.replace("when: r.sum < 2 }", &format!("when: r.sum < 2, body: {{ it: {{ is: {body} }} }} }}"));
        Case { graph, ..case }
    };
    let rules = "rule A no-loop { when 3 * a + 2 * b > 7700 then size = \"large\"; }
        rule B no-loop { when 3 * a + 2 * b <= 7700 then size = \"small\"; }";
    let found = case("r.size", rules).together(Some("it.is")).await;
    assert_eq!(numbers(&found), proved(&["input.a = 1100.00", "input.b = 2200.01"]), "{found:?}");
    // The least step of either gives another total.
    let found = case("3 * input.a + 2 * input.b", rules).together(Some("it.is")).await;
    assert_eq!(numbers(&found), proved(&["input.b = 2000.01"]), "{found:?}");
    let varies =
        Case { input: "{ \"a\": 1000.00, \"b\": 2500.00 }".to_owned(), ..case("floor((a + b) / 1000)", rules) };
    assert_eq!(varies.together(Some("it.is")).await.found_by, "search");
}

#[actix_web::test]
async fn a_table_of_one_result_is_covered_and_one_that_adds_results_is_not() {
    let graph = |hit: &str| {
        format!(
            "flow: linear\ninput: {{ a: {{ type: decimal }}, b: {{ type: decimal }} }}\nnodes:\n  \
             t: {{ type: RuleNode, table: t.csv, hit: {hit}, dependencies: [] }}\noutcomes:\n  \
             - {{ status: high, when: t.rate >= 3 }}\n  - {{ status: low, when: t.rate < 3 }}\n"
        )
    };
    let ranges = "rule,when a + b,then rate\nLow,< 2100,1\nMiddle,[2100..2200),2\nHigh,>= 2200,3\n";
    let overlapping = "rule,when a + b,when a,then rate\nHigh,>= 2200,-,3\nMiddle,>= 2100,-,2\nLow,-,> 0,1\n";
    for (hit, table, found_by) in [
        ("unique", ranges, "proof"),
        ("any", ranges, "proof"),
        ("first", overlapping, "proof"),
        ("sum", ranges, "search"),
    ] {
        let case = Case { graph: graph(hit), ..Case::decimals(table, "1000.00", "1000.00") };
        let found = case.together(None).await;
        assert_eq!(found.found_by, found_by, "{hit}: {found:?}");
        let (_, after) = numbers(&found);
        assert_eq!(after, ["input.a = 1100.00", "input.b = 1100.00"], "{hit}: {found:?}");
    }
}
