//! The walk over a graph whose answers are there at once: what a node costs beside its query.

use std::fmt::Write;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tributary::config::Env;
use tributary::flow::RunOptions;
use tributary::flow::offline::{Answers, OfflineEngines, StubResponse, decide};
use tributary::graph::{self, Flow};
use tributary::grl::Limits;
use tributary::types::{Clock, Deadline, FieldName, Value};

use crate::decisions::context;

/// How many nodes there are.
const NODES: [usize; 4] = [1, 10, 100, 500];

pub fn measure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("walk");
    let run =
        RunOptions::new(Clock::fixed(Timestamp::UNIX_EPOCH, TimeZone::UTC), Deadline::after(Duration::from_secs(600)));
    let engines = OfflineEngines::new(Limits::default());
    for shape in ["wide", "deep"] {
        for nodes in NODES {
            let flow = flow(nodes, shape == "deep");
            let answers = answers(&flow);
            let inputs = flow.inputs.parse_json(b"{\"n\":7}").expect("inputs");
            let once = || {
                let report = decide(&flow, inputs.clone(), &answers, &run, &engines).expect("answers for all");
                report.result.expect("a decision")
            };
            assert_eq!(once().status, "done");
            group.throughput(Throughput::Elements(nodes as u64));
            group.bench_function(BenchmarkId::new(shape, nodes), |bencher| bencher.iter(once));
        }
    }
    group.finish();
}

/// So many queries, all at once or each with a parameter from the one before it.
fn flow(nodes: usize, deep: bool) -> Flow {
    let mut text = String::from("flow: walk\ninput: { n: { type: integer } }\nnodes:\n");
    for node in 0..nodes {
        let param = if deep && node > 0 { format!("n{}.n", node - 1) } else { "input.n".to_owned() };
        writeln!(
            text,
            "  n{node}: {{ type: DBNode, database: any_db, query: \"SELECT n FROM t WHERE n = $1\", params: [{param}] }}"
        )
        .expect("text");
    }
    let last = nodes - 1;
    writeln!(text, "outcomes: [ {{ status: done, when: n{last}.n == 7, body: {{ n: n{last}.n }} }} ]").expect("text");
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("walk.yaml");
    std::fs::write(&path, text).expect("written");
    let env = Env::default();
    let (mut flows, _) = graph::load(&[path], &context(&env)).unwrap_or_else(|found| panic!("{found}"));
    flows.remove(0)
}

fn answers(flow: &Flow) -> Answers {
    let row = Value::map([(FieldName::from("n"), Value::Integer(7))]);
    let response = StubResponse::Rows { rows: vec![row], params: None };
    flow.nodes.iter().map(|node| (node.id.clone(), response.clone())).collect()
}
