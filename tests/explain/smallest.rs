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
use tributary::graph::{Context, RuleFiles, compile};
use tributary::grl::Limits;
use tributary::types::{Clock, Deadline, Value};

const NAMES: [&str; 3] = ["a", "b", "c"];

struct Rules(String);

impl RuleFiles for Rules {
    fn read(&self, _: &str) -> std::io::Result<Arc<Source>> {
        Ok(Source::new("r.grl", self.0.clone()))
    }
}

/// What is found around `values` with these rules, which make `sum`; `limits` are those of each input.
async fn found(rules: &str, values: &[i64], limits: &str) -> Together {
    let names = NAMES.iter().take(values.len());
    let inputs: Vec<String> = names.clone().map(|name| format!("{name}: {{ type: integer{limits} }}")).collect();
    let graph = format!(
        "flow: linear\ninput: {{ {} }}\nnodes:\n  r: {{ type: RuleNode, rules: r.grl, facts: {{ sum: 0 }} }}\n\
         outcomes:\n  - {{ status: high, when: r.sum >= 2 }}\n  - {{ status: low, when: r.sum < 2 }}\n",
        inputs.join(", ")
    );
    let env = Env::default();
    let compiled = compile(&Source::new("graph.yaml", graph), &Rules(rules.to_owned()), &Context::new(&env));
    let (flow, _) = compiled.unwrap_or_else(|found| panic!("{}", tributary::diagnostics::render_json(&found)));
    let clock = Clock::fixed("2026-03-04T05:06:07Z".parse().unwrap(), jiff::tz::TimeZone::UTC);
    let run = RunOptions::new(clock, Deadline::after(Duration::from_secs(60)));
    let run = RunOptions { detail: Detail::Answers, ..run };
    let inputs: Vec<String> = names.clone().zip(values).map(|(name, value)| format!("\"{name}\": {value}")).collect();
    let inputs = flow.inputs.parse_json(format!("{{ {} }}", inputs.join(", ")).as_bytes()).expect("inputs that fit");
    let engines = OfflineEngines::new(Limits::default());
    let report = decide(&flow, inputs, &Answers::new(), &run, &engines).expect("no query");
    let search = Search { flow: &flow, trace: report.trace.as_ref().unwrap(), run: &run, engines: &engines };
    let facts = names.map(|name| format!("input.{name}")).collect();
    let question = Question { facts, field: None };
    let found = search.flips(&question, async |_| panic!("there are no queries")).await.expect("numbers");
    found.together.expect("several facts")
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
    let many = found("rule R no-loop { when a + b > 300 then sum = 2; }", &[100, 100], "").await;
    assert_eq!(many.found_by, "search", "{many:?}");
}
