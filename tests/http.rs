//! The service over HTTP, on real databases: decisions, health, and a problem for everything that can go wrong.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod support;

use serde_json::{Value as Json, json};
use support::{Answer, Database, SampleDatabases, Setup, TestApp, eventually_async};

async fn shipped() -> (SampleDatabases, TestApp) {
    let databases = SampleDatabases::create().await;
    let setup = Setup::shipped().on(&databases);
    let app = TestApp::start(setup);
    app.wait_for("/readyz", 200).await;
    (databases, app)
}

/// A flow of one file, served at `/t`, over one database.
async fn serve(graph: &str, database: &Database) -> (tempfile::TempDir, TestApp) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("graph.yaml");
    std::fs::write(&path, graph).expect("the graph can be written");
    let setup = Setup { graphs: vec![path], ..Setup::default() }.domain("t_db", &database.url());
    let app = TestApp::start(setup);
    app.wait_for("/readyz", 200).await;
    (directory, app)
}

/// What every problem has, and what none may have.
fn assert_problem(answer: &Answer, status: u16, code: &str) -> Json {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{}", answer.text);
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    let problem = answer.json();
    for member in ["type", "title", "status", "detail", "instance", "request_id"] {
        assert!(!problem[member].is_null(), "{member} is missing: {problem}");
    }
    assert_eq!(problem["status"].to_string(), status.to_string());
    assert_eq!(problem["request_id"].as_str(), answer.headers["x-request-id"].to_str().ok());
    for leak in ["SELECT", "select ", "tokio", "Error {", "postgres://"] {
        assert!(!answer.text.contains(leak), "{leak} leaks: {}", answer.text);
    }
    problem
}

#[actix_web::test]
async fn the_three_products_are_decided_exactly() {
    let (_databases, app) = shipped().await;
    for (product, order) in [
        (
            "PROD-001",
            r#"{"order_qty":550,"order_unit":"pieces","total_cost":8525.00,"approval_status":"auto_approved","grand_total":9207.00,"demand_trend":"increasing"}"#,
        ),
        (
            "PROD-002",
            r#"{"order_qty":827,"order_unit":"kg","total_cost":20675.00,"approval_status":"pending","grand_total":22329.00,"demand_trend":"stable"}"#,
        ),
        (
            "PROD-003",
            r#"{"order_qty":4050,"order_unit":"liter","total_cost":173137.50,"discount_amount":17313.75,"final_amount":155823.75,"tax_amount":12465.90,"grand_total":168289.65,"approval_status":"pending","demand_trend":"decreasing"}"#,
        ),
    ] {
        let answer = app.purchasing(product).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.headers["content-type"], "application/json");
        let decision = answer.json();
        assert_eq!(decision["status"], "success");
        let expected: Json = serde_json::from_str(order).expect("JSON");
        for (field, value) in expected.as_object().expect("an object") {
            assert_eq!(decision["purchase_order"][field].to_string(), value.to_string(), "{product}.{field}");
        }
        let delivery = decision["purchase_order"]["expected_delivery_date"].as_str().expect("a date").to_owned();
        assert!(delivery.parse::<jiff::civil::Date>().is_ok(), "{delivery}");
    }
}

#[actix_web::test]
async fn no_order_is_asserted_where_stock_is_sufficient_and_where_the_supplier_is_inactive() {
    let (databases, app) = shipped().await;
    databases
        .database("inventory_db")
        .run("UPDATE inventory SET available_qty = 5000 WHERE product_id = 'PROD-001'")
        .await;
    let decision = app.purchasing("PROD-001").await.json();
    assert_eq!(
        (decision["status"].as_str(), decision["reason"].as_str()),
        (Some("no_order"), Some("sufficient_stock"))
    );
    let supplier = databases.database("supplier_db");
    supplier.run("ALTER TABLE suppliers ADD COLUMN is_active boolean DEFAULT true").await;
    assert_eq!(app.purchasing("PROD-002").await.json()["status"], "success", "an active supplier is ordered from");
    supplier.run("UPDATE suppliers SET is_active = false WHERE product_id = 'PROD-002'").await;
    let decision = app.purchasing("PROD-002").await.json();
    assert_eq!(
        (decision["status"].as_str(), decision["reason"].as_str()),
        (Some("no_order"), Some("supplier_inactive"))
    );
    assert!(decision["purchase_order"].is_null());
    supplier.run("UPDATE suppliers SET is_active = NULL WHERE product_id = 'PROD-002'").await;
    let problem = assert_problem(&app.purchasing("PROD-002").await, 500, "undecided");
    assert!(problem["unset"].to_string().contains("rule_engine.supplier_active"), "{problem}");
}

