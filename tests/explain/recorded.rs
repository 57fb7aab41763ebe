//! Recorded decisions: what a record holds, that it can be replayed, and what happens where the disk is too slow.

use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};
use tributary::config::Env;
use tributary::graph::{self, Flow};
use tributary::grl;
use tributary::records::{Record, Replay, Replayed, Summary};
use tributary::types::Value;

use crate::explained::copy_changed;
use crate::support::{Setup, TestApp, eventually_async, repository};

/// A configuration file of these settings.
pub fn configuration(directory: &Path, records: &str) -> PathBuf {
    let path = directory.join("service.yaml");
    std::fs::write(&path, format!("records: {records}\n")).expect("written");
    path
}

async fn records_health(app: &TestApp) -> Json {
    app.get("/health").await.json()["records"].clone()
}

pub async fn wait_written(app: &TestApp, count: u64) {
    eventually_async("the records are written", async || records_health(app).await["written"] == count).await;
}

pub fn read(path: &Path) -> Vec<Record> {
    let text = std::fs::read_to_string(path).expect("records");
    text.lines().map(|line| Record::parse(line).expect("a record")).collect()
}

pub fn flows(graph: &Path) -> Vec<Flow> {
    let env = Env::default();
    let context = graph::Context::new(&env);
    graph::load(&[graph.to_owned()], &context).unwrap_or_else(|found| panic!("refused:\n{found}")).0
}

#[actix_web::test]
async fn every_decision_and_every_failure_is_recorded_and_replays_to_the_letter() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("records/decisions.ndjson");
    let config = configuration(directory.path(), &format!("{{ to: file, path: {} }}", file.display()));
    let (databases, app) =
        TestApp::shipped_with(|setup| Setup { config: Some(config), ..setup }.set("ADMIN_TOKEN", "a-token-for-tests"))
            .await;
    let mut answers = Vec::new();
    for product in ["PROD-001", "PROD-002", "PROD-003", "NOPE"] {
        answers.push(app.purchasing(product).await.json());
    }
    databases.database("uom_db").run("DROP TABLE uom_conversions").await;
    answers.push(app.purchasing("PROD-001").await.json());
    // Neither of these is a decision.
    app.post("/purchasing/flow", "{").await;
    let what_if = json!({ "input": { "product_id": "PROD-001" }, "set": { "inventory_levels.available_qty": 1 } });
    let request = app.client.post(app.url("/purchasing/flow/what-if")).bearer_auth("a-token-for-tests").json(&what_if);
    TestApp::answer(request).await;
    wait_written(&app, 5).await;
    let records = read(&file);
    assert_eq!(records.len(), 5);
    for (record, answer) in records.iter().zip(&answers) {
        match &record.decision {
            Some(decision) => assert_eq!(&serde_json::to_value(decision).expect("JSON"), answer),
            None => assert_eq!(record.error.as_ref().map(|error| error.code.as_str()), answer["code"].as_str()),
        }
    }
    assert_eq!(records[4].nodes["uom_conversion"].failed.as_deref(), Some("query_failed"));
    let flows = flows(&repository().join("graph.yaml"));
    let replay = Replay::new(&flows, grl::Limits::default());
    for record in &records {
        assert_eq!(replay.replay(record), Replayed::Same, "{}", record.id);
    }

    let changed = directory.path().join("changed");
    let graph = copy_changed(&changed, "rules/discounts.csv", |table| table.replace("0.10", "0.20"));
    let flows = self::flows(&graph);
    let replay = Replay::new(&flows, grl::Limits::default());
    let mut summary = Summary::default();
    records.iter().for_each(|record| summary.add(record, &replay.replay(record)));
    assert_eq!((summary.same, summary.changed, summary.impossible), (4, 1, 0));
    let discount = serde_json::to_value(&summary.fields["purchase_order.discount_amount"]).expect("JSON");
    let expected = r#"{"changed":1,"before":17313.75,"after":34627.50,"difference":17313.75}"#;
    assert_eq!(discount.to_string(), expected);
}

