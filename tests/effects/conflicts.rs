//! Conflicts: what a guard finds otherwise is undone, decided again, and at last refused.

use serde_json::json;

use crate::fixture::{ask, count, text};
use crate::support::{Database, Setup, TestApp};

/// Sells one piece where there is one.
const FLOW: &str = r#"
flow: sale
path: /sale
input: { item: { type: text }, pieces: { type: integer } }
nodes:
  stock: { type: DBNode, database: shop_db, query: "SELECT qty FROM stock WHERE item = $1", params: [item] }
  gift: { type: DBNode, database: shop_db, query: "SELECT 1 AS id WHERE $1 = ''", params: [item] }
edges:
  - { from: stock, to: gift, rule: stock.qty > 1000 }
effects:
  sell:
    database: shop_db
    statements:
      - { query: "UPDATE stock SET qty = qty - $2 WHERE item = $1 AND qty >= $2", params: [input.item, input.pieces] }
      - query: "INSERT INTO sales (item, pieces) VALUES ($1, $2) RETURNING id"
        params: [input.item, input.pieces]
      - { query: "INSERT INTO notes (sale, text) VALUES ($1, $2)", params: [sell.id, "concat(\"sold \", input.item)"] }
    event: { type: item.sold, aggregate: stock, key: input.item, payload: { sale: sell.id, left: stock.qty - input.pieces } }
outcomes:
  - { status: sold_with_gift, when: "input.item == \"cup\" && input.pieces == 0", effect: sell, body: { numbers: sell.id + gift.id } }
  - { status: sold, when: "stock.qty >= input.pieces", effect: sell, body: { sale: sell.id, before: stock.qty } }
  - { status: sold_out, when: "stock.qty < input.pieces" }
"#;

const TABLES: &str = "CREATE TABLE stock (item text PRIMARY KEY, qty int8 NOT NULL);
    CREATE TABLE sales (id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY, item text NOT NULL, pieces int8 NOT NULL);
    CREATE TABLE notes (sale int8 NOT NULL REFERENCES sales, text text NOT NULL);
    INSERT INTO stock VALUES ('tea', 40), ('cup', 1)";

async fn shop(more: &str) -> (Database, TestApp, tempfile::TempDir) {
    let database = Database::with(&format!("{TABLES}; {}; {more}", tributary::postgres::EFFECT_TABLES)).await;
    let directory = tempfile::tempdir().expect("a directory");
    let graph = directory.path().join("sale.yaml");
    std::fs::write(&graph, FLOW).expect("written");
    let setup = Setup { graphs: vec![graph], ..Setup::default() };
    let app = TestApp::start(setup.domain("shop_db", &database.url()).set("SHOP_DB_WRITE_USER", "postgres"));
    app.wait_for("/readyz", 200).await;
    (database, app, directory)
}

#[actix_web::test]
async fn buyers_at_the_same_time_never_sell_more_than_there_is() {
    let (database, app, _files) = shop("").await;
    let buy = async |number: usize| {
        let key = format!("buyer-{number}");
        loop {
            let answer = ask(&app, "/sale", &json!({ "item": "tea", "pieces": 1 }), &key).await;
            // As a client does.
            if answer.status != 409 {
                return answer;
            }
        }
    };
    let answers = futures_util::future::join_all((0..60).map(buy)).await;
    let with = |status: &str| answers.iter().filter(|answer| answer.json()["status"] == status).count();
    assert_eq!((with("sold"), with("sold_out")), (40, 20), "{answers:?}");
    let url = database.url();
    assert_eq!(text(&url, "SELECT qty::text FROM stock WHERE item = 'tea'").await, "0");
    assert_eq!((count(&url, "sales").await, count(&url, "notes").await), (40, 40));
    assert_eq!(count(&url, "tributary_outbox").await, 40);
    let order = "SELECT (array_agg((payload ->> 'left')::int ORDER BY position) = array_agg((payload ->> 'left')::int ORDER BY (payload ->> 'left')::int DESC))::text FROM tributary_outbox";
    assert_eq!(text(&url, order).await, "true");
}