#[actix_web::test]
async fn the_order_is_never_less_than_the_supplier_delivers() {
    let (databases, app) = shipped().await;
    databases
        .database("inventory_db")
        .run("UPDATE inventory SET available_qty = 1049.5 WHERE product_id = 'PROD-001'")
        .await;
    let order = app.purchasing("PROD-001").await.json()["purchase_order"].clone();
    assert_eq!((order["shortage"].to_string(), order["order_qty"].to_string()), ("0.5".to_owned(), "100".to_owned()));
    // Exactly enough is enough.
    databases
        .database("inventory_db")
        .run("UPDATE inventory SET available_qty = 1050 WHERE product_id = 'PROD-001'")
        .await;
    assert_eq!(app.purchasing("PROD-001").await.json()["status"], "no_order");
}

#[actix_web::test]
async fn discount_and_approval_start_where_they_should() {
    let (databases, app) = shipped().await;
    // PROD-001 orders 550 pieces.
    for (price, approval, discount) in [
        ("18.18", "auto_approved", "0.00"), // 9,999.00
        ("18.1819", "pending", "0.00"),     // 10,000.05
        ("90.9090", "pending", "0.00"),     // 49,999.95
        ("90.9091", "pending", "5000.00"),  // 50,000.01
    ] {
        let supplier = databases.database("supplier_db");
        supplier.run("ALTER TABLE suppliers ALTER COLUMN unit_price TYPE numeric(14,4)").await;
        supplier.run(&format!("UPDATE suppliers SET unit_price = {price} WHERE product_id = 'PROD-001'")).await;
        let order = app.purchasing("PROD-001").await.json()["purchase_order"].clone();
        assert_eq!(
            (order["approval_status"].as_str(), order["discount_amount"].to_string()),
            (Some(approval), discount.to_owned()),
            "{order}"
        );
    }
}

