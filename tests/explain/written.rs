//! What explanations, records and replays say of effects that were written.

use std::path::Path;

use serde_json::{Value as Json, json};
use tributary::grl;
use tributary::records::{Record, Replay, Replayed};

use crate::explained::copy_changed;
use crate::recorded::{configuration, flows, read, wait_written};
use crate::support::{
    Answer, Proxy, SampleDatabases, Setup, TestApp, connect, eventually_async, repository, shared_server,
};

async fn decide(app: &TestApp, product: &str, key: Option<&str>) -> Answer {
    let request = app.client.post(app.url("/purchasing/flow?explain=true")).json(&json!({ "product_id": product }));
    let request = key.into_iter().fold(request, |request, key| request.header("Idempotency-Key", key));
    TestApp::answer(request).await
}

async fn recording(directory: &Path) -> (SampleDatabases, TestApp) {
    let file = directory.join("decisions.ndjson");
    let config = configuration(directory, &format!("{{ to: file, path: {} }}", file.display()));
    TestApp::shipped_with(|setup| Setup { config: Some(config), ..setup.writing() }).await
}

#[actix_web::test]
async fn an_explanation_shows_the_effect_and_what_became_of_it() {
    let (databases, app) = TestApp::shipped_with(Setup::writing).await;
    let plain = decide(&app, "PROD-001", None).await.json();
    let effect = &plain["explain"]["effect"];
    assert_eq!((&effect["effect"], &effect["domain"]), (&json!("place_order"), &json!("oms_db")));
    assert_eq!((effect.get("result"), &effect["needs_approval"]), (None, &json!(false)));
    let params = effect["statements"][0]["params"].as_array().expect("the parameters");
    assert_eq!(
        (params.len(), params[0].to_string(), params[5].to_string()),
        (12, "\"PROD-001\"".into(), "8525.00".into())
    );
    assert_eq!(effect["event"], json!({ "type": "purchase_order.placed", "key": "PROD-001" }));
    assert_eq!(plain["explain"]["lineage"].get("purchase_order.po_number"), None);

    let first = decide(&app, "PROD-001", Some("a")).await;
    let placed = first.json();
    let (effect, order) = (&placed["explain"]["effect"], &placed["purchase_order"]);
    assert_eq!((first.status, &effect["result"]), (200, &json!("placed")), "{placed}");
    assert_eq!(effect["statements"][0]["returned"], json!({ "po_number": order["po_number"] }));
    let client = connect(&databases.url("oms_db")).await;
    let row = client.query_one("SELECT id::text, aggregateid FROM tributary_outbox", &[]).await.expect("one event");
    assert_eq!(effect["event"]["id"].as_str(), Some(row.get::<_, &str>(0)));
    assert_eq!(effect["event"]["key"].as_str(), Some(row.get::<_, &str>(1)));
    let lineage = &placed["explain"]["lineage"]["purchase_order.po_number"];
    assert_eq!(lineage["columns"], json!([{ "node": "place_order", "column": "po_number", "domain": "oms_db" }]));
    assert_eq!(decide(&app, "PROD-001", Some("a")).await.text, first.text, "the stored answer");

    databases.database("supplier_db").run("UPDATE suppliers SET unit_price = 100").await;
    let pending = decide(&app, "PROD-001", Some("b")).await;
    let effect = pending.json()["explain"]["effect"].clone();
    assert_eq!((pending.status, &effect["result"], &effect["needs_approval"]), (202, &json!("pending"), &json!(true)));
    databases.database("inventory_db").run("UPDATE inventory SET available_qty = 100000").await;
    assert_eq!(decide(&app, "PROD-001", Some("c")).await.json()["explain"].get("effect"), None);
}

#[actix_web::test]
async fn a_record_has_what_was_written_and_a_replay_compares_it_and_writes_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let (databases, app) = recording(directory.path()).await;
    let orders = databases.database("oms_db");
    let placed = decide(&app, "PROD-001", Some("a")).await.json();
    decide(&app, "PROD-001", Some("a")).await;
    decide(&app, "PROD-001", None).await;
    decide(&app, "NOPE", Some("d")).await;
    databases.database("supplier_db").run("UPDATE suppliers SET unit_price = 20 WHERE product_id = 'PROD-001'").await;
    assert_eq!(decide(&app, "PROD-001", Some("b")).await.status, 202);
    databases
        .database("supplier_db")
        .run("UPDATE suppliers SET unit_price = 15.50 WHERE product_id = 'PROD-001'")
        .await;
    orders.run("CREATE UNIQUE INDEX one_order ON purchase_orders (product_id)").await;
    assert_eq!(decide(&app, "PROD-001", Some("c")).await.code(), "conflict");
    wait_written(&app, 5).await;

    let records = read(&directory.path().join("decisions.ndjson"));
    let of = |key: &str| records.iter().find(|record| record.write.as_ref().is_some_and(|write| write.key == key));
    let write = |key: &str| serde_json::to_value(&of(key).expect("a record").write).expect("JSON");
    let order = &placed["purchase_order"];
    let first = write("a");
    assert_eq!((&first["result"], &first["effect"]), (&json!("placed"), &json!("place_order")));
    assert_eq!(first["statements"][0]["returned"], json!({ "po_number": order["po_number"] }));
    assert_eq!(first["statements"][0]["params"][9], order["grand_total"]);
    assert_eq!(first["event"], placed["explain"]["effect"]["event"]["id"]);
    assert_eq!((&write("b")["result"], &write("b")["needs_approval"]), (&json!("pending"), &json!(true)));
    assert_eq!((&write("c")["result"], write("c")["statements"][0].get("returned")), (&json!("conflicted"), None));
    assert_eq!(write("d"), json!({ "key": "d", "result": "stored" }));
    assert_eq!(records.iter().filter(|record| record.write.is_none()).count(), 1);

    let replayed =
        |flows: &[_], key: &str| Replay::new(flows, grl::Limits::default()).replay(of(key).expect("a record"));
    let shipped = flows(&repository().join("graph.yaml"));
    for key in ["a", "b", "d"] {
        assert_eq!(replayed(&shipped, key), Replayed::Same, "{key}");
    }
    let Replayed::Impossible(why) = replayed(&shipped, "c") else { panic!("it was not written") };
    assert!(why.contains("conflict"), "{why}");
    let changed = directory.path().join("changed");
    let graph = copy_changed(&changed, "graph.yaml", |text| {
        let text = text.replace("          - supplier_info.unit_price\n", "          - supplier_info.unit_price + 1\n");
        text.replace("create_po.approval_status == \"pending\"", "create_po.grand_total > 9000")
    });
    let Replayed::Changed(changes) = replayed(&flows(&graph), "a") else { panic!("the effect is another one") };
    let fields: Vec<&str> = changes.iter().map(|change| change.field.as_str()).collect();
    assert_eq!(fields, ["effect.needs_approval", "effect.params[0][4]"]);
    let client = connect(&databases.url("oms_db")).await;
    let row = client.query_one("SELECT count(*) FROM purchase_orders", &[]).await.expect("a count");
    assert_eq!(row.get::<_, i64>(0), 1);
}

