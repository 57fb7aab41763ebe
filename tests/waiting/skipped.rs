//! `default` and `is_set` in an answer say what the facts of a skipped node stand for.

use serde_json::json;
use tributary::flow::offline::{OfflineEngines, StubResponse, decide};
use tributary::flow::{QueryErrorKind, Report};
use tributary::grl::Limits;
use tributary::types::NodeId;

use crate::flows::{Written, answers, ending, ends, run, written};

fn flow(body: &str) -> Written {
    let graph = format!(
        "
flow: skipped
input: {{ amount: {{ type: integer, required: false }}, id: {{ type: integer }} }}
nodes:
  size: {{ type: RuleNode, rules: size.grl }}
  review: {{ type: RuleNode, rules: review.grl, dependencies: [size] }}
  bureau: {{ type: DBNode, database: b_db, query: \"SELECT score, since FROM b WHERE id = $1\", params: [input.id] }}
  debts: {{ type: DBNode, database: b_db, query: \"SELECT amount FROM d WHERE id = $1\", params: [input.id], rows: many }}
  both: {{ type: RuleNode, rules: both.grl, dependencies: [size, bureau] }}
edges:
  - {{ from: size, to: review, rule: size.large }}
  - {{ from: size, to: bureau, rule: size.large }}
  - {{ from: size, to: debts, rule: size.large }}
outcomes:
  - status: done
    when: input.id > 0
    message: \"by {{default(review.by, 'nobody')}}\"
    body: {body}
"
    );
    let size = r#"rule "Large" no-loop { when amount != null && amount > 100 then large = true; kind = "large"; }
rule "Small" no-loop { when amount != null && amount <= 100 then large = false; kind = "small"; }"#;
    let review = r#"rule "By" no-loop { when size.large then by = "Ann"; note.text = "seen"; }"#;
    let both = r#"rule "Both" no-loop { when default(bureau.score, 0) > 10 then known = true; }
rule "Neither" no-loop { when default(bureau.score, 0) <= 10 then known = false; }"#;
    written(&graph, &[("size.grl", size), ("review.grl", review), ("both.grl", both)])
}

const BODY: &str = r#"{
      by: "default(review.by, null)",
      or_nobody: "default(review.by, 'nobody')",
      note: "default(review.note.text, null)",
      score: "default(bureau.score, null)",
      doubled: "default(bureau.score, 1) * 2",
      since: "default(bureau.since, null)",
      debts: "default(debts.amount, null)",
      debt: "sum(default(debts.amount, []))",
      whole: "default(bureau, null)",
      reviewed: "is_set(review.by)",
      known: both.known }"#;

const ROWS: [(&str, &str); 2] =
    [("bureau", r#"[{ "score": 20, "since": "2026-01-31" }]"#), ("debts", r#"[{ "amount": 5 }, { "amount": 6 }]"#)];

fn body(report: &Report) -> serde_json::Value {
    let decision = report.result.as_ref().unwrap_or_else(|error| panic!("{error}"));
    serde_json::to_value(decision).unwrap()
}

#[test]
fn the_facts_of_a_skipped_node_stand_as_null_or_as_another_value_in_an_answer() {
    let flow = flow(BODY);
    let ran = body(&ends(&flow.flow(), r#"{"amount": 500, "id": 1}"#, &ROWS, &run()));
    assert_eq!(
        ran,
        json!({
            "status": "done", "message": "by Ann", "by": "Ann", "or_nobody": "Ann", "note": "seen", "score": 20,
            "doubled": 40, "since": "2026-01-31", "debts": [5, 6], "debt": 11,
            "whole": { "score": 20, "since": "2026-01-31" }, "reviewed": true, "known": true,
        })
    );
    let skipped = body(&ends(&flow.flow(), r#"{"amount": 5, "id": 1}"#, &ROWS, &run()));
    assert_eq!(
        skipped,
        json!({
            "status": "done", "message": "by nobody", "by": null, "or_nobody": "nobody", "note": null, "score": null,
            "doubled": 2, "since": null, "debts": null, "debt": 0, "whole": null, "reviewed": false, "known": false,
        })
    );
}

#[test]
fn without_default_a_fact_of_a_skipped_node_leaves_the_answer_undecided() {
    let report = ends(&flow("{ by: review.by }").flow(), r#"{"amount": 5, "id": 1}"#, &ROWS, &run());
    assert_eq!(ending(&report), "undecided");
}

#[test]
fn default_takes_a_fact_that_is_unknown_for_a_missing_one_and_without_it_the_answer_is_undecided() {
    let inputs = r#"{"id": 1}"#;
    let unknown = ends(
        &flow("{ kind: \"default(size.kind, 'open')\", score: \"default(bureau.score, 1)\" }").flow(),
        inputs,
        &ROWS,
        &run(),
    );
    let expected = json!({ "status": "done", "message": "by nobody", "kind": "open", "score": 1 });
    assert_eq!(body(&unknown), expected);
    assert_eq!(ending(&ends(&flow("{ kind: size.kind }").flow(), inputs, &ROWS, &run())), "undecided");
}

#[test]
fn default_does_not_hide_that_a_database_is_down() {
    let flow = flow(BODY).flow();
    let mut answers = answers(&ROWS);
    let down = QueryErrorKind::of_code("domain_unavailable").unwrap();
    answers.insert(NodeId::parse("bureau").unwrap(), StubResponse::Failed(down));
    let inputs = flow.inputs.parse_json(br#"{"amount": 500, "id": 1}"#).unwrap();
    let report = decide(&flow, inputs, &answers, &run(), &OfflineEngines::new(Limits::default())).unwrap();
    assert_eq!(ending(&report), "domain_unavailable");
}