#[actix_web::test]
async fn a_conflict_that_stays_is_refused_after_three_decisions_and_writes_nothing() {
    let forever = "CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
        CREATE TRIGGER never BEFORE INSERT ON notes FOR EACH ROW EXECUTE FUNCTION never()";
    let (database, app, _files) = shop(forever).await;
    let answer = ask(&app, "/sale", &json!({ "item": "tea", "pieces": 2 }), "k").await;
    assert_eq!((answer.status, answer.code().as_str()), (409, "conflict"), "{}", answer.text);
    let detail = answer.json()["detail"].as_str().expect("text").to_owned();
    assert!(detail.contains("statement 3 wrote 0 rows, and should write one"), "{detail}");
    assert!(detail.contains("the decision was made 3 times"), "{detail}");
    let url = database.url();
    for table in ["sales", "notes", "tributary_outbox", "tributary_keys"] {
        assert_eq!(count(&url, table).await, 0, "{table}");
    }
    database.run("DROP TRIGGER never ON notes").await;
    assert_eq!(ask(&app, "/sale", &json!({ "item": "tea", "pieces": 2 }), "k").await.status, 200);
}

#[actix_web::test]
async fn a_unique_index_is_a_guard() {
    let (database, app, _files) = shop("CREATE UNIQUE INDEX ON sales (item)").await;
    assert_eq!(ask(&app, "/sale", &json!({ "item": "tea", "pieces": 1 }), "a").await.status, 200);
    let second = ask(&app, "/sale", &json!({ "item": "tea", "pieces": 1 }), "b").await;
    assert_eq!((second.status, second.code().as_str()), (409, "conflict"), "{}", second.text);
    assert!(second.text.contains("met a row that a unique index"), "{}", second.text);
    assert_eq!(count(&database.url(), "sales").await, 1);
}

#[actix_web::test]
async fn a_field_of_the_answer_that_needs_a_skipped_node_too_is_not_left_out() {
    let (database, app, _files) = shop("").await;
    let answer = ask(&app, "/sale", &json!({ "item": "cup", "pieces": 0 }), "k").await;
    assert_eq!((answer.status, answer.code().as_str()), (500, "undecided"), "{}", answer.text);
    assert!(answer.text.contains("gift.id"), "{}", answer.text);
    assert_eq!(count(&database.url(), "sales").await, 0);
}

#[actix_web::test]
async fn a_key_that_another_session_holds_is_in_progress_until_it_ends() {
    let (database, app, files) = shop("").await;
    drop(app);
    let config = files.path().join("service.yaml");
    std::fs::write(&config, "domains: { defaults: { timeouts: { query_ms: 400 } } }").expect("written");
    let setup = Setup { graphs: vec![files.path().join("sale.yaml")], config: Some(config), ..Setup::default() };
    let app = TestApp::start(setup.domain("shop_db", &database.url()).set("SHOP_DB_WRITE_USER", "postgres"));
    app.wait_for("/readyz", 200).await;
    let mut client = crate::support::connect(&database.url()).await;
    let held = client.transaction().await.expect("a transaction");
    held.batch_execute(
        "INSERT INTO tributary_keys (caller, flow, key, inputs, decision, expires_at)
         VALUES ('', 'sale', 'held', '', gen_random_uuid(), now())",
    )
    .await
    .expect("the key is held");
    let body = json!({ "item": "tea", "pieces": 1 });
    let answer = ask(&app, "/sale", &body, "held").await;
    assert_eq!((answer.status, answer.code().as_str()), (409, "key_in_progress"), "{}", answer.text);
    assert_eq!(answer.headers["retry-after"], "1");
    held.rollback().await.expect("the key is free");
    assert_eq!(ask(&app, "/sale", &body, "held").await.status, 200);
}
