//! Many decisions in one request, over HTTP and from the command line.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod support;

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::stream;
use serde_json::{Value as Json, json};
use support::{Answer, Database, SampleDatabases, Setup, TestApp, connect, repository};

const LINES: &str = "application/x-ndjson";

async fn batch(app: &TestApp, media_type: &str, body: impl Into<reqwest::Body>) -> Answer {
    let request = app.client.post(app.url("/purchasing/flow/batch")).header("Content-Type", media_type).body(body);
    TestApp::answer(request).await
}

fn lines(text: &str) -> Vec<Json> {
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

#[actix_web::test]
async fn decisions_come_in_order_and_one_bad_input_costs_its_own_line() {
    let (_databases, app) = TestApp::shipped().await;
    let inputs = json!([
        { "product_id": "PROD-001" }, { "product_id": "NOPE" }, { "product": 1 }, { "product_id": "PROD-003" }, 7
    ]);
    let as_lines = inputs.as_array().expect("an array").iter().map(Json::to_string).collect::<Vec<_>>().join("\n");
    for (media_type, body) in [("application/json", inputs.to_string()), (LINES, format!("\n{as_lines}\n"))] {
        let answer = batch(&app, media_type, body).await;
        assert_eq!((answer.status, answer.headers["content-type"].to_str().ok()), (200, Some(LINES)));
        let found = lines(&answer.text);
        assert_eq!(found.iter().map(|line| line["index"].clone()).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert_eq!(found[0]["purchase_order"]["total_cost"].to_string(), "8525.00");
        assert_eq!(found[3]["purchase_order"]["grand_total"].to_string(), "168289.65");
        let codes: Vec<&str> = found.iter().filter_map(|line| line["error"]["code"].as_str()).collect();
        assert_eq!(codes, ["not_found", "invalid_input", "invalid_input"]);
        assert_eq!(found[1]["error"]["node"], "oms_history");
    }
    assert_eq!(batch(&app, LINES, "").await.text, "");
    assert_eq!(batch(&app, "application/json", "[]").await.text, "");
    let explained = app.client.post(app.url("/purchasing/flow/batch?explain=true")).json(&inputs);
    assert!(lines(&TestApp::answer(explained).await.text)[0]["explain"]["nodes"].is_array());
}

#[actix_web::test]
async fn what_is_no_batch_is_refused_or_ends_with_the_reason() {
    let (_databases, app) = TestApp::shipped().await;
    let broken = lines(&batch(&app, "application/json", r#"[{"product_id":"PROD-001"},"#).await.text);
    assert_eq!(broken[0]["status"], "success");
    assert_eq!(broken[1]["error"]["code"], "malformed_body");
    for (body, why) in [("{}", "not begin with `[`"), ("", "it is empty"), ("[,", "an element is missing")] {
        let answer = batch(&app, "application/json", body).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "malformed_body"), "{body}");
        assert!(answer.json()["detail"].as_str().is_some_and(|detail| detail.contains(why)), "{}", answer.text);
    }
    let long = format!("[{{\"product_id\":\"{}\"}},{{\"product_id\":\"PROD-001\"}}]", "x".repeat(300_000));
    let found = lines(&batch(&app, "application/json", long).await.text);
    assert_eq!(
        (found[0]["error"]["code"].as_str(), found[1]["status"].as_str()),
        (Some("malformed_body"), Some("success"))
    );
    assert_eq!(batch(&app, "text/csv", "a").await.code(), "wrong_media_type");
    let get = app.get("/purchasing/flow/batch").await;
    assert_eq!((get.status, get.code().as_str()), (405, "method_not_allowed"));
    assert_eq!(app.post("/nowhere/batch", "[]").await.status, 404);
}

#[actix_web::test]
async fn thousands_of_inputs_are_decided_in_order() {
    let (_databases, app) = TestApp::shipped().await;
    let products = ["PROD-001", "PROD-002", "PROD-003"];
    let inputs = (0..2_000).map(|number| json!({ "product_id": products[number % 3] }).to_string());
    let body = inputs.collect::<Vec<_>>().join("\n");
    let found = lines(&batch(&app, LINES, body).await.text);
    assert_eq!(found.len(), 2_000);
    for (number, line) in found.iter().enumerate() {
        assert_eq!(line["index"], number);
        assert_eq!(line["purchase_order"]["product_id"], products[number % 3], "{line}");
    }
}

#[actix_web::test]
async fn a_client_that_does_not_read_is_not_read_from() {
    let (_databases, app) = TestApp::shipped().await;
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let endless = stream::repeat_with(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        Ok::<_, std::io::Error>("{\"product_id\":\"PROD-001\"}\n".repeat(100))
    });
    let body = reqwest::Body::wrap_stream(endless);
    let request = app.client.post(app.url("/purchasing/flow/batch")).header("Content-Type", LINES).body(body);
    let response = request.send().await.expect("an answer begins");
    assert_eq!(response.status(), 200);
    // What stands in sockets and windows fills; then nothing more is taken.
    let start = std::time::Instant::now();
    let (mut before, mut quiet) = (usize::MAX, 0);
    // A busy machine may pause for a while.
    while quiet < 4 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = sent.load(Ordering::Relaxed);
        quiet = if now == before { quiet + 1 } else { 0 };
        before = now;
        assert!(start.elapsed() < Duration::from_secs(60), "the body is read on and on: {now} parts");
    }
    drop(response);
    assert_eq!(app.purchasing("PROD-001").await.status, 200);
}

