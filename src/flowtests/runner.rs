//! Runs tests side by side, a thread a core.

use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::coverage::Coverage;
use super::file::{Case, Suite};
use super::verdict::{self, Mismatch};
use crate::flow::explain::Explanation;
use crate::flow::offline::{self, OfflineEngines};
use crate::flow::{Detail, RunOptions};
use crate::grl::Limits;
use crate::types::Deadline;

/// What came of one test.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The position of its file in what was run.
    pub suite: usize,
    /// The position of the test in its file.
    pub case: usize,
    /// What is not as expected; nothing where it passed.
    pub mismatches: Vec<Mismatch>,
    /// How long it took.
    pub took: Duration,
}

impl Outcome {
    /// Whether everything is as expected.
    pub fn passed(&self) -> bool {
        self.mismatches.is_empty()
    }
}

/// Runs every test of `suites` whose name `wanted` takes. The outcomes come in the order of the files, with what they covered.
pub fn run(suites: &[Suite], limits: &Limits, wanted: impl Fn(&str) -> bool + Sync) -> (Vec<Outcome>, Coverage) {
    let tests: Vec<(usize, usize)> = suites
        .iter()
        .enumerate()
        .flat_map(|(suite, known)| known.cases.iter().enumerate().map(move |(case, known)| (suite, case, known)))
        .filter(|(_, _, case)| wanted(&case.name))
        .map(|(suite, case, _)| (suite, case))
        .collect();
    let next = AtomicUsize::new(0);
    let results = Mutex::new((Vec::with_capacity(tests.len()), Coverage::of(suites)));
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(tests.len().max(1));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let engines = OfflineEngines::new(limits.clone());
                while let Some((suite, case)) = tests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let Some((known, test)) =
                        suites.get(*suite).and_then(|known| Some((known, known.cases.get(*case)?)))
                    else {
                        continue;
                    };
                    let began = Instant::now();
                    let (mismatches, explanation) = one(known, test, &engines);
                    let outcome = Outcome { suite: *suite, case: *case, mismatches, took: began.elapsed() };
                    let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(explanation) = explanation {
                        results.1.add(*suite, &explanation);
                    }
                    results.0.push(outcome);
                }
            });
        }
    });
    let (mut outcomes, coverage) = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    outcomes.sort_by_key(|outcome| (outcome.suite, outcome.case));
    (outcomes, coverage)
}

fn one(suite: &Suite, case: &Case, engines: &OfflineEngines) -> (Vec<Mismatch>, Option<Explanation>) {
    let failed = |what: &str, expected: &str, found: String| {
        vec![Mismatch { what: what.to_owned(), expected: expected.to_owned(), found, because: Vec::new() }]
    };
    let inputs = match suite.flow.inputs.parse_json(case.input.to_string().as_bytes()) {
        Ok(inputs) => inputs,
        Err(error) => return (failed("inputs", "inputs that fit the flow", error.to_string()), None),
    };
    let deadline = Deadline::after(Duration::ZERO);
    let run = RunOptions { detail: Detail::Reasons, ..RunOptions::new(case.clock.clone(), deadline) };
    match offline::decide(&suite.flow, inputs, &case.answers, &run, engines) {
        Err(unanswered) => (failed("rows", "rows for every node that asks", unanswered.to_string()), None),
        Ok(report) => {
            let Some(trace) = &report.trace else {
                let found = report.result.err().map_or_else(String::new, |error| error.to_string());
                return (failed("result", "a run", found), None);
            };
            let explanation = Explanation::of(&suite.flow, trace, report.result.is_ok());
            (verdict::compare(&case.expect, &report.result, &explanation), Some(explanation))
        }
    }
}
