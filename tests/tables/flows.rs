//! Tables in flows: the keys of the graph, other nodes, explanations and hashes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use tributary::config::Env;
use tributary::diagnostics::{Diagnostics, Source};
use tributary::flow::explain::Explanation;
use tributary::flow::offline::{Answers, OfflineEngines, decide};
use tributary::flow::{Detail, FlowError, Report, RunOptions};
use tributary::graph::{Context, Flow, RuleFiles, Work, compile};
use tributary::grl::Limits;
use tributary::records::{Entry, Record, Replay, Replayed};
use tributary::types::{Clock, Deadline};

/// Files by their paths.
struct Files(BTreeMap<&'static str, String>);

impl RuleFiles for Files {
    fn read(&self, path: &str) -> std::io::Result<Arc<Source>> {
        let text = self.0.get(path).ok_or(std::io::ErrorKind::NotFound)?;
        Ok(Source::new(path, text))
    }
}

const RATES: &str = "when region,when quantity,then discount\nEU,>= 10,0.1\nEU,< 10,0\nnot(EU),-,start.rate * 2\n";

const MODEL: &str = r#"<definitions><decision name="Rates"><decisionTable hitPolicy="FIRST"><input><inputExpression><text>quantity</text></inputExpression></input><output name="discount"/><rule><inputEntry><text>-</text></inputEntry><outputEntry><text>0.1</text></outputEntry></rule></decisionTable></decision></definitions>"#;

/// A flow whose node `rates` has these keys, over a table with this text.
fn flow(keys: &str, table: &str) -> Result<(Flow, Diagnostics), Diagnostics> {
    commented("", keys, table)
}

/// As [`flow`], with a comment above the node.
fn commented(comment: &str, keys: &str, table: &str) -> Result<(Flow, Diagnostics), Diagnostics> {
    let graph = format!(
        r#"
flow: orders
input:
  region: text
  quantity: integer
nodes:
  base:
    type: RuleNode
    condition: "0.05"
  start:
    type: RuleNode
    rules: start.grl
  # comment
  rates:
    type: RuleNode
    {}
outcomes:
  - status: done
    when: rates.discount >= 0
    body: {{ discount: rates.discount, base: base.result, rate: start.rate }}
"#,
        keys.replace('\n', "\n    ")
    )
    .replace("# comment", &format!("# {comment}"));
    let files = Files(BTreeMap::from([
        ("rates.csv", table.to_owned()),
        ("rates.dmn", MODEL.to_owned()),
        ("start.grl", "rule R no-loop { when input.quantity > 0 then rate = 0.05; }".to_owned()),
    ]));
    let env = Env::default();
    compile(&Source::new("graph.yaml", graph), &files, &Context::new(&env))
}

fn message(found: &Diagnostics) -> String {
    found.iter().map(|found| format!("{}: {}", found.code, found.message)).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_table_is_a_node_of_rules() {
    let (flow, warnings) = flow("table: rates.csv\nhit: first", RATES).unwrap();
    assert_eq!(message(&warnings), "");
    let rates = flow.nodes.iter().find(|node| node.id.as_str() == "rates").unwrap();
    let Work::Rules(rules) = &rates.work else { panic!("a node of rules") };
    assert!(rules.ruleset.is_table());
    // The table reads a fact of another node, on which it depends.
    let start = flow.nodes.iter().position(|node| node.id.as_str() == "start").unwrap();
    assert_eq!(rates.depends_on, [start]);
}

#[test]
fn the_hash_of_the_rules_covers_the_table() {
    let hash = |table: &str| flow("table: rates.csv", table).unwrap().0.rules_hash;
    assert_eq!(hash(RATES), hash(RATES));
    assert_ne!(hash(RATES), hash(&RATES.replace("0.1", "0.2")));
}

#[test]
fn keys_that_do_not_fit_are_refused() {
    for (keys, expected) in [
        ("table: rates.csv\nrules: start.grl", "wrong-key: a RuleNode has one of `rules`, `condition` and `table`"),
        ("hit: first", "missing-key: a RuleNode needs `rules`, a `condition` or a `table`"),
        ("rules: start.grl\nhit: first", "wrong-key: `hit` and `prefer` belong to a `table`"),
        ("table: other.csv", "unreadable-file: the table `other.csv` cannot be read: entity not found"),
        ("table: rates.csv\nhit: priority", "wrong-key: the hit policy priority needs an order of preference"),
        (
            "table: rates.csv\nprefer: { discount: [0.1] }",
            "wrong-key: the hit policy unique has no order of preference",
        ),
        ("table: rates.csv\nhit: best", "unknown-word: `hit` must be `unique`, `any`, `priority`"),
        (
            "table: rates.csv\nhit: priority\nprefer: { discount: [0.1, 0] }",
            "bad-table: the order of preference of `discount` does not have this result",
        ),
        ("table: rates.csv\nhit: priority\nprefer: { rate: [0.1, 0] }", "unknown-fact: the table has no result `rate`"),
        ("table: rates.dmn\nhit: first", "wrong-key: the file of the table has the hit policy"),
        ("table: rates.dmn#Other", "bad-table: the model has no decision `Other` with a decision table"),
        ("table: rates.csv#Sheet", "bad-table: a CSV file has no part `Sheet`"),
        ("table: rates.csv\nhit: sum\nfacts: { discount: 1 }", "bad-table: `discount` has a value before the table"),
    ] {
        let found = flow(keys, RATES).map(|_| ()).expect_err(keys);
        assert!(message(&found).contains(expected), "{keys}\n{}", message(&found));
    }
}

#[test]
fn a_warning_about_a_table_is_allowed_in_the_graph() {
    let unread = RATES
        .replace("then discount", "then spare,then discount")
        .replace("\nEU,>= 10", "\nEU,>= 10,1")
        .replace("\nEU,< 10", "\nEU,< 10,2")
        .replace("not(EU),-", "not(EU),-,3");
    let (_, warnings) = flow("table: rates.csv", &unread).unwrap();
    assert_eq!(message(&warnings), "unused-fact: nothing reads the fact `spare`");
    let (_, warnings) = commented("allow: unused-fact -- for a later flow", "table: rates.csv", &unread).unwrap();
    assert_eq!(message(&warnings), "");
}

#[test]
fn what_is_proved_of_a_table_is_warned_of_and_may_be_allowed() {
    let gap = RATES.replace("not(EU)", "US");
    let (_, warnings) = flow("table: rates.csv", &gap).unwrap();
    assert_eq!(message(&warnings), "table-gap: no row takes region = \"A\"");
    let (_, warnings) = commented("allow: table-gap -- others have no rate", "table: rates.csv", &gap).unwrap();
    assert_eq!(message(&warnings), "");
    // A starting value is the result where no row matches.
    let (_, warnings) = flow("table: rates.csv\nfacts: { discount: 0.0 }", &gap).unwrap();
    assert_eq!(message(&warnings), "");
}

/// Decides the flow of these tests for an input.
fn decided(flow: &Flow, input: &str) -> Report {
    let clock = Clock::fixed("2026-11-23T10:00:00Z".parse().unwrap(), TimeZone::UTC);
    let run =
        RunOptions { detail: Detail::Reasons, ..RunOptions::new(clock, Deadline::after(Duration::from_secs(60))) };
    let inputs = flow.inputs.parse_json(input.as_bytes()).unwrap();
    decide(flow, inputs, &Answers::new(), &run, &OfflineEngines::new(Limits::default())).unwrap()
}

#[test]
fn a_decision_names_the_row_and_what_kept_the_others() {
    let (flow, _) = flow("table: rates.csv", RATES).unwrap();
    let report = decided(&flow, r#"{"region": "EU", "quantity": 7}"#);
    let explanation = Explanation::of(&flow, report.trace.as_deref().unwrap());
    let rates = explanation.nodes.iter().find(|node| node.node.as_str() == "rates").unwrap();
    let fired: Vec<(&str, &str)> =
        rates.fired.iter().flatten().map(|row| (row.rule.as_str(), row.place.as_str())).collect();
    assert_eq!(fired, [("row 3", "rates.csv:3:1")]);
    let kept: Vec<String> =
        rates.not_fired.iter().flatten().map(|row| format!("{}: {}", row.rule, row.because.join("; "))).collect();
    assert_eq!(kept, ["row 2: quantity 7 >= 10: short by 3", "row 4: region \"EU\" != EU"]);
    assert_eq!(rates.further_rows, None);
    let (_, lineage) = explanation
        .lineage
        .iter()
        .find(|(field, _)| &**field == "rates.discount" || field.ends_with("discount"))
        .unwrap();
    assert_eq!(lineage.rules.iter().map(|rule| rule.rule.as_str()).collect::<Vec<_>>(), ["row 3"]);
    assert!(lineage.inputs.iter().any(|input| input == "region"), "{:?}", lineage.inputs);
}

#[test]
fn a_decision_without_a_matching_row_is_undecided() {
    let (flow, _) = flow("table: rates.csv", "when quantity,then discount\n> 5,0.1\n").unwrap();
    let error = decided(&flow, r#"{"region": "EU", "quantity": 1}"#).result.unwrap_err();
    assert_eq!(error.code(), "undecided");
    let FlowError::Undecided(undecided) = &error else { panic!("{error:?}") };
    assert_eq!(undecided.missing[0].fact, "rates.discount");
    assert_eq!(undecided.missing[0].set_by, ["row 2"]);
}

#[test]
fn two_rows_that_match_together_are_never_a_decision() {
    let (flow, _) = flow("table: rates.csv", "when quantity,then discount\n> 5,0.1\n> 7,0.2\n").unwrap();
    let error = decided(&flow, r#"{"region": "EU", "quantity": 9}"#).result.unwrap_err();
    assert_eq!(error.code(), "rule_error");
    assert!(error.to_string().contains("`row 2` (rates.csv:2:1) and `row 3` (rates.csv:3:1) both match"), "{error}");
}

#[test]
fn decisions_over_a_table_replay() {
    let (flow, _) = flow("table: rates.csv", RATES).unwrap();
    let report = decided(&flow, r#"{"region": "EU", "quantity": 12}"#);
    let line = Entry::new(&Arc::new(flow), "id", None, &report).unwrap().line(false, None).unwrap();
    assert!(line.contains(r#""fired":["row 2"]"#), "{line}");
    let record = Record::parse(&line).unwrap();
    let replayed = |table: &str| {
        Replay::new(&[self::flow("table: rates.csv", table).unwrap().0], Limits::default()).replay(&record)
    };
    assert_eq!(replayed(RATES), Replayed::Same);
    assert!(matches!(replayed(&RATES.replace("0.1", "0.2")), Replayed::Changed(_)));
}

#[test]
fn a_table_of_a_model_is_named_by_its_decision() {
    let (flow, _) = flow("table: rates.dmn#Rates", RATES).unwrap();
    assert!(decided(&flow, r#"{"region": "EU", "quantity": 1}"#).result.is_ok());
}