#[actix_web::test]
async fn a_batch_that_is_under_way_when_the_service_stops_is_decided_to_its_end() {
    let (_databases, app) = TestApp::shipped().await;
    let body = "{\"product_id\":\"PROD-001\"}\n".repeat(1_000);
    let request = app.client.post(app.url("/purchasing/flow/batch")).header("Content-Type", LINES).body(body);
    let mut response = request.send().await.expect("an answer begins");
    let mut text = response.chunk().await.expect("a part comes").expect("there is one").to_vec();
    // Workers that have nothing else to do end at once, with what they decide for the one whose batch it is.
    let stopped = app.server.stop(true);
    while let Some(part) = response.chunk().await.expect("the answer goes on") {
        text.extend(part);
    }
    let found = lines(std::str::from_utf8(&text).expect("UTF-8"));
    assert_eq!(found.len(), 1_000);
    for (index, line) in found.iter().enumerate() {
        assert_eq!((&line["index"], &line["status"]), (&json!(index), &json!("success")), "{line}");
    }
    stopped.await;
}

#[actix_web::test]
async fn run_decides_the_inputs_of_a_file() {
    let databases = SampleDatabases::create().await;
    let directory = tempfile::tempdir().expect("a directory");
    let run = |text: &str| {
        let file = directory.path().join("inputs");
        std::fs::write(&file, text).expect("written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
        command.current_dir(repository()).env_clear().env("RUST_LOG", "error").stdin(Stdio::null());
        command.envs(databases.environment()).args(["run", "--batch"]).arg(file);
        let output = command.output().expect("the program runs");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, found, errors) = run("[{\"product_id\":\"PROD-002\"}, {\"product_id\":\"PROD-001\"}]");
    assert_eq!((code, errors.as_str()), (Some(0), "2 inputs\n  2 x success\n"));
    assert_eq!(lines(&found)[1]["purchase_order"]["order_qty"], 550);
    let (code, found, errors) = run("{\"product_id\":\"PROD-002\"}\nnonsense\n");
    let told = "2 inputs, 1 without a decision; their lines say why\n  1 x success\n  1 x error malformed_body\n";
    assert_eq!((code, errors.as_str()), (Some(1), told));
    assert_eq!(lines(&found)[1]["error"]["code"], "malformed_body");
}

/// Inputs of every kind: right, unknown, doubled, differently written, not JSON, of the wrong type, too long.
fn mixed_inputs() -> Vec<String> {
    let kinds = (0..60).map(|number| match number % 10 {
        0 => json!({ "product_id": "PROD-001" }).to_string(),
        1 => "{ \"product_id\" :\t\"PROD-001\" }".to_owned(),
        2 => json!({ "product_id": format!("PROD-00{}", number % 3 + 1) }).to_string(),
        3 => json!({ "product_id": format!("NOPE-{number}") }).to_string(),
        4 => json!({ "product_id": number }).to_string(),
        5 => format!("{{\"product_id\": nonsense {number}}}"),
        6 if number < 20 => format!("{{\"product_id\": \"{}\"}}", "x".repeat(300_000)),
        6 => "[]".to_owned(),
        7 => number.to_string(),
        8 => json!({ "product_id": "PROD-003", "unknown": number }).to_string(),
        _ => json!({ "product_id": "PROD-002" }).to_string(),
    });
    kinds.collect()
}

/// The lines of several outputs by their index, by the command that the documents show.
fn merged(outputs: &[std::path::PathBuf]) -> String {
    let mut command = Command::new("sort");
    command.env("LC_ALL", "C").args(["--merge", "--field-separator=:", "--key=2n"]).args(outputs);
    let (code, merged, errors) = support::read(command.output().expect("sort runs"));
    assert_eq!((code, errors.as_str()), (0, ""));
    merged
}

#[actix_web::test]
async fn the_shards_of_any_count_are_together_the_whole_run() {
    let databases = SampleDatabases::create().await;
    let directory = tempfile::tempdir().expect("a directory");
    let (file, graph) = (directory.path().join("inputs"), repository().join("graph.yaml"));
    let environment = databases.environment();
    let run = |more: &[&str]| {
        let arguments = ["run", "--graph", graph.to_str().expect("text"), "--batch", "inputs"];
        support::run(directory.path(), &environment, &[&arguments, more].concat())
    };
    let inputs = mixed_inputs();
    let broken_off = format!("[{}", inputs.join(", "));
    for text in [format!("{}\n", inputs.join("\r\n\n")), format!("{broken_off}]"), broken_off] {
        std::fs::write(&file, &text).expect("written");
        let (code, whole, counted) = run(&[]);
        assert_eq!((code, whole.lines().count() >= 60), (1, true), "{counted}");
        for count in [1, 2, 3, 8] {
            let mut outputs = Vec::new();
            let mut holders = Vec::new();
            for index in 0..count {
                let (shard, output) = (format!("{index}/{count}"), directory.path().join(format!("{index}.ndjson")));
                let (_, printed, counted) = run(&["--shard", &shard, "--output", output.to_str().expect("text")]);
                let found = std::fs::read_to_string(&output).expect("the output");
                let number = found.lines().count();
                assert_eq!(printed, "");
                assert!(counted.starts_with(&format!("{number} input")), "{shard}: {number} lines, {counted}");
                // Those that have the same content.
                let indexes: Vec<Json> = lines(&found).iter().map(|line| line["index"].clone()).collect();
                let same = indexes.iter().filter_map(Json::as_u64).filter(|index| matches!(index % 10, 0 | 1)).count();
                holders.push(same);
                outputs.push(output);
            }
            assert_eq!(merged(&outputs), whole, "{count} shards");
            assert_eq!(holders.iter().filter(|same| **same > 0).count(), 1, "{holders:?}");
        }
    }
    let left = std::fs::read_dir(directory.path()).expect("a directory").filter_map(Result::ok);
    assert!(left.into_iter().all(|entry| !entry.file_name().to_string_lossy().ends_with(".part")));
}

#[test]
fn an_input_is_in_the_same_shard_however_it_is_written() {
    let directory = tempfile::tempdir().expect("a directory");
    let graph = "flow: f\ninput: { a: { type: integer }, b: { type: text, default: x } }\n\
                 nodes: { n: { type: RuleNode, condition: \"a > 0\" } }\noutcomes: [{ status: yes, when: n.result }]\n";
    std::fs::write(directory.path().join("graph.yaml"), graph).expect("written");
    let written = ["{\"a\":7,\"b\":\"x\"}", "{ \"b\": \"\\u0078\", \"a\": 7 }", "{\"a\":7}"];
    std::fs::write(directory.path().join("inputs"), written.join("\n")).expect("written");
    let sizes = (0..16).map(|index| {
        let shard = format!("{index}/16");
        let (code, found, _) = support::run(directory.path(), &[], &["run", "--batch", "inputs", "--shard", &shard]);
        assert_eq!(code, 0);
        found.lines().count()
    });
    let mut sizes: Vec<usize> = sizes.collect();
    sizes.sort_unstable();
    assert_eq!((sizes[15], sizes[14]), (3, 0));
}

#[test]
fn what_is_no_shard_is_refused_before_anything_is_decided() {
    let refused = |arguments: &[&str]| {
        let (code, printed, errors) = support::run(repository(), &[], &[&["run"], arguments].concat());
        assert_eq!((code, printed.as_str()), (2, ""));
        errors
    };
    let counted = "shards are counted from 0: the first of 8 is 0/8 and the last 7/8";
    for (shard, why) in [
        ("8/8", counted),
        ("9/8", counted),
        ("0/0", "a batch has at least one shard: 0/1"),
        ("-1/8", "a shard is written K/N, such as 0/8 for the first of eight"),
        ("third", "a shard is written K/N, such as 0/8 for the first of eight"),
        ("$(JOB_COMPLETION_INDEX)/8", "a shard is written K/N, such as 0/8 for the first of eight"),
    ] {
        let errors = refused(&["--batch", "inputs", &format!("--shard={shard}")]);
        assert!(errors.contains(why) && errors.contains(shard), "{errors}");
    }
    for option in [["--shard", "0/8"], ["--output", "lines"]] {
        let errors = refused(&option);
        assert!(errors.contains("--batch <FILE>"), "{errors}");
    }
}

/// A flow whose one query takes `seconds` and has a default, over a pool of two connections that are waited for briefly.
fn tight(directory: &std::path::Path, query: &str, more: &str) -> Setup {
    let (graph, config) = (directory.join("graph.yaml"), directory.join("service.yaml"));
    let node = format!("type: DBNode, database: tight_db, query: \"{query}\", params: [n], {more}");
    let text = format!(
        "flow: tight\npath: /tight\ninput: {{ n: {{ type: integer }} }}\nnodes:\n  a: {{ {node} on_error: {{ default: {{ m: -1 }} }} }}\n\
         outcomes:\n  - {{ status: ok, when: \"a.m >= 0\", body: {{ m: a.m }} }}\n  - {{ status: bad, when: \"a.m < 0\" }}\n"
    );
    std::fs::write(&graph, text).expect("written");
    let settings = "http: { max_in_flight: 8 }\n\
        domains: { defaults: { pool: { min: 1, max: 2 }, timeouts: { acquire_ms: 50 } } }\n";
    std::fs::write(&config, settings).expect("written");
    Setup { graphs: vec![graph], config: Some(config), ..Setup::default() }
}

fn numbers(count: usize) -> String {
    let lines: Vec<String> = (0..count).map(|number| format!("{{\"n\":{number}}}\n")).collect();
    lines.concat()
}

#[actix_web::test]
async fn a_batch_of_slow_queries_never_outruns_its_pool() {
    let database = Database::empty().await;
    let directory = tempfile::tempdir().expect("a directory");
    tight(directory.path(), "SELECT $1::int AS m FROM pg_sleep(0.1)", "coalesce: \"off\",");
    std::fs::write(directory.path().join("in.ndjson"), numbers(40)).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
    command.current_dir(directory.path()).env_clear().env("RUST_LOG", "error").stdin(Stdio::null());
    command.env("TIGHT_DB_URL", database.url()).args(["run", "--graph", "graph.yaml", "--config", "service.yaml"]);
    let output = command.args(["--batch", "in.ndjson"]).output().expect("the program runs");
    let found = lines(std::str::from_utf8(&output.stdout).expect("UTF-8"));
    for (number, line) in found.iter().enumerate() {
        assert_eq!(*line, json!({ "index": number, "status": "ok", "m": number }));
    }
    assert_eq!(String::from_utf8_lossy(&output.stderr), "40 inputs\n  40 x ok\n");
}

#[actix_web::test]
async fn twenty_thousand_inputs_finish_on_two_connections_and_the_last_line_sums_up() {
    let database = Database::empty().await;
    for coalesce in ["", "coalesce: \"off\","] {
        let directory = tempfile::tempdir().expect("a directory");
        let setup = tight(directory.path(), "SELECT $1::int AS m", coalesce);
        let app = TestApp::start(setup.domain("tight_db", &database.url()));
        app.wait_for("/readyz", 200).await;
        let client = reqwest::Client::new();
        let request = client.post(app.url("/tight/batch?summary=true")).header("Content-Type", LINES);
        let answer = TestApp::answer(request.body(numbers(20_000))).await;
        let last = answer.text.lines().last().expect("a line");
        let expected = r#"{"summary":{"inputs":20000,"outcomes":{"ok":20000},"errors":{},"degraded":0}}"#;
        assert_eq!((answer.text.lines().count(), last), (20_001, expected));
    }
}

#[actix_web::test]
async fn batches_and_single_requests_share_the_room_for_decisions() {
    let database = Database::empty().await;
    let directory = tempfile::tempdir().expect("a directory");
    let setup = tight(directory.path(), "SELECT $1::int AS m FROM pg_sleep(0.02)", "");
    let quick = directory.path().join("quick.yaml");
    let text = "flow: quick\npath: /quick\ninput: { n: { type: integer } }\nnodes:\n  r: { type: RuleNode, condition: \"input.n >= 0\" }\n\
        outcomes: [{ status: ok, when: r.result }]\n";
    std::fs::write(&quick, text).expect("written");
    let graphs = [setup.graphs.clone(), vec![quick]].concat();
    let app = Arc::new(TestApp::start(Setup { graphs, ..setup }.domain("tight_db", &database.url())));
    app.wait_for("/readyz", 200).await;
    let batches: Vec<_> = (0..4)
        .map(|_| {
            let app = Arc::clone(&app);
            tokio::task::spawn_local(async move {
                let request = app.client.post(app.url("/tight/batch?summary=1")).header("Content-Type", LINES);
                TestApp::answer(request.body(numbers(60))).await.text
            })
        })
        .collect();
    // Eight decisions may be under way, and four batches of sixty wait for more: a single request is never refused.
    let mut singles = 0;
    while batches.iter().any(|batch| !batch.is_finished()) {
        let answer = app.post("/quick", r#"{"n":1}"#).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        singles += 1;
    }
    assert!(singles > 10, "{singles} requests");
    for batch in batches {
        let text = batch.await.expect("a batch");
        assert!(
            text.ends_with("{\"summary\":{\"inputs\":60,\"outcomes\":{\"ok\":60},\"errors\":{},\"degraded\":0}}\n"),
            "{text}"
        );
    }
}

#[actix_web::test]
async fn a_wait_for_a_connection_is_no_cause_for_a_default() {
    let database = Database::empty().await;
    let directory = tempfile::tempdir().expect("a directory");
    let setup =
        tight(directory.path(), "SELECT $1::int AS m FROM pg_sleep(0.3)", "coalesce: \"off\", timeout_ms: 500,");
    let settings = "domains: { defaults: { pool: { min: 1, max: 2 }, timeouts: { acquire_ms: 1000 } } }\n";
    std::fs::write(setup.config.as_ref().expect("a file"), settings).expect("written");
    let app = TestApp::start(setup.domain("tight_db", &database.url()));
    app.wait_for("/readyz", 200).await;
    let answers = futures_util::future::join_all((0..12).map(|_| app.post("/tight", r#"{"n":1}"#))).await;
    let codes: Vec<(u16, String)> = answers.iter().map(|answer| (answer.status, answer.code())).collect();
    for (answer, (status, code)) in answers.iter().zip(&codes) {
        let right = *status == 200 && answer.text == r#"{"status":"ok","m":1}"#;
        assert!(right || (*status == 503 && code == "domain_overloaded"), "{}", answer.text);
    }
    assert!(
        codes.iter().any(|(status, _)| *status == 200) && codes.iter().any(|(status, _)| *status == 503),
        "{codes:?}"
    );
}

/// How many rows `table` of the database of orders has.
async fn rows_of(databases: &SampleDatabases, table: &str) -> i64 {
    let client = connect(&databases.url("oms_db")).await;
    client.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await.expect("a count").get(0)
}

/// A line with a key: of a decision that is written, one that waits for approval, one that was not found; one without a key; two
/// whose keys make no sense.
const KEYED: &str = r#"{"product_id":"PROD-001","Idempotency-Key":"a"}
{"product_id":"PROD-002","Idempotency-Key":"b"}
{"Idempotency-Key":"c","product_id":"NOPE"}
{"product_id":"PROD-001"}
{"product_id":"PROD-001","Idempotency-Key":7}
{"product_id":"PROD-001","Idempotency-Key":""}
"#;

/// Checks the lines of [`KEYED`]; `replays` if its keys were used before.
fn check_keyed(found: &[Json], replays: bool) {
    let replayed = if replays { json!(true) } else { Json::Null };
    assert!(found[..3].iter().all(|line| line["replayed"] == replayed), "{found:?}");
    assert_eq!(found[0]["purchase_order"]["po_number"], "PO-000001");
    assert_eq!(found[0]["purchase_order"]["total_cost"].to_string(), "8525.00");
    assert_eq!(found[1]["approval"]["state"], "pending");
    assert_eq!(found[1]["purchase_order"]["po_number"], Json::Null);
    assert_eq!((&found[2]["error"]["code"], &found[2]["error"]["node"]), (&json!("not_found"), &json!("oms_history")));
    assert_eq!((&found[3]["status"], &found[3]["purchase_order"]["po_number"]), (&json!("success"), &Json::Null));
    let why = |line: &Json| (line["error"]["code"].clone(), line["error"]["detail"].to_string());
    let (not_text, empty) = (why(&found[4]), why(&found[5]));
    assert!(not_text.0 == "bad_key" && not_text.1.contains("is not a text"), "{not_text:?}");
    assert!(empty.0 == "bad_key" && empty.1.contains("is empty"), "{empty:?}");
}

#[actix_web::test]
async fn a_line_with_a_key_is_written_once_and_a_line_without_one_writes_nothing() {
    let (databases, app) = TestApp::shipped_with(Setup::writing).await;
    let first = batch(&app, LINES, KEYED).await;
    check_keyed(&lines(&first.text), false);
    assert_eq!((rows_of(&databases, "purchase_orders").await, rows_of(&databases, "tributary_keys").await), (1, 3));
    let array = format!("[{}]", KEYED.trim().replace('\n', ","));
    let again = batch(&app, "application/json", array).await;
    check_keyed(&lines(&again.text), true);
    let unmarked = again.text.replace("\"replayed\":true,", "");
    assert_eq!(unmarked.lines().take(3).collect::<Vec<_>>(), first.text.lines().take(3).collect::<Vec<_>>());
    // The key belongs to the caller and the flow: a single request has the same answer.
    let single = app.client.post(app.url("/purchasing/flow")).header("Idempotency-Key", "a");
    let single = TestApp::answer(single.json(&json!({ "product_id": "PROD-001" }))).await;
    assert_eq!((single.status, single.headers["idempotency-replayed"].to_str().ok()), (200, Some("true")));
    assert_eq!(single.json()["purchase_order"], lines(&first.text)[0]["purchase_order"]);
    let other = batch(&app, LINES, r#"{"product_id":"PROD-003","Idempotency-Key":"a"}"#).await;
    assert_eq!(lines(&other.text)[0]["error"]["code"], "key_reused");
    assert_eq!((rows_of(&databases, "purchase_orders").await, rows_of(&databases, "tributary_keys").await), (1, 3));
    // A single request has its key in a header.
    let member = app.post("/purchasing/flow", r#"{"product_id":"PROD-001","Idempotency-Key":"d"}"#).await;
    assert_eq!((member.status, member.code().as_str()), (422, "invalid_input"));
}

#[actix_web::test]
async fn hundreds_of_keys_in_one_batch_are_written_once_each_though_some_are_doubled() {
    let (databases, app) = TestApp::shipped_with(Setup::writing).await;
    let line = |number: usize| json!({ "product_id": "PROD-001", "Idempotency-Key": format!("k{}", number / 2) });
    let body: Vec<String> = (0..600).map(|number| line(number).to_string()).collect();
    let found = lines(&batch(&app, LINES, body.join("\n")).await.text);
    assert_eq!(found.len(), 600);
    for (number, pair) in found.chunks(2).enumerate() {
        assert_eq!((&pair[0]["index"], &pair[1]["index"]), (&json!(2 * number), &json!(2 * number + 1)));
        assert!(pair.iter().all(|line| line["status"] == "success"), "{pair:?}");
        assert_eq!(pair[0]["purchase_order"]["po_number"], pair[1]["purchase_order"]["po_number"]);
        let replays = pair.iter().filter(|line| line["replayed"] == true).count();
        assert_eq!(replays, 1, "{pair:?}");
    }
    assert_eq!(rows_of(&databases, "purchase_orders").await, 300);
    assert_eq!(rows_of(&databases, "tributary_outbox").await, 300);
}

#[actix_web::test]
async fn run_writes_the_lines_of_a_file_that_have_a_key() {
    let databases = SampleDatabases::create().await;
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("inputs");
    std::fs::write(&file, KEYED).expect("written");
    let run = |environment: &[(String, String)]| {
        support::run(repository(), environment, &["run", "--batch", file.to_str().expect("text")])
    };
    let (code, found, _) = run(&databases.environment());
    assert_eq!((code, &lines(&found)[0]["error"]["code"]), (1, &json!("effects_off")));
    let environment = [databases.environment(), support::write_environment()].concat();
    for replays in [false, true] {
        let (code, found, counted) = run(&environment);
        check_keyed(&lines(&found), replays);
        let counts = "6 inputs, 3 without a decision; their lines say why\n  3 x success\n  2 x error bad_key\n  \
            1 x error not_found\n";
        assert_eq!((code, counted.as_str()), (1, counts));
    }
    assert_eq!((rows_of(&databases, "purchase_orders").await, rows_of(&databases, "tributary_keys").await), (1, 3));
}
