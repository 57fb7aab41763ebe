//! The shipped flow without databases, and its decision as JSON.

use std::path::Path;
use std::time::Duration;

use criterion::Criterion;
use tributary::config::Env;
use tributary::flow::RunOptions;
use tributary::flow::offline::{OfflineEngines, StubResponse, decide, rows};
use tributary::flowtests::Suite;
use tributary::graph;
use tributary::grl::{FactRef, Limits, Owner};
use tributary::types::{Deadline, Value};

pub fn measure(criterion: &mut Criterion) {
    let suite = shipped();
    let case = &suite.tests[0].case;
    let body = case.input.to_string();
    let inputs = suite.flow.inputs.parse_json(body.as_bytes()).expect("inputs");
    let run = RunOptions::new(case.clock.clone(), Deadline::after(Duration::from_secs(600)));
    let engines = OfflineEngines::new(Limits::default());
    let once = || {
        let report = decide(&suite.flow, inputs.clone(), &case.answers, &run, &engines).expect("answers for all");
        report.result.expect("a decision")
    };
    let decision = once();
    assert_eq!(decision.status, "success");
    let mut group = criterion.benchmark_group("decision");
    group.bench_function("the shipped flow, answers at once", |bencher| bencher.iter(once));
    group.bench_function("inputs from JSON", |bencher| bencher.iter(|| suite.flow.inputs.parse_json(body.as_bytes())));
    group.bench_function("to JSON", |bencher| {
        bencher.iter(|| serde_json::to_vec(&decision).expect("JSON"));
    });
    group.finish();
}

/// The tests of the shipped flow: the first has a row for every node.
pub fn shipped() -> Suite {
    let env = Env::default();
    let context = context(&env);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/flows/purchasing.test.yaml");
    Suite::read(&file, &context, &jiff::tz::TimeZone::UTC).unwrap_or_else(|found| panic!("{found}"))
}

/// What flows are compiled with here.
pub fn context(env: &Env) -> graph::Context<'_> {
    graph::Context::new(env)
}

/// Reads facts from the rows of the first test.
pub fn shipped_rows(suite: &Suite) -> impl Fn(&FactRef) -> Value {
    move |fact| {
        let Owner::Node(node) = fact.owner else { panic!("{} is a column", fact.written) };
        let Some(StubResponse::Rows { rows: found, .. }) = suite.tests[0].case.answers.get(&suite.flow.nodes[node].id)
        else {
            panic!("{} has a row", fact.written)
        };
        let row = rows(&found[0]).remove(0);
        row.at(fact.path.iter().map(|name| &**name)).expect("the column is there")
    }
}