#[actix_web::test]
async fn unknown_products_and_bad_bodies_are_told_apart() {
    let (_databases, app) = shipped().await;
    let problem = assert_problem(&app.purchasing("PROD-999").await, 404, "not_found");
    assert_eq!((problem["node"].as_str(), problem["domain"].as_str()), (Some("oms_history"), Some("oms_db")));
    let deep = format!("{{\"product_id\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
    for (body, status, code, part) in [
        (String::new(), 400, "malformed_body", "empty"),
        ("{".to_owned(), 400, "malformed_body", "line 1"),
        ("{\"product_id\":\"a\"} x".to_owned(), 400, "malformed_body", "trailing"),
        (deep, 400, "malformed_body", "recursion limit"),
        ("[]".to_owned(), 422, "invalid_input", "JSON object"),
        ("{}".to_owned(), 422, "invalid_input", "required"),
        (r#"{"product_id":1}"#.to_owned(), 422, "invalid_input", "must be a text"),
        (r#"{"product_id":null}"#.to_owned(), 422, "invalid_input", "must be a text"),
        (r#"{"product_id":["PROD-001"]}"#.to_owned(), 422, "invalid_input", "must be a text"),
        (r#"{"product_id":"a","prodct_id":"b"}"#.to_owned(), 422, "invalid_input", "did you mean"),
        (r#"{"product_id":"a","product_id":"b"}"#.to_owned(), 422, "invalid_input", "twice"),
        (r#"{"product_id":"a\u0000b"}"#.to_owned(), 422, "invalid_input", "NUL"),
        (format!(r#"{{"product_id":"{}"}}"#, "x".repeat(51)), 422, "invalid_input", "at most 50"),
    ] {
        let answer = app.post("/purchasing/flow", body.clone()).await;
        let problem = assert_problem(&answer, status, code);
        assert!(problem.to_string().contains(part), "{body:.80}: {problem}");
    }
    let latin1 = app.post("/purchasing/flow", &b"{\"product_id\":\"\xff\"}"[..]).await;
    assert!(assert_problem(&latin1, 400, "malformed_body")["detail"].to_string().contains("UTF-8"));
    let huge = app.post("/purchasing/flow", vec![b' '; 300 * 1024]).await;
    assert_problem(&huge, 413, "body_too_large");
}

#[actix_web::test]
async fn wrong_paths_methods_and_media_types_are_problems_with_a_remedy() {
    let (_databases, app) = shipped().await;
    assert_problem(&app.post("/nowhere", "{}").await, 404, "no_such_path");
    let got = app.get("/purchasing/flow").await;
    assert_problem(&got, 405, "method_not_allowed");
    assert_eq!(got.headers["allow"], "POST");
    let form = app
        .client
        .post(app.url("/purchasing/flow"))
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body("{}");
    assert!(
        assert_problem(&TestApp::answer(form).await, 415, "wrong_media_type")["detail"]
            .to_string()
            .contains("application/json")
    );
    let none = TestApp::answer(app.client.post(app.url("/purchasing/flow")).body("{}")).await;
    assert_problem(&none, 415, "wrong_media_type");
    for path in ["/livez", "/readyz", "/health", "/health/oms_db", "/flows"] {
        let posted = app.post(path, "{}").await;
        assert_problem(&posted, 405, "method_not_allowed");
    }
    let missing = assert_problem(&app.get("/health/omz_db").await, 404, "no_such_domain");
    assert!(missing["detail"].to_string().contains("oms_db"), "{missing}");
    let head = app.client.head(app.url("/health")).send().await.expect("an answer");
    assert_eq!(head.status().as_u16(), 200);
}

#[test]
fn the_document_of_the_code_has_every_code_that_a_problem_may_have() {
    let read = |file: &str| std::fs::read_to_string(support::repository().join(file)).expect("the file");
    let (readme, problems) = (read("src/README.md"), read("src/http/problem/kinds.rs"));
    let kinds = problems.split(": Kind =").skip(1);
    let codes: Vec<&str> = kinds.map(|kind| kind.split('"').nth(1).expect("a code")).collect();
    assert!(codes.len() > 30, "{codes:?}");
    let rows: Vec<&str> = readme.lines().filter(|line| line.starts_with("| ")).collect();
    for code in codes {
        assert!(rows.iter().any(|row| row.contains(&format!("`{code}`"))), "src/README.md does not document {code}");
    }
}

#[actix_web::test]
async fn request_ids_are_taken_made_and_echoed() {
    let (_databases, app) = shipped().await;
    let ask = |id: &str| app.client.get(app.url("/nowhere")).header("X-Request-Id", id);
    let answer = TestApp::answer(ask("order-7/a")).await;
    assert_eq!(answer.headers["x-request-id"], "order-7/a");
    assert_eq!(answer.json()["request_id"], "order-7/a");
    for refused in ["", "with space", &"x".repeat(200)] {
        let answer = TestApp::answer(ask(refused)).await;
        let made = answer.headers["x-request-id"].to_str().expect("text").to_owned();
        assert!(made != refused && made.len() == 36, "{made}");
    }
}

#[actix_web::test]
async fn health_says_how_each_domain_is_and_readiness_which_flows_can_be_served() {
    let (_databases, app) = shipped().await;
    for path in ["/livez", "/live", "/healthz"] {
        let live = app.get(path).await;
        assert_eq!((live.status, live.headers["content-type"].to_str().ok()), (200, Some("application/health+json")));
    }
    let all = app.get("/health").await.json();
    assert_eq!(all["status"], "pass");
    assert_eq!(all["domains"].as_object().expect("domains").len(), 4);
    let one = app.get("/health/oms_db").await.json();
    assert_eq!((one["state"].as_str(), one["status"].as_str()), (Some("ready"), Some("pass")));
    for fact in ["since", "restarts", "pool", "in_flight", "last_probe", "server_version"] {
        assert!(!one[fact].is_null(), "{fact}: {one}");
    }
    let ready = app.get("/readyz?verbose").await.json();
    assert_eq!(ready["flows"][0]["ready"], true);
    let flows = app.get("/flows").await.json();
    assert_eq!(flows["flows"][0]["path"], "/purchasing/flow");
    assert_eq!(flows["flows"][0]["nodes"].as_array().expect("nodes").len(), 7);
}

#[actix_web::test]
async fn the_service_starts_while_a_database_is_down_and_flows_that_need_it_say_so() {
    let databases = SampleDatabases::create().await;
    let nowhere = "postgres://postgres:hunter2@127.0.0.1:9/supplier_db";
    let setup = Setup::shipped().on(&databases);
    let app = TestApp::start(setup.set("SUPPLIER_DB_URL", nowhere));
    for healthy in ["oms_db", "inventory_db", "uom_db"] {
        app.wait_for(&format!("/health/{healthy}"), 200).await;
    }
    eventually_async("the domain is down", async || app.get("/health/supplier_db").await.json()["state"] == "down")
        .await;
    let answer = app.purchasing("PROD-001").await;
    let problem = assert_problem(&answer, 503, "domain_unavailable");
    assert_eq!((problem["domain"].as_str(), problem["node"].as_str()), (Some("supplier_db"), Some("supplier_info")));
    assert_eq!(problem["retryable"], true);
    assert!(answer.headers.contains_key("retry-after"));
    let ready = app.get("/readyz?verbose").await;
    assert_eq!(ready.status, 503);
    assert_eq!(ready.json()["flows"][0]["because"][0]["domain"], "supplier_db");
    let down = app.get("/health/supplier_db").await;
    assert_eq!(down.status, 503);
    assert!(!down.text.contains("hunter2"), "{}", down.text);
    assert_eq!(app.get("/livez").await.status, 200);
}

#[actix_web::test]
async fn a_null_or_a_second_row_is_an_error_and_never_a_decision() {
    let (databases, app) = shipped().await;
    let inventory = databases.database("inventory_db");
    inventory.run("ALTER TABLE inventory ALTER COLUMN available_qty DROP NOT NULL").await;
    inventory.run("UPDATE inventory SET available_qty = NULL WHERE product_id = 'PROD-001'").await;
    let problem = assert_problem(&app.purchasing("PROD-001").await, 500, "rule_error");
    assert_eq!(problem["node"], "rule_engine");
    assert!(problem["detail"].to_string().contains("inventory_levels.available_qty"), "{problem}");
    inventory.run("ALTER TABLE inventory DROP CONSTRAINT inventory_pkey").await;
    inventory.run("INSERT INTO inventory SELECT * FROM inventory WHERE product_id = 'PROD-002'").await;
    let problem = assert_problem(&app.purchasing("PROD-002").await, 500, "too_many_rows");
    assert_eq!(
        (problem["node"].as_str(), problem["domain"].as_str()),
        (Some("inventory_levels"), Some("inventory_db"))
    );
}

#[actix_web::test]
async fn what_a_database_refuses_is_an_error_that_names_it() {
    let (databases, app) = shipped().await;
    databases.database("uom_db").run("DROP TABLE uom_conversions").await;
    let problem = assert_problem(&app.purchasing("PROD-001").await, 500, "query_failed");
    assert_eq!((problem["domain"].as_str(), problem["sqlstate"].as_str()), (Some("uom_db"), Some("42P01")));
    databases.database("supplier_db").run("ALTER TABLE suppliers RENAME TO old; CREATE TABLE suppliers AS SELECT product_id, supplier_name, unit_price::text AS unit_price, moq, lead_time FROM old").await;
    databases.database("uom_db").run("CREATE TABLE uom_conversions AS SELECT 'PROD-001'::varchar AS product_id, 'pieces'::text AS from_uom, 'box'::text AS to_uom, 1.0::numeric AS conversion_factor").await;
    let problem = assert_problem(&app.purchasing("PROD-001").await, 500, "rule_error");
    assert!(problem["detail"].to_string().contains("text"), "{problem}");
}

#[actix_web::test]
async fn what_a_database_aborts_again_and_again_may_be_tried_later() {
    let (databases, app) = shipped().await;
    let aborts = "ALTER TABLE uom_conversions RENAME TO conversions;
        CREATE FUNCTION aborts() RETURNS boolean LANGUAGE plpgsql AS
            $$ BEGIN RAISE 'could not serialize access' USING ERRCODE = 'serialization_failure'; END $$;
        CREATE VIEW uom_conversions AS SELECT * FROM conversions WHERE aborts()";
    databases.database("uom_db").run(aborts).await;
    let answer = app.purchasing("PROD-001").await;
    let problem = assert_problem(&answer, 503, "query_aborted");
    assert_eq!((problem["domain"].as_str(), problem["sqlstate"].as_str()), (Some("uom_db"), Some("40001")));
    assert_eq!((problem["retryable"].as_bool(), answer.headers["retry-after"].to_str().ok()), (Some(true), Some("1")));
    assert!(!answer.text.contains("could not serialize"), "{}", answer.text);
    app.wait_for("/health", 200).await;
    // Whoever tries again afterwards is answered.
    databases
        .database("uom_db")
        .run("DROP VIEW uom_conversions; ALTER TABLE conversions RENAME TO uom_conversions")
        .await;
    assert_eq!(app.purchasing("PROD-001").await.status, 200);
}

#[actix_web::test]
async fn a_query_that_takes_too_long_is_a_timeout_that_names_its_node() {
    let database = Database::empty().await;
    let graph = "
flow: slow
path: /t
nodes:
  slow: { type: DBNode, database: t_db, query: 'SELECT pg_sleep(20) IS NULL AS x', timeout_ms: 200 }
outcomes:
  - { status: ok, when: 'slow.x == false' }
";
    let (_directory, app) = serve(graph, &database).await;
    let started = std::time::Instant::now();
    let problem = assert_problem(&app.post("/t", "{}").await, 504, "timeout");
    assert!(started.elapsed().as_secs() < 5, "the timeout was not kept");
    assert_eq!((problem["node"].as_str(), problem["domain"].as_str()), (Some("slow"), Some("t_db")));
    let client = support::connect(&database.url()).await;
    eventually_async("the query is cancelled on the server", async || {
        let busy = client.query_one("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(20)%' AND state = 'active' AND pid <> pg_backend_pid()", &[]).await;
        busy.expect("an answer").get::<_, i64>(0) == 0
    })
    .await;
}

#[actix_web::test]
async fn a_column_that_cannot_be_mapped_is_an_error_that_names_column_and_type() {
    let database = Database::empty().await;
    let graph = "
flow: odd
path: /t
nodes:
  odd: { type: DBNode, database: t_db, query: \"SELECT '(1,2)'::point AS place\" }
outcomes:
  - { status: ok, when: 'odd.place == null' }
";
    let (_directory, app) = serve(graph, &database).await;
    let problem = assert_problem(&app.post("/t", "{}").await, 500, "unmappable_column");
    assert!(
        problem["detail"].to_string().contains("place") && problem["detail"].to_string().contains("point"),
        "{problem}"
    );
}

#[actix_web::test]
async fn edges_defaults_optional_rows_and_lists_decide_as_the_graph_says() {
    let database = Database::with(
        "CREATE TABLE lines (id int, qty numeric, price numeric(10,2)); INSERT INTO lines VALUES (1, 2, 1.50), (1, 3, 2.25);
         CREATE TABLE notes (id int PRIMARY KEY, note text);",
    )
    .await;
    let graph = "
flow: lists
path: /t
input: { id: integer, wanted: { type: list of integer, required: false } }
nodes:
  lines: { type: DBNode, database: t_db, query: 'SELECT qty, price FROM lines WHERE id = $1', params: [id], rows: many }
  note: { type: DBNode, database: t_db, query: 'SELECT note FROM notes WHERE id = $1', params: [input.id], rows: optional }
  broken: { type: DBNode, connection: 'postgres://nobody@127.0.0.1:1/x', query: 'SELECT gone FROM nowhere', on_error: { default: { gone: 7 } } }
  skipped: { type: DBNode, database: t_db, query: 'SELECT 1 AS one FROM lines WHERE id = $1 LIMIT 1', params: [id] }
  many: { type: RuleNode, condition: 'count(lines) > 1 && sum(lines.qty) == 5' }
edges:
  - { from: many, to: skipped, rule: 'many.result == false' }
outcomes:
  - { status: one, when: 'skipped.one == 1' }
  - status: many
    when: many.result
    message: 'Total {sum(lines.qty)} of {{id}} {input.id}'
    body: { prices: lines.price, note: note.note, default: broken.gone, wanted: input.wanted, fixed: [1, '\"two\"', true] }
";
    let (_directory, app) = serve(graph, &database).await;
    let answer = app.post("/t", r#"{"id":1,"wanted":[3,1]}"#).await;
    assert_eq!(
        answer.text,
        r#"{"status":"many","message":"Total 5 of {id} 1","prices":[1.50,2.25],"note":null,"default":7,"wanted":[3,1],"fixed":[1,"two",true],"degraded":["broken"]}"#
    );
    let answer = app.post("/t", r#"{"id":2}"#).await;
    let problem = assert_problem(&answer, 404, "not_found");
    assert_eq!(problem["node"], "skipped");
    let none = app.post("/t", r#"{"id":2.5,"wanted":[1,"x"]}"#).await;
    let pointers: Vec<String> =
        none.json()["errors"].as_array().expect("errors").iter().map(|error| error["pointer"].to_string()).collect();
    assert_eq!(pointers, ["\"/wanted/1\"", "\"/id\""]);
}

#[actix_web::test]
async fn a_flow_needs_no_database() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(
        directory.path().join("fee.grl"),
        "rule \"Fee\" no-loop { when amount > 100 then fee = round(amount * 0.015, 2); }",
    )
    .expect("written");
    let graph = "
flow: fee
input: { amount: { type: decimal, minimum: 0 } }
nodes:
  fees: { type: RuleNode, rules: fee.grl, field_mappings: { amount: input.amount } }
outcomes:
  - { status: fee, when: 'fees.fee > 0', body: { fee: fees.fee } }
";
    let path = directory.path().join("fee.yaml");
    std::fs::write(&path, graph).expect("written");
    let app = TestApp::start(Setup { graphs: vec![path], ..Setup::default() });
    assert_eq!(app.post("/flows/fee", r#"{"amount":1000.10}"#).await.text, r#"{"status":"fee","fee":15.00}"#);
    let problem = assert_problem(&app.post("/flows/fee", r#"{"amount":5}"#).await, 500, "undecided");
    assert_eq!(problem["unset"], json!(["fees.fee"]));
    assert_eq!(app.get("/readyz").await.status, 200);
}

#[actix_web::test]
async fn an_inline_connection_is_a_domain_of_its_own() {
    let database = Database::with("CREATE TABLE t (x int); INSERT INTO t VALUES (41)").await;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("graph.yaml");
    let graph = "
flow: inline
path: /t
nodes:
  a: { type: DBNode, connection: '${T_SERVER}', query: 'SELECT x FROM t' }
  b: { type: DBNode, connection: '${T_SERVER}', query: 'SELECT x + 1 AS y FROM t' }
outcomes:
  - { status: ok, when: 'a.x == 41', body: { y: b.y } }
";
    // The URL is taken apart before its references are replaced, so each part has its own.
    let url = database.url();
    let rest = url.strip_prefix("postgres://").expect("a URL").to_owned();
    let (user, place) = rest.split_once('@').expect("a role");
    let (host, _) = place.split_once('/').expect("a database");
    let (role, password) = user.split_once(':').unwrap_or((user, ""));
    let written = if password.is_empty() { "postgres://${T_ROLE}@" } else { "postgres://${T_ROLE}:${T_PASSWORD}@" };
    std::fs::write(&path, graph.replace("${T_SERVER}", &format!("{written}{host}/${{T_NAME}}"))).expect("written");
    let setup = Setup { graphs: vec![path], ..Setup::default() }
        .set("T_ROLE", role)
        .set("T_PASSWORD", password)
        .set("T_NAME", database.name());
    let app = TestApp::start(setup);
    app.wait_for("/readyz", 200).await;
    assert_eq!(app.post("/t", "{}").await.text, r#"{"status":"ok","y":42}"#);
    assert_eq!(
        app.get("/health").await.json()["domains"].as_object().expect("domains").keys().collect::<Vec<_>>(),
        ["a_connection"]
    );
}

#[actix_web::test]
async fn the_flow_runs_on_four_separate_servers_as_on_one() {
    let family = support::PrivateFamily::start().await;
    let setup =
        family.environment().into_iter().fold(Setup::shipped(), |setup, (name, value)| setup.set(&name, &value));
    let app = TestApp::start(setup);
    app.wait_for("/readyz", 200).await;
    for (product, total) in [("PROD-001", "8525.00"), ("PROD-002", "20675.00"), ("PROD-003", "173137.50")] {
        assert_eq!(app.purchasing(product).await.json()["purchase_order"]["total_cost"].to_string(), total);
    }
}

#[actix_web::test]
async fn a_flow_is_drawn_in_the_language_that_the_client_asks_for() {
    let (_databases, app) = shipped().await;
    let draw = async |accept: &str, query: &str| {
        let request = app.client.get(app.url(&format!("/flows/purchasing/graph{query}"))).header("Accept", accept);
        TestApp::answer(request).await
    };
    for (accept, query, media_type, begins) in [
        ("*/*", "", "application/json", "{"),
        ("application/json", "", "application/json", "{"),
        ("image/svg+xml", "", "image/svg+xml", "<svg"),
        ("image/*;q=0.9, text/html", "", "image/svg+xml", "<svg"),
        ("text/vnd.mermaid, application/json;q=0.5", "", "text/vnd.mermaid; charset=utf-8", "flowchart"),
        ("application/json;q=0.2, text/vnd.graphviz", "", "text/vnd.graphviz; charset=utf-8", "digraph"),
        ("application/json", "?format=svg", "image/svg+xml", "<svg"),
    ] {
        let answer = draw(accept, query).await;
        assert_eq!((answer.status, answer.headers["content-type"].to_str().ok()), (200, Some(media_type)), "{accept}");
        assert!(answer.text.starts_with(begins), "{accept}: {}", answer.text);
    }
    assert_eq!(draw("text/html", "").await.code(), "not_acceptable");
    assert_eq!(draw("application/json;q=0", "").await.status, 406);
    let other = draw("application/json;q=0, */*;Q=0.5", "").await;
    assert_eq!(other.headers["content-type"], "text/vnd.graphviz; charset=utf-8");
    assert_eq!(draw("*/*", "?format=png").await.code(), "bad_query");
    assert_problem(&app.get("/flows/selling/graph").await, 404, "no_such_flow");
}
