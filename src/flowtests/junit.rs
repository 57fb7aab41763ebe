//! Results as `JUnit` XML, which build servers read.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::runner::Outcome;
use super::suite::Suite;

/// The document.
///
/// # Errors
/// Those of the writer.
pub fn junit(suites: &[Suite], outcomes: &[Outcome]) -> Result<String, quick_junit::SerializeError> {
    let mut report = Report::new("tributary test");
    for (number, suite) in suites.iter().enumerate() {
        let mut cases = TestSuite::new(suite.name.as_str());
        for outcome in outcomes.iter().filter(|outcome| outcome.suite == number) {
            let Some(test) = suite.tests.get(outcome.test) else { continue };
            let status = if outcome.passed() {
                TestCaseStatus::success()
            } else {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_message(format!("{} differences from the expected result", outcome.mismatches.len()));
                status.set_description(description(outcome));
                status
            };
            let mut case = TestCase::new(test.name.as_str(), status);
            case.set_classname(suite.flow.name.as_str());
            case.set_time(outcome.took);
            cases.add_test_case(case);
        }
        report.add_test_suite(cases);
    }
    report.to_string()
}

fn description(outcome: &Outcome) -> String {
    let mut text = String::new();
    for mismatch in &outcome.mismatches {
        text.push_str(&format!("{}: expected {}, found {}\n", mismatch.what, mismatch.expected, mismatch.found));
        mismatch.because.iter().for_each(|because| text.push_str(&format!("    {because}\n")));
    }
    text
}
