//! Explanations, records, searches and error messages of decisions whose rules wait.

use std::sync::Arc;

use serde_json::{Value as Json, json};
use tributary::flow::explain::Explanation;
use tributary::flow::flip::{Question, Search};
use tributary::flow::offline::OfflineEngines;
use tributary::grl::Limits;
use tributary::records::{Entry, Record, Replay, Replayed};

use crate::flows::{Written, ends, names, run, written};

fn loan() -> Written {
    let graph = r#"
flow: loan
input: { birth_date: { type: date, required: false }, income: { type: integer } }
nodes:
  applicant: { type: RuleNode, rules: applicant.grl }
  late: { type: RuleNode, condition: "income > 10", dependencies: [applicant] }
  knock_out: { type: RuleNode, rules: knock_out.grl, dependencies: [applicant], facts: { found: 0, level: 0 } }
edges:
  - { from: applicant, to: late, rule: "applicant.age > 20" }
outcomes:
  - { status: poor, when: "knock_out.poor" }
  - { status: declined, when: "knock_out.found > 0" }
  - { status: approved, when: "knock_out.found == 0" }
  - { status: rest, when: "late.result" }
"#;
    let knock_out = r#"rule "Poor" no-loop { when income < 10 then poor = true; }
rule "Not poor" no-loop { when income >= 10 then poor = false; }
rule "Underage" no-loop { when age < 18 then found += 1; level = 2; }
rule "Level" no-loop { when income > 50 then level = age; }"#;
    let age = r#"rule "Age" no-loop { when birth_date != null then age = year(today()) - year(birth_date); }"#;
    written(graph, &[("applicant.grl", age), ("knock_out.grl", knock_out)])
}

#[test]
fn an_explanation_shows_waiting_rules_their_missing_facts_and_the_facts_that_they_would_set() {
    let flow = loan().flow();
    let report = ends(&flow, r#"{"income": 60}"#, &[], &run());
    let explanation = Explanation::of(&flow, report.trace.as_ref().unwrap());
    let json: Json = serde_json::to_value(&explanation).unwrap();
    let node = |name: &str| json["nodes"].as_array().unwrap().iter().find(|node| node["node"] == name).unwrap().clone();
    let knock_out = node("knock_out");
    assert_eq!(knock_out["unknown"], json!(["found", "level"]));
    let rule = |name: &str| {
        knock_out["not_fired"].as_array().unwrap().iter().find(|rule| rule["rule"] == name).unwrap().clone()
    };
    let underage = rule("Underage");
    assert_eq!((&underage["why"], &underage["would_set"]), (&json!("waiting"), &json!(["found", "level"])));
    assert!(underage["because"][0].as_str().unwrap().contains("applicant.age"), "{underage}");
    assert_eq!((&rule("Level")["why"], &rule("Level")["would_set"]), (&json!("incomplete"), &json!(["level"])));
    assert_eq!(rule("Poor").get("would_set"), None);
    let late = node("late");
    assert_eq!(late["state"], "unknown");
    assert!(late["because"].to_string().contains("the condition of the edge from applicant is unknown"), "{late}");
    let outcomes = json["outcomes"].as_array().unwrap();
    assert_eq!(outcomes.len(), 2, "the outcome after the undecided one is not tried: {outcomes:?}");
    assert!(outcomes[1]["because"].to_string().contains("knock_out.found"), "{outcomes:?}");
}

#[test]
fn a_replayed_record_has_the_same_error_and_shows_the_effect_of_changed_rules() {
    let flow = Arc::new(loan().flow());
    let report = ends(&flow, r#"{"income": 60}"#, &[], &run());
    let line = Entry::new(&flow, "1", None, &report).unwrap().line(false, None).unwrap();
    assert!(line.contains("undecided") && line.contains("applicant.age"), "{line}");
    let record = Record::parse(&line).unwrap();
    let flows = [loan().flow()];
    assert_eq!(Replay::new(&flows, Limits::default()).replay(&record), Replayed::Same);
    let mut allowed = loan();
    allowed.graph =
        allowed.graph.replace("facts: { found: 0, level: 0 }", "facts: { found: 0, level: 0 }, waiting: allow");
    let flows = [allowed.flow()];
    let replayed = Replay::new(&flows, Limits::default()).replay(&record);
    assert!(matches!(&replayed, Replayed::Changed(_)), "{replayed:?}");
}

#[actix_web::test]
async fn a_search_finds_where_a_knock_out_no_longer_has_to_wait() {
    let flow = loan().flow();
    let run = run();
    let report = ends(&flow, r#"{"income": 60}"#, &[], &run);
    let engines = OfflineEngines::new(Limits::default());
    let search = Search { flow: &flow, trace: report.trace.as_ref().unwrap(), run: &run, engines: &engines };
    let question = Question { facts: vec!["input.income".to_owned()], field: None };
    let found = search.flips(&question, async |_| panic!("there are no queries")).await.unwrap();
    let flip = &found.flips[0];
    assert_eq!((flip.ending.as_str(), &*flip.below.as_ref().unwrap().ending), ("error undecided", "poor"));
}

#[test]
fn waiting_rules_are_listed_in_the_same_order_after_each_start() {
    let each = |text: &dyn Fn(usize) -> String| (0..6).map(text).collect::<Vec<_>>();
    let inputs = each(&|n| format!("i{n}: {{ type: integer, required: false }}")).join(", ");
    let starts = each(&|n| format!("w{n}: 0")).join(", ");
    let graph = format!(
        "flow: t\ninput: {{ {inputs} }}\nnodes:\n  src: {{ type: RuleNode, rules: src.grl }}\n  \
         r: {{ type: RuleNode, rules: r.grl, dependencies: [src], facts: {{ x: 0, {starts} }} }}\n\
         outcomes:\n  - {{ status: one, when: r.x == 1 }}\n  - {{ status: other, when: true }}\n"
    );
    let src = each(&|n| format!("rule U{n} no-loop {{ when input.i{n} != null then u{n} = input.i{n}; }}\n")).concat();
    let rules = each(&|n| {
        format!(
            "rule Waits{n} no-loop {{ when src.u{n} > 0 then w{n} = 1; }}\n\
             rule Reads{n} no-loop {{ when w{n} == 0 || src.u{n} > 5 then x += {n}; }}\n"
        )
    });
    let flow = written(&graph, &[("src.grl", &src), ("r.grl", &rules.concat())]);
    let (_, first) = names(&flow.undecided("{}"));
    assert_eq!(first.len(), 6, "{first:?}");
    for _ in 0..10 {
        assert_eq!(names(&flow.undecided("{}")).1, first);
    }
}
