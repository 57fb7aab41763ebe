//! Over generated rules and rows: explaining changes nothing, every reason given is true, records replay.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tributary::flow::explain::Explanation;
use tributary::flow::offline::{OfflineEngines, decide};
use tributary::flow::{Detail, Report, RunOptions};
use tributary::grl::Limits;
use tributary::records::{Entry, Record, Replay, Replayed};
use tributary::types::{Clock, Deadline, Value};

use crate::generated::{Case, case};

fn run(detail: Detail) -> RunOptions {
    let clock = Clock::fixed("2026-03-04T05:06:07.089Z".parse().unwrap(), jiff::tz::TimeZone::UTC);
    RunOptions { detail, ..RunOptions::new(clock, Deadline::after(Duration::from_secs(60))) }
}

fn decided(case: &Case, detail: Detail) -> Option<(Arc<tributary::graph::Flow>, Report)> {
    let flow = Arc::new(case.flow()?);
    let engines = OfflineEngines::new(Limits::default());
    let report =
        decide(&flow, Value::map([]), &case.answers(), &run(detail), &engines).expect("an answer for each node");
    Some((flow, report))
}

fn shown(report: &Report) -> String {
    match &report.result {
        Ok(decision) => serde_json::to_string(decision).unwrap(),
        Err(error) => error.to_string(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn explaining_changes_no_decision(case in case()) {
        let Some((_, plain)) = decided(&case, Detail::Decision) else { return Ok(()) };
        let (flow, noted) = decided(&case, Detail::Answers).unwrap();
        let (_, explained) = decided(&case, Detail::Reasons).unwrap();
        prop_assert!(plain.trace.is_none());
        prop_assert_eq!(shown(&plain), shown(&noted));
        prop_assert_eq!(shown(&plain), shown(&explained));
        let trace = explained.trace.as_deref().unwrap();
        let explanation = Explanation::of(&flow, trace);
        check(&case, &explanation)?;
    }

    #[test]
    fn what_was_recorded_replays_to_the_letter(case in case()) {
        let Some((flow, report)) = decided(&case, Detail::Answers) else { return Ok(()) };
        let line = Entry::new(&flow, "id", None, &report).unwrap().line(false, None).unwrap();
        let record = Record::parse(&line).unwrap();
        let flows = [case.flow().unwrap()];
        prop_assert_eq!(Replay::new(&flows, Limits::default()).replay(&record), Replayed::Same, "{}", line);
    }
}

/// The explanation is consistent with what the rules did.
fn check(case: &Case, explanation: &Explanation) -> Result<(), TestCaseError> {
    let node = explanation.nodes.iter().find(|node| node.node.as_str() == "r").unwrap();
    let (Some(fired), Some(not_fired)) = (&node.fired, &node.not_fired) else { return Ok(()) };
    let rules = case.rules.matches("rule \"").count();
    let mut names: Vec<&str> = fired.iter().map(|rule| rule.rule.as_str()).collect();
    names.extend(not_fired.iter().map(|rule| rule.rule.as_str()));
    names.sort_unstable();
    names.dedup();
    // Every rule has fired or has a reason why not.
    prop_assert_eq!(names.len(), rules, "{}", case.rules);
    for rule in not_fired {
        prop_assert!(!rule.because.is_empty(), "{} has no reason\n{}", rule.rule, case.rules);
    }
    // The value before a rule is the value after the last one.
    let mut facts: std::collections::HashMap<String, String> =
        [("total".to_owned(), "0".to_owned()), ("note".to_owned(), String::new())].into();
    for change in fired.iter().flat_map(|rule| &rule.facts) {
        let before = change.before.as_ref().map(Value::to_string);
        prop_assert_eq!(before.as_ref(), facts.get(&*change.fact), "{} in\n{}", change.fact, case.rules);
        facts.insert(change.fact.to_string(), change.after.to_string());
    }
    if let Some(Value::Map(record)) = &node.value {
        for (name, value) in record.iter() {
            prop_assert_eq!(Some(&value.to_string()), facts.get(&**name));
        }
    }
    Ok(())
}