#[actix_web::test]
async fn an_incomplete_record_is_not_replayed() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("decisions.ndjson");
    let config = configuration(directory.path(), &format!("{{ to: file, path: {} }}", file.display()));
    let (_databases, app) = TestApp::shipped_with(|setup| Setup { config: Some(config), ..setup }).await;
    app.purchasing("PROD-001").await;
    wait_written(&app, 1).await;
    let record = read(&file).remove(0);
    let shipped = flows(&repository().join("graph.yaml"));
    let impossible = |flows: &[Flow], record: &Record| match Replay::new(flows, grl::Limits::default()).replay(record) {
        Replayed::Impossible(why) => why,
        other => panic!("{other:?}"),
    };
    let mut redacted = record.clone();
    redacted.redacted = vec!["supplier_info.unit_price".to_owned()];
    assert!(impossible(&shipped, &redacted).contains("supplier_info.unit_price"));
    let mut without = record.clone();
    without.nodes.shift_remove("supplier_info");
    assert!(impossible(&shipped, &without).contains("`supplier_info`"));
    let mut others = record.clone();
    others.nodes.get_mut("supplier_info").expect("the node").params = vec![Value::text("PROD-002")];
    assert!(impossible(&shipped, &others).contains("other parameters"));
    let mut unknown = record.clone();
    unknown.flow = "selling".to_owned();
    assert!(impossible(&shipped, &unknown).contains("`selling`"));
    let mut inputs = record;
    inputs.input = Value::map([("product".into(), Value::Integer(1))]);
    assert!(impossible(&shipped, &inputs).contains("inputs"));
}

/// A named pipe that is not read yet, in place of a slow disk.
struct SlowDisk {
    path: PathBuf,
    reader: std::fs::File,
}

impl SlowDisk {
    fn make(directory: &Path) -> Self {
        use std::os::unix::fs::OpenOptionsExt;
        let path = directory.join("slow");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        let nonblocking = nix::libc::O_NONBLOCK;
        let reader = std::fs::OpenOptions::new().read(true).custom_flags(nonblocking).open(&path).expect("its reader");
        Self { path, reader }
    }

    /// Reads everything that was written so far, and counts its lines.
    fn drain(&mut self) -> usize {
        use std::io::Read;
        let mut all = Vec::new();
        let mut part = [0; 1 << 12];
        while let Ok(count @ 1..) = self.reader.read(&mut part) {
            all.extend_from_slice(&part[..count]);
        }
        all.iter().filter(|byte| **byte == b'\n').count()
    }
}

#[actix_web::test]
async fn records_that_a_slow_disk_drops_are_counted() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut disk = SlowDisk::make(directory.path());
    let config = configuration(directory.path(), &format!("{{ to: file, path: {}, queue: 4 }}", disk.path.display()));
    let (_databases, app) = TestApp::shipped_with(|setup| Setup { config: Some(config), ..setup }).await;
    // The pipe and the buffer before it hold some dozens; then the queue is full.
    eventually_async("records are dropped", async || {
        assert_eq!(app.purchasing("PROD-001").await.status, 200);
        records_health(&app).await["dropped"].as_u64() > Some(0)
    })
    .await;
    eventually_async("the queue empties", async || {
        disk.drain();
        records_health(&app).await["queued"] == 0
    })
    .await;
}

#[actix_web::test]
async fn with_when_full_wait_decisions_wait_and_are_counted() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut disk = SlowDisk::make(directory.path());
    let config = configuration(
        directory.path(),
        &format!("{{ to: file, path: {}, queue: 2, when_full: wait }}", disk.path.display()),
    );
    let (_databases, app) = TestApp::shipped_with(|setup| Setup { config: Some(config), ..setup }).await;
    let asking = async {
        for _ in 0..120 {
            assert_eq!(app.purchasing("PROD-001").await.status, 200);
        }
    };
    let reading = async {
        eventually_async("a decision waits", async || records_health(&app).await["waited"].as_u64() > Some(0)).await;
        let mut lines = 0;
        eventually_async("every record arrives", async || {
            lines += disk.drain();
            lines == 120
        })
        .await;
    };
    futures_util::future::join(asking, reading).await;
    assert_eq!(records_health(&app).await["dropped"], 0);
}

#[actix_web::test]
async fn a_full_disk_fails_no_decision_and_shows_in_health() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = configuration(directory.path(), "{ to: file, path: /dev/full }");
    let (_databases, app) = TestApp::shipped_with(|setup| Setup { config: Some(config), ..setup }).await;
    assert_eq!(app.purchasing("PROD-001").await.status, 200);
    eventually_async("the failure shows", async || records_health(&app).await["failed"] == 1).await;
    assert!(records_health(&app).await["last_error"].as_str().is_some_and(|error| error.contains("No space")));
    assert_eq!(app.purchasing("PROD-001").await.status, 200);
}
