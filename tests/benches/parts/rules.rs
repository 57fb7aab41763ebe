//! Rules: the shipped ones, and many of which one fires; what they cost to load.

use std::sync::Arc;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tributary::diagnostics::Source;
use tributary::graph::Work;
use tributary::grl::{Engine, Hit, Limits, Lookup, Owner, Ruleset, Scope, Table};
use tributary::types::{Clock, Deadline, FieldName, Shape, Type, Value};

use crate::decisions::{shipped, shipped_rows};

/// How many rules there are.
const RULES: [u64; 4] = [10, 100, 1_000, 10_000];

/// Says when the rule of this number fires.
type Condition = fn(u64) -> String;

/// Two ways to say when one rule of many fires.
const CONDITIONS: [(&str, Condition); 2] = [
    ("one equality fires", |number| format!("row.n == {number}")),
    ("one range fires", |number| format!("row.n >= {number} && row.n < {}", number + 1)),
];

/// Writes the row of this number.
type Row = fn(u64) -> String;

/// Two tables, of which one row matches.
const TABLES: [(&str, Row); 2] = [
    ("a row of a table fires", |number| format!("{number};-;-;{number}\n")),
    ("a row of three columns fires", |number| {
        format!("[{number}..{});R{};< {};{number}\n", number + 10, number % 10, number + 2)
    }),
];

pub fn measure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("rules");
    evaluate_shipped(&mut group);
    for (name, condition) in CONDITIONS {
        for count in RULES {
            let ruleset = Arc::new(load(&source(count, condition)));
            group.throughput(Throughput::Elements(count));
            evaluate(&mut group, BenchmarkId::new(name, count), &ruleset, &[number(count / 2)], 1);
        }
    }
    for (name, row) in TABLES {
        for count in RULES {
            let ruleset = Arc::new(load_table(&table(count, row)));
            group.throughput(Throughput::Elements(count));
            let reads: Vec<Lookup> = ruleset.reads().iter().map(|fact| read(&fact.path[0], count / 2)).collect();
            evaluate(&mut group, BenchmarkId::new(name, count), &ruleset, &reads, 1);
        }
    }
    let text = table(10_000, TABLES[1].1);
    group.sample_size(10).throughput(Throughput::Elements(10_000));
    group.bench_function(BenchmarkId::new("load a table", 10_000), |bench| {
        bench.iter(|| Engine::new(Arc::new(load_table(&text)), &Limits::default()).expect("an engine"));
    });
    let text = source(10_000, CONDITIONS[0].1);
    group.sample_size(10).throughput(Throughput::Elements(10_000));
    group.bench_function(BenchmarkId::new("load", 10_000), |bench| {
        bench.iter(|| Engine::new(Arc::new(load(&text)), &Limits::default()).expect("an engine"));
    });
    group.finish();
}

fn evaluate_shipped(group: &mut BenchmarkGroup<'_, WallTime>) {
    let suite = shipped();
    let Some(Work::Rules(rules)) =
        suite.flow.nodes.iter().find(|node| node.id.as_str() == "rule_engine").map(|node| &node.work)
    else {
        panic!("the shipped flow has rules")
    };
    let rows = shipped_rows(&suite);
    let reads: Vec<Lookup> = rules.ruleset.reads().iter().map(|fact| Lookup::Value(rows(fact))).collect();
    group.throughput(Throughput::Elements(rules.ruleset.rules().len() as u64));
    evaluate(group, BenchmarkId::new("shipped", "rules/purchasing.grl"), &rules.ruleset, &reads, 5);
}

fn evaluate(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: BenchmarkId,
    ruleset: &Arc<Ruleset>,
    reads: &[Lookup],
    fire: usize,
) {
    let mut engine = Engine::new(Arc::clone(ruleset), &Limits::default()).expect("an engine");
    let clock = Clock::fixed(Timestamp::UNIX_EPOCH, TimeZone::UTC);
    let deadline = Deadline::after(Duration::from_secs(600));
    let evaluation = engine.evaluate(reads, &clock, deadline).expect("an evaluation");
    assert_eq!(evaluation.fired.len(), fire, "rules that fire");
    group.bench_function(name, |bench| {
        bench.iter(|| engine.evaluate(reads, &clock, deadline).expect("an evaluation"));
    });
}

fn number(number: u64) -> Lookup {
    Lookup::Value(Value::Integer(i64::try_from(number).expect("a small number")))
}

fn source(count: u64, condition: Condition) -> Arc<Source> {
    let rules = (0..count).map(|number| {
        let condition = condition(number);
        format!("rule \"R{number}\" no-loop {{ when {condition} then hit = {number}; }}\n")
    });
    Source::new("many.grl", rules.collect::<String>())
}

fn load(source: &Arc<Source>) -> Ruleset {
    Ruleset::compile("many", &[source.snippet()], &scope(), &[], &Limits::default())
        .unwrap_or_else(|found| panic!("{found}"))
        .0
}

fn scope() -> Scope {
    let mut scope = Scope::new();
    let row = [("n", Type::Integer), ("region", Type::Text), ("m", Type::Integer)];
    let row = Shape::closed(row.map(|(name, ty)| (FieldName::from(name), ty)));
    scope.add("row", Owner::Node(0), Type::Map(row.into()));
    scope
}

fn table(count: u64, row: Row) -> String {
    (0..count).fold("when n;when region;when m;then hit\n".to_owned(), |text, number| text + &row(number))
}

/// The value of a column with which the row of this number matches, and no other.
fn read(column: &str, number_of_row: u64) -> Lookup {
    match column {
        "region" => Lookup::Value(Value::text(format!("R{}", number_of_row % 10))),
        "m" => number(number_of_row + 1),
        _ => number(number_of_row),
    }
}

fn load_table(text: &str) -> Ruleset {
    let limits = Limits::default();
    let table = Table::read("many.csv", None, text.as_bytes(), &limits).unwrap_or_else(|found| panic!("{found}"));
    Ruleset::from_table("many", &table, &Hit::default(), &scope(), &[], &limits)
        .unwrap_or_else(|found| panic!("{found}"))
        .0
}