#[actix_web::test]
async fn a_decision_whose_commit_was_lost_is_recorded_once_its_answer_is_found() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("decisions.ndjson");
    let config = configuration(directory.path(), &format!("{{ to: file, path: {} }}", file.display()));
    let (databases, proxy) = (SampleDatabases::create().await, Proxy::to(shared_server().port()));
    let url = databases.url("oms_db");
    let through = url.replace(&format!(":{}/", shared_server().port()), &format!(":{}/", proxy.port()));
    let setup = Setup::shipped().on(&databases).domain("oms_db", &through).writing();
    let app = TestApp::start(Setup { config: Some(config), ..setup });
    app.wait_for("/readyz", 200).await;
    databases.database("oms_db").run(SLOW_COMMIT).await;
    let client = connect(&url).await;
    let sleeping =
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()";
    let cut = async {
        eventually_async("COMMIT is carried out", async || {
            client.query_one(sleeping, &[]).await.expect("a count").get::<_, i64>(0) == 1
        })
        .await;
        proxy.cut();
    };
    let (answer, ()) = tokio::join!(decide(&app, "PROD-001", Some("a")), cut);
    assert_eq!(
        (answer.status, &answer.json()["explain"]["effect"]["result"]),
        (200, &json!("placed")),
        "{}",
        answer.text
    );
    wait_written(&app, 1).await;
    let records = read(&file);
    let write = records[0].write.as_ref().expect("a key");
    assert_eq!((records.len(), write.result.as_str(), write.event.is_some()), (1, "placed", true));
    let order = &answer.json()["purchase_order"]["po_number"];
    assert_eq!(serde_json::to_value(&write.statements[0].returned).expect("JSON"), json!({ "po_number": order }));
    let orders = client.query_one("SELECT count(*) FROM purchase_orders", &[]).await.expect("a count");
    assert_eq!(orders.get::<_, i64>(0), 1);
}

/// COMMIT of an order takes a second.
const SLOW_COMMIT: &str = "
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(1); RETURN NULL; END';
CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON purchase_orders DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow();
";

#[actix_web::test]
async fn a_redacted_parameter_and_what_its_effect_returned_are_in_no_record() {
    let directory = tempfile::tempdir().expect("a directory");
    let graph = copy_changed(&directory.path().join("redacting"), "graph.yaml", |graph| {
        graph.replace("    database: supplier_db\n", "    database: supplier_db\n    redact: [supplier_name]\n")
    });
    let file = directory.path().join("decisions.ndjson");
    let settings = format!("{{ to: file, path: {}, redact: true }}", file.display());
    let config = configuration(directory.path(), &settings);
    let change = |setup: Setup| Setup { config: Some(config), graphs: vec![graph], ..setup.writing() };
    let (_databases, app) = TestApp::shipped_with(change).await;
    let answer = decide(&app, "PROD-001", Some("a")).await.json();
    assert_eq!(answer["explain"]["effect"]["statements"][0]["params"][1], "(redacted)");
    assert_eq!(answer["explain"]["effect"]["statements"][0]["returned"], "(redacted)");
    wait_written(&app, 1).await;
    let line = std::fs::read_to_string(&file).expect("a record");
    let record = Record::parse(&line).expect("a record");
    let write = serde_json::to_value(&record.write).expect("JSON");
    assert_eq!(
        (&write["statements"][0]["params"][0], &write["statements"][0]["params"][1]),
        (&json!("PROD-001"), &json!("(redacted)"))
    );
    assert!(!line.contains("ABC Supplies"), "{line}");
    assert_eq!(
        record
            .decision
            .expect("a decision")
            .at(["purchase_order", "po_number"])
            .map(|value| value.to_string())
            .as_deref(),
        Some("(redacted)")
    );
    assert!(!matches!(write["result"], Json::Null));
}
