//! Runs tests in parallel, one thread for each core.

use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::coverage::Coverage;
use super::suite::{Suite, Test};
use super::verdict::{self, Mismatch};
use crate::flow::Detail;
use crate::flow::explain::Explanation;
use crate::flow::offline::{CaseError, OfflineEngines};
use crate::grl::Limits;

/// The result of one test.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The position of its file in what was run.
    pub suite: usize,
    /// The position of the test in its file.
    pub test: usize,
    /// The differences from the expectation; empty where it passed.
    pub mismatches: Vec<Mismatch>,
    /// How long it took.
    pub took: Duration,
}

impl Outcome {
    /// Whether there is no difference.
    pub fn passed(&self) -> bool {
        self.mismatches.is_empty()
    }
}

/// Runs every test of `suites` whose name `wanted` accepts. The outcomes are in the order of the files.
pub fn run(suites: &[Suite], limits: &Limits, wanted: impl Fn(&str) -> bool + Sync) -> (Vec<Outcome>, Coverage) {
    let tests: Vec<(usize, usize)> = suites
        .iter()
        .enumerate()
        .flat_map(|(suite, known)| known.tests.iter().enumerate().map(move |(test, known)| (suite, test, known)))
        .filter(|(_, _, test)| wanted(&test.name))
        .map(|(suite, test, _)| (suite, test))
        .collect();
    let next = AtomicUsize::new(0);
    let results = Mutex::new((Vec::with_capacity(tests.len()), Coverage::of(suites)));
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(tests.len().max(1));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let engines = OfflineEngines::new(limits.clone());
                while let Some((number, place)) = tests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let Some((suite, test)) =
                        suites.get(*number).and_then(|suite| Some((suite, suite.tests.get(*place)?)))
                    else {
                        continue;
                    };
                    let began = Instant::now();
                    let (mismatches, explanation) = one(suite, test, &engines);
                    let outcome = Outcome { suite: *number, test: *place, mismatches, took: began.elapsed() };
                    let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(explanation) = explanation {
                        results.1.add(*number, &explanation);
                    }
                    results.0.push(outcome);
                }
            });
        }
    });
    let (mut outcomes, coverage) = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    outcomes.sort_by_key(|outcome| (outcome.suite, outcome.test));
    (outcomes, coverage)
}

fn one(suite: &Suite, test: &Test, engines: &OfflineEngines) -> (Vec<Mismatch>, Option<Explanation>) {
    let failed = |what: &str, expected: &str, found: String| {
        vec![Mismatch { what: what.to_owned(), expected: expected.to_owned(), found, because: Vec::new() }]
    };
    let report = match test.case.decide(&suite.flow, Detail::Reasons, engines) {
        Ok(report) => report,
        Err(CaseError::Inputs(error)) => {
            return (failed("inputs", "inputs that fit the flow", error.to_string()), None);
        }
        Err(CaseError::Unanswered(why)) => {
            return (failed("rows", "rows for every node that asks", why.to_string()), None);
        }
    };
    let Some(trace) = &report.trace else {
        let found = report.result.err().map_or_else(String::new, |error| error.to_string());
        return (failed("result", "a run", found), None);
    };
    let explanation = Explanation::of(&suite.flow, trace);
    (verdict::compare(&test.expect, (&suite.flow, &report.result, trace), &explanation), Some(explanation))
}
