//! Replays, searches, replaced facts and recorded tests are correct, and report what they cannot determine.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value as Json;

use crate::support::Database;

/// A directory with these files.
fn files(all: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, text) in all {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(path, text).expect("written");
    }
    directory
}

/// Runs the program in `directory`, with domain `some_db` in a database: exit code, standard output, standard error.
fn run(directory: &Path, database: Option<&Database>, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
    command.current_dir(directory).env_clear().env("RUST_LOG", "off").stdin(Stdio::null()).args(arguments);
    let url = database.map_or_else(|| "postgres://nobody@127.0.0.1:1/x".to_owned(), Database::url);
    let output = command.env("SOME_DB_URL", url).output().expect("the program runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().expect("an exit code"), text(output.stdout), text(output.stderr))
}

const RECORDS: &str = "records: { to: file, path: rec.ndjson }\n";

#[actix_web::test]
async fn degraded_nodes_are_listed_as_the_graph_has_them_and_replay_the_same() {
    // One node fails at once and the other once its rule node has run: they fail in the other order than they are listed.
    let graph = "
flow: order
input: { n: { type: integer } }
nodes:
  b: { type: DBNode, database: some_db, query: 'SELECT $1::int AS y', params: [d.m], on_error: { default: { y: 1 } } }
  a: { type: DBNode, database: some_db, query: 'SELECT $1::int AS x', params: [n], on_error: { default: { x: 1 } } }
  d: { type: RuleNode, rules: d.grl }
outcomes: [{ status: ok, when: 'a.x == b.y' }]
";
    let rules = "rule \"D\" no-loop { when n >= 0 then m = n + 1; }";
    let directory = files(&[("graph.yaml", graph), ("d.grl", rules), ("service.yaml", RECORDS)]);
    for _ in 0..3 {
        let (_, answer, errors) = run(directory.path(), None, &["run", "--config", "service.yaml", "--input", "n=1"]);
        let answer: Json = serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{errors}"));
        assert_eq!(answer["degraded"], serde_json::json!(["b", "a"]));
    }
    // An earlier version recorded them in the order in which they failed.
    let records = std::fs::read_to_string(directory.path().join("rec.ndjson")).expect("records");
    let earlier = records.replace(r#""degraded":["b","a"]"#, r#""degraded":["a","b"]"#);
    assert_ne!(records, earlier);
    std::fs::write(directory.path().join("rec.ndjson"), records + &earlier).expect("written");
    let (code, text, errors) = run(directory.path(), None, &["replay", "rec.ndjson"]);
    assert!(code == 0 && text.contains("6 records replayed: 6 the same"), "{text}{errors}");
}

#[actix_web::test]
async fn a_recorded_not_found_replays_although_other_nodes_did_not_start() {
    let graph = "
flow: gone
input: { n: { type: integer } }
nodes:
  slow: { type: DBNode, database: some_db, query: 'SELECT $1::int AS x FROM pg_sleep(0.2)', params: [n], rows: optional }
  missing: { type: DBNode, database: some_db, query: 'SELECT 1 AS y WHERE $1::int < 0', params: [n] }
  after: { type: DBNode, database: some_db, query: 'SELECT $1::int AS z', params: [slow.x] }
outcomes: [{ status: ok, when: 'missing.y == after.z' }]
";
    let database = Database::empty().await;
    let directory = files(&[("graph.yaml", graph), ("service.yaml", RECORDS)]);
    let (code, _, problem) =
        run(directory.path(), Some(&database), &["run", "--config", "service.yaml", "--input", "n=1"]);
    assert!(code == 1 && problem.contains("\"not_found\""), "{problem}");
    let record = std::fs::read_to_string(directory.path().join("rec.ndjson")).expect("a record");
    assert!(record.contains("not_started"), "{record}");
    let (code, text, _) = run(directory.path(), None, &["replay", "rec.ndjson"]);
    assert!(code == 0 && text.contains("1 record replayed: 1 the same"), "{text}");
}

const FLIP: &str = "
flow: score
input: { score: { type: integer, maximum: 850 } }
nodes:
  r: { type: RuleNode, rules: r.grl }
  words: { type: DBNode, database: some_db, query: 'QUERY', params: [r.reason] }
outcomes:
  - { status: declined, when: 'r.low', body: { reasons: words.list } }
  - { status: approved, when: '!r.low' }
";
const FLIP_RULES: &str = r#"
rule "Low"  no-loop { when score < 600 then low = true; reason = "0"; }
rule "Fine" no-loop { when score >= 600 then low = false; reason = "1"; }
"#;

#[actix_web::test]
async fn flip_asks_the_databases_where_a_query_depends_on_the_fact() {
    let database = Database::empty().await;
    let graph = FLIP.replace("QUERY", "SELECT ARRAY[$1::text] AS list");
    let directory = files(&[("graph.yaml", &graph), ("r.grl", FLIP_RULES)]);
    let (code, text, errors) =
        run(directory.path(), Some(&database), &["run", "--input", "score=700", "--flip", "input.score"]);
    assert_eq!(code, 0, "{errors}");
    for told in [
        "down to 600: approved",
        "down to 599: declined",
        "up to 850: approved",
        "up from there no further value could be tried: it must be at most 850",
    ] {
        assert!(text.contains(told), "{told} is missing:\n{text}");
    }
}

#[actix_web::test]
async fn flip_reports_where_the_search_stopped_and_at_which_node() {
    let database = Database::empty().await;
    let graph = FLIP.replace("QUERY", "SELECT ARRAY[1 / $1::text::int] AS list");
    let directory = files(&[("graph.yaml", &graph), ("r.grl", FLIP_RULES)]);
    let arguments = ["run", "--input", "score=700", "--flip", "input.score", "--format", "json"];
    let (_, text, errors) = run(directory.path(), Some(&database), &arguments);
    let flip = &serde_json::from_str::<Json>(&text).unwrap_or_else(|_| panic!("{errors}"))["flips"][0];
    assert_eq!((&flip["below"], &flip["below_bound"]["last"]), (&Json::Null, &Json::from(600)), "{flip}");
    let why = flip["below_bound"]["why"].as_str().expect("a reason");
    assert!(why.contains("node `words` runs its query with other parameters") && why.contains("22012"), "{why}");
    let (_, text, _) = run(directory.path(), Some(&database), arguments.get(..5).expect("without a format"));
    assert!(text.contains("down from there no further value could be tried: node `words`"), "{text}");
}

#[actix_web::test]
async fn replaced_inputs_have_the_limits_of_requests() {
    let graph = r#"
flow: limits
input:
  count: { type: integer, minimum: 1, maximum: 9 }
  name: { type: text, max_length: 3, pattern: "[a-z]+" }
  kind: { type: text, enum: [x, y] }
  tags: { type: list of text, max_length: 2, required: false }
nodes:
  r: { type: RuleNode, condition: "count > 0 && name != kind && tags != count" }
outcomes: [{ status: ok, when: "count > 0 && name != kind", body: { count: count, name: name, tags: tags } }]
"#;
    let graph = graph.replace(" && tags != count", "");
    let directory = files(&[("graph.yaml", &graph)]);
    let given = ["run", "--input", "count=5", "--input", "name=abc", "--input", "kind=x", "--set"];
    for (set, why) in [
        ("input.count=0", "must be at least 1"),
        ("input.count=10", "must be at most 9"),
        ("input.count=1.5", "must be a whole number"),
        ("input.count=null", "must be a whole number"),
        ("input.name=abcd", "may have at most 3 characters"),
        ("input.name=ABC", "must match [a-z]+"),
        ("input.kind=z", "must be one of: x, y"),
        (r#"input.tags=["abc"]"#, "may have at most 2 characters"),
        ("input.cuont=1", "did you mean `count`?"),
    ] {
        let (code, _, problem) = run(directory.path(), None, &[&given[..], &[set]].concat());
        assert!(code == 1 && problem.contains("invalid_override") && problem.contains(why), "{set}: {problem}");
    }
    for (set, field, value) in [
        ("input.count=9", "count", r"9"),
        ("input.name=xyz", "name", r#""xyz""#),
        (r#"input.tags=["a","b"]"#, "tags", r#"["a","b"]"#),
        ("input.tags=null", "tags", "null"),
    ] {
        let (code, answer, errors) = run(directory.path(), None, &[&given[..], &[set]].concat());
        let answer: Json = serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{set}: {errors}"));
        assert_eq!((code, answer[field].to_string()), (0, value.to_owned()), "{set}");
    }
}

#[actix_web::test]
async fn a_recorded_test_finds_its_graph_from_wherever_it_is_written() {
    let graph = "
flow: t
input: { n: { type: integer } }
nodes:
  r: { type: RuleNode, rules: r.grl }
outcomes: [{ status: ok, when: 'r.m >= 0' }]
";
    let rules = "rule \"D\" no-loop { when n >= 0 then m = n; }";
    let directory = files(&[("here/flow/graph.yaml", graph), ("here/flow/r.grl", rules), ("deep/down/keep", "")]);
    let at = |path: &str| directory.path().join(path).display().to_string();
    std::os::unix::fs::symlink(directory.path().join("deep/down"), directory.path().join("here/link")).expect("a link");
    std::os::unix::fs::symlink(directory.path().join("here/flow"), directory.path().join("flows")).expect("a link");
    let here = directory.path().join("here");
    for (graph, file) in [
        ("flow/graph.yaml", "../sub/one.test.yaml".to_owned()),
        ("flow/graph.yaml", "two.test.yaml".to_owned()),
        ("./flow/../flow/graph.yaml", "a/b/three.test.yaml".to_owned()),
        ("flow/graph.yaml", at("four.test.yaml")),
        (&at("here/flow/graph.yaml"), "../sub/five.test.yaml".to_owned()),
        ("flow/graph.yaml", "link/six.test.yaml".to_owned()),
        ("../flows/graph.yaml", "link/seven.test.yaml".to_owned()),
        ("flow/graph.yaml", "flow/eight.test.yaml".to_owned()),
    ] {
        let (code, _, errors) = run(&here, None, &["run", "--graph", graph, "--input", "n=1", "--record-test", &file]);
        assert_eq!(code, 0, "{file}: {errors}");
        let text = std::fs::read_to_string(here.join(&file)).expect("the test");
        let named = text.lines().find(|line| line.starts_with("graph: ")).expect("a graph");
        assert!(!named.contains("\"/"), "{file}: {named}");
        let (code, _, errors) = run(Path::new("/"), None, &["test", &here.join(&file).display().to_string()]);
        assert_eq!(code, 0, "{file}: {named}: {errors}");
    }
}

#[actix_web::test]
async fn redacted_values_are_in_no_record_and_in_no_recorded_test() {
    let graph = "
flow: salary
input: { n: { type: integer } }
nodes:
  person:
    type: DBNode
    database: some_db
    query: 'SELECT $1::int AS id, 4711.25::numeric AS salary'
    redact: [salary]
  raise: { type: RuleNode, rules: raise.grl, dependencies: [person] }
  band: { type: DBNode, database: some_db, query: 'SELECT $1::numeric > 5000 AS high', params: [raise.next] }
outcomes:
  - { status: ok, when: 'band.high', message: 'from {person.salary}', body: { id: person.id, to: { next: raise.next } } }
";
    let rules = "rule \"R\" no-loop { when person.salary > 0 then next = person.salary * 2; }";
    let database = Database::empty().await;
    let directory = files(&[("graph.yaml", graph), ("raise.grl", rules), ("service.yaml", RECORDS)]);
    let arguments = ["run", "--config", "service.yaml", "--input", "n=1", "--record-test", "it.test.yaml"];
    let (code, answer, errors) = run(directory.path(), Some(&database), &arguments);
    assert!(code == 0 && answer.contains("4711.25") && answer.contains("9422.5"), "{answer}{errors}");
    let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).expect("a file");
    for name in ["rec.ndjson", "it.test.yaml"] {
        let text = read(name);
        assert!(!text.contains("4711") && !text.contains("9422") && text.contains("(redacted)"), "{name}: {text}");
    }
    let (_, text, _) = run(directory.path(), None, &["replay", "rec.ndjson"]);
    assert!(text.contains("cannot be replayed: redacted columns are not in the record: person.salary"), "{text}");
    let (code, _, errors) = run(directory.path(), None, &["test", "it.test.yaml"]);
    assert!(code == 1 && errors.contains("redacted-value") && errors.contains("write a value of your own"), "{errors}");
    let filled = read("it.test.yaml").replace("\"(redacted)\"", "4000");
    std::fs::write(directory.path().join("it.test.yaml"), filled).expect("written");
    let (code, text, errors) = run(directory.path(), None, &["test", "it.test.yaml"]);
    assert_eq!(code, 0, "{text}{errors}");
}

#[actix_web::test]
async fn the_text_of_an_explanation_says_what_is_added_to_a_list_and_which_rows_were_counted() {
    let graph = "
flow: order
input: { n: { type: integer } }
nodes:
  loans:
    type: DBNode
    database: some_db
    query: 'SELECT g::int AS id FROM generate_series(1, $1::int) g'
    params: [input.n]
    rows: many
  why: { type: RuleNode, rules: why.grl, facts: { reasons: [] } }
outcomes: [{ status: done, when: 'len(why.reasons) > 0', body: { reasons: why.reasons, loans: count(loans) } }]
";
    let rules = "rule \"One\" salience 2 no-loop { when count(loans) > 0 then reasons += \"one\"; }
                 rule \"Two\" salience 1 no-loop { when count(loans) > 1 then reasons += \"two\"; }";
    let directory = files(&[("graph.yaml", graph), ("why.grl", rules)]);
    let database = Database::empty().await;
    let (code, text, errors) = run(directory.path(), Some(&database), &["run", "--input", "n=2", "--explain"]);
    assert_eq!(code, 0, "{text}{errors}");
    for line in
        ["  + One: reasons += [\"one\"]  ", "  + Two: reasons += [\"two\"]  ", "loans = count(loans)  from loans\n"]
    {
        assert!(text.contains(line), "{line}: {text}");
    }
}
