//! Everything that is really answered is as the document says.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};

use crate::document::{Document, escaped};
use crate::support::{Answer, Database, SampleDatabases, Setup, TestApp, copy_shipped, repository};

pub const TOKEN: &str = "planted-admin-token";

/// The service with both flows, its document, and which answers were seen.
pub struct Promised {
    pub app: TestApp,
    pub document: Document,
    seen: BTreeSet<(String, u16)>,
    _databases: (SampleDatabases, Database),
}

impl Promised {
    pub async fn start() -> Self {
        let samples = SampleDatabases::create().await;
        let orders = Database::with(include_str!("orders.sql")).await;
        let graphs = vec![repository().join("graph.yaml"), repository().join("tests/contracts/orders.yaml")];
        let setup = Setup { graphs, ..Setup::default() }.on(&samples).writing().set("ADMIN_TOKEN", TOKEN);
        // Nobody listens at the port of discard: the domain is down, and its default stands in.
        let setup = setup.domain("stock_db", &orders.url()).domain("rating_db", "postgres://nobody@127.0.0.1:9/none");
        let app = TestApp::start(setup);
        app.wait_for("/readyz", 200).await;
        let document = Document(app.get("/openapi.json").await.json());
        Self { app, document, seen: BTreeSet::new(), _databases: (samples, orders) }
    }

    /// Posts, and holds the answer against the document.
    async fn post(&mut self, path: &str, query: &str, body: &Json) -> Answer {
        let request = self.app.client.post(self.app.url(&format!("{path}{query}"))).bearer_auth(TOKEN).json(body);
        let answer = TestApp::answer(request).await;
        self.hold(("post", path), &answer);
        answer
    }

    /// Gets `asked`, which the document writes as `path`.
    async fn get(&mut self, path: &str, asked: &str) -> Answer {
        let answer = self.app.get(asked).await;
        self.hold(("get", path), &answer);
        answer
    }

    pub fn hold(&mut self, (method, path): (&str, &str), answer: &Answer) {
        let media_type = answer.headers["content-type"].to_str().expect("text");
        let complaints = self.document.complaints((method, path), answer.status, media_type, &answer.text);
        assert!(complaints.is_empty(), "{method} {path}: {complaints:#?}\n{}", answer.text);
        self.seen.insert((format!("{method} {path}"), answer.status));
    }

    /// The schema of a field of an outcome.
    fn field(&self, schema: &str, path: &str) -> &Json {
        let below = path.split('.').map(escaped).collect::<Vec<_>>().join("/properties/");
        let pointer = format!("/components/schemas/{schema}/properties/{below}");
        self.document.0.pointer(&pointer).unwrap_or_else(|| panic!("no {pointer}"))
    }
}

#[actix_web::test]
async fn every_answer_of_the_flows_is_as_the_document_says() {
    let mut promised = Promised::start().await;
    promised.document.check();
    let flow = "/purchasing/flow";
    for (product, status) in [("PROD-001", "success"), ("PROD-002", "success"), ("PROD-003", "success")] {
        for query in ["", "?explain=true"] {
            let answer = promised.post(flow, query, &json!({ "product_id": product })).await;
            assert_eq!(answer.json()["status"], status);
        }
    }
    let what_if = json!({ "input": { "product_id": "PROD-001" }, "set": { "inventory_levels.available_qty": 2000 } });
    let replaced = promised.post(&format!("{flow}/what-if"), "", &what_if).await;
    assert_eq!(replaced.json()["status"], "no_order");
    let what_if = json!({ "input": { "product_id": "PROD-001" }, "set": { "supplier_info.supplier_name": null } });
    promised.post(&format!("{flow}/what-if"), "?explain", &what_if).await;
    let search = json!({
        "input": { "product_id": "PROD-001" }, "facts": ["inventory_levels.available_qty", "supplier_info.lead_time"]
    });
    let found = promised.post(&format!("{flow}/flip"), "", &search).await;
    assert_eq!((found.status, found.json()["flips"].as_array().map(Vec::len)), (200, Some(2)));

    let orders = "/orders/check";
    let full = json!({
        "customer": "DE-17", "quantity": 7, "budget": 12.50, "express": true, "due": "2026-02-01",
        "seen": "2026-01-31T08:00:00+01:00", "reference": "67e55044-10b1-426f-9247-bb680e5fe0c8", "tags": ["a", "b"]
    });
    for (body, status) in [
        (full, "checked"),
        (json!({ "customer": "DE-17", "budget": null }), "checked"),
        (json!({ "customer": "DE-18" }), "refused"),
        (json!({ "customer": "DE-1" }), "nothing to do"),
    ] {
        let misfits = promised.document.misfits("/components/schemas/orders.input", &body);
        assert!(misfits.is_empty(), "{misfits:?}");
        let answer = promised.post(orders, "?explain=1", &body).await;
        assert_eq!((answer.json()["status"].as_str(), &answer.json()["degraded"]), (Some(status), &json!(["rating"])));
    }
}

#[actix_web::test]
async fn every_line_of_a_batch_is_as_the_document_says() {
    let mut promised = Promised::start().await;
    let inputs = json!([{ "product_id": "PROD-001" }, { "product_id": "NOPE" }, { "product": 1 }, 7]);
    let answer = promised.post("/purchasing/flow/batch", "?explain=true", &inputs).await;
    let inputs = json!([{ "customer": "DE-17" }, {}]);
    let others = promised.post("/orders/check/batch", "", &inputs).await;
    for (flow, text) in [("purchasing", answer.text), ("orders", others.text)] {
        for line in text.lines() {
            let line: Json = serde_json::from_str(line).expect("JSON");
            let misfits = promised.document.misfits(&format!("/components/schemas/{flow}.line"), &line);
            assert!(misfits.is_empty(), "{misfits:#?}\n{line}");
        }
    }
}

#[actix_web::test]
async fn every_problem_is_as_the_document_says() {
    let mut promised = Promised::start().await;
    let flow = "/purchasing/flow";
    let lacking =
        json!({ "input": { "product_id": "PROD-001" }, "set": { "inventory_levels": { "product_id": "PROD-001" } } });
    let text = json!({ "input": { "product_id": "PROD-001" }, "facts": ["supplier_info.supplier_name"] });
    let answers = [
        promised.post(flow, "", &json!({ "product_id": "NOPE" })).await.status,
        promised.post(flow, "", &json!({ "product_id": 7, "more": "\0" })).await.status,
        promised.post(flow, "", &json!({ "product_id": "a\0b" })).await.status,
        promised.post(flow, "?explain=perhaps", &json!({ "product_id": "PROD-001" })).await.status,
        promised.post(flow, "", &json!({ "product_id": "x".repeat(300_000) })).await.status,
        promised.post(&format!("{flow}/what-if"), "", &json!({ "set": { "nothing.here": 1 } })).await.status,
        promised.post(&format!("{flow}/what-if"), "", &lacking).await.status,
        promised.post(&format!("{flow}/flip"), "", &json!({ "facts": [] })).await.status,
        promised.post(&format!("{flow}/flip"), "", &text).await.status,
        promised.post(&format!("{flow}/batch"), "", &json!({ "product_id": "PROD-001" })).await.status,
        promised.post("/admin/domains/{domain}/restart", "", &json!(null)).await.status,
        promised.get("/flows/{flow}/graph", "/flows/none/graph").await.status,
        promised.get("/flows/{flow}/graph", "/flows/orders/graph?format=png").await.status,
        promised.get("/health/{domain}", "/health/none").await.status,
        promised.get("/health/{domain}", "/health/%FF").await.status,
        promised.get("/readyz", "/readyz?verbose=perhaps").await.status,
    ];
    assert_eq!(answers, [404, 422, 422, 400, 413, 422, 422, 400, 422, 400, 404, 404, 400, 404, 404, 400]);
    let client = promised.app.client.clone();
    let wrong_type = TestApp::answer(client.post(promised.app.url(flow)).body("{}")).await;
    promised.hold(("post", flow), &wrong_type);
    let broken = promised.app.post(flow, "{").await;
    promised.hold(("post", flow), &broken);
    let closed = promised.app.post("/admin/reload", "").await;
    promised.hold(("post", "/admin/reload"), &closed);
    let picture = client.get(promised.app.url("/flows/orders/graph")).header("Accept", "image/png");
    let picture = TestApp::answer(picture).await;
    promised.hold(("get", "/flows/{flow}/graph"), &picture);
    assert_eq!([wrong_type.status, broken.status, closed.status, picture.status], [415, 400, 401, 406]);
    let long = "x".repeat(9_000);
    assert_eq!(promised.post(flow, &format!("?more={long}"), &json!({})).await.status, 414);
    assert_eq!(promised.get("/flows", &format!("/flows?more={long}")).await.status, 414);
}

#[actix_web::test]
async fn every_endpoint_of_the_service_answers_as_the_document_says() {
    let mut promised = Promised::start().await;
    for (path, asked, status) in [
        ("/flows", "/flows", 200),
        ("/flows/{flow}/graph", "/flows/orders/graph", 200),
        ("/flows/{flow}/graph", "/flows/orders/graph?format=svg", 200),
        ("/flows/{flow}/graph", "/flows/orders/graph?format=dot", 200),
        ("/flows/{flow}/graph", "/flows/orders/graph?format=mermaid", 200),
        ("/livez", "/livez", 200),
        ("/readyz", "/readyz", 200),
        ("/readyz", "/readyz?verbose", 200),
        ("/health", "/health", 503),
        ("/health/{domain}", "/health/stock_db", 200),
        ("/health/{domain}", "/health/rating_db", 503),
        ("/openapi.json", "/openapi.json", 200),
        ("/metrics", "/metrics", 200),
    ] {
        assert_eq!(promised.get(path, asked).await.status, status, "{asked}");
    }
    promised.post("/admin/reload", "", &json!(null)).await;
    let restarted = promised.app.client.post(promised.app.url("/admin/domains/stock_db/restart")).bearer_auth(TOKEN);
    let restarted = TestApp::answer(restarted).await;
    promised.hold(("post", "/admin/domains/{domain}/restart"), &restarted);
    let asked: BTreeSet<&str> = promised.seen.iter().map(|(operation, _)| operation.as_str()).collect();
    let documented = promised.document.0["paths"].as_object().expect("paths");
    let forgotten: Vec<String> = documented
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().expect("methods").keys().map(move |method| format!("{method} {path}"))
        })
        // Other tests ask the flows, and resolve approvals.
        .filter(|operation| !["/purchasing/", "/orders/", "/approvals"].iter().any(|path| operation.contains(path)))
        .filter(|operation| !asked.contains(operation.as_str()))
        .collect();
    assert!(forgotten.is_empty(), "{forgotten:?}");
}

#[actix_web::test]
async fn where_callers_need_a_token_the_document_says_so_and_shows_what_they_may_ask() {
    let samples = SampleDatabases::create().await;
    let directory = tempfile::tempdir().expect("a directory");
    let tokens = directory.path().join("tokens.yaml");
    let (secret, digest) = tributary::config::new_token();
    std::fs::write(
        &tokens,
        format!("tokens:\n- {{ name: erp, sha256: {digest}, flows: [purchasing], rights: [decide, explain] }}\n"),
    )
    .expect("written");
    let rules = repository().join("tests/graph/accepted/rules_alone.yaml");
    let setup = Setup { graphs: vec![repository().join("graph.yaml"), rules], ..Setup::default() }.on(&samples);
    let app = TestApp::start(setup.set("TRIBUTARY_TOKENS", tokens.to_str().expect("text")));
    let get = |path: &str| app.client.get(app.url(path)).bearer_auth(&secret);
    let document = Document(TestApp::answer(get("/openapi.json")).await.json());
    document.check();
    assert!(document.0["paths"]["/purchasing/flow"].is_object() && document.0["paths"]["/flows/fee"].is_null());
    assert_eq!(document.0["paths"]["/purchasing/flow"]["post"]["security"], json!([{ "caller": [] }]));
    let closed = app.post("/purchasing/flow", "{}").await;
    let other = app.client.post(app.url("/flows/fee")).bearer_auth(&secret).json(&json!({ "amount": 1 }));
    let other = TestApp::answer(other).await;
    let (listing, hidden) = (app.get("/flows").await, app.get("/openapi.json").await);
    for (asked, answer, status) in [
        (("post", "/purchasing/flow"), closed, 401),
        (("post", "/purchasing/flow"), other, 403),
        (("get", "/flows"), listing, 401),
        (("get", "/openapi.json"), hidden, 401),
    ] {
        let complaints = document.complaints(asked, answer.status, "application/problem+json", &answer.text);
        assert_eq!((answer.status, complaints.len()), (status, 0), "{asked:?} {complaints:?}");
    }
}

#[actix_web::test]
async fn types_are_told_where_the_databases_tell_them_and_nothing_where_they_do_not() {
    let promised = Promised::start().await;
    let number = json!({ "type": ["number", "null"] });
    let text = json!({ "type": ["string", "null"] });
    let success = "purchasing.outcome.success";
    assert_eq!(promised.field(success, "purchase_order.unit_price"), &number);
    assert_eq!(promised.field(success, "purchase_order.total_cost"), &number);
    assert_eq!(promised.field(success, "purchase_order.supplier_name"), &text);
    assert_eq!(promised.field(success, "purchase_order.product_id"), &json!({ "type": "string" }));
    assert_eq!(
        promised.field("orders.outcome.checked", "summary.quantity"),
        &json!({ "type": "integer", "format": "int64" })
    );
    let row = promised.field("orders.outcome.checked", "details");
    assert_eq!(row["items"]["properties"]["ordered_on"], json!({ "type": ["string", "null"], "format": "date" }));
    assert_eq!(row["items"]["properties"]["extra"], json!({}));
    let uuid = json!({ "type": ["string", "null"], "format": "uuid" });
    assert_eq!(row["items"]["properties"]["parcel"], uuid);
    assert_eq!(promised.field("orders.outcome.checked", "parcels")["items"], uuid);
    assert_eq!(promised.field("orders.outcome.checked", "customer")["properties"]["account"], uuid);
    for plain in ["account", "reference"] {
        assert_eq!(promised.field("orders.outcome.checked", plain), &uuid);
    }
    // The database that is down, and whose default stands in, tells nothing.
    assert_eq!(promised.field("orders.outcome.checked", "score"), &json!({}));
    let limits = promised.document.0.pointer("/components/schemas/orders.input").expect("inputs");
    assert_eq!(limits["required"], json!(["customer"]));
    assert_eq!(limits["properties"]["customer"]["maxLength"], 20);
    assert_eq!(limits["properties"]["channel"]["enum"], json!(["web", "shop", "phone"]));
    assert_eq!(limits["additionalProperties"], false);
}

#[actix_web::test]
async fn the_status_tells_the_schemas_of_outcomes_apart() {
    let promised = Promised::start().await;
    let schema = |name: &str| &promised.document.0["components"]["schemas"][name];
    let path = |status: &str| format!("#/components/schemas/purchasing.outcome.{status}");
    let mapping = json!({ "success": path("success"), "no_order": path("no_order") });
    let discriminator = json!({ "propertyName": "status", "mapping": mapping });
    assert_eq!(schema("purchasing.decision")["discriminator"], discriminator);
    // Two outcomes have this status.
    assert_eq!(schema("purchasing.outcome.no_order")["allOf"][0]["anyOf"].as_array().map(Vec::len), Some(2));
    let replaced = |status: &str| format!("#/components/schemas/purchasing.replaced.{status}");
    let mapping = json!({ "success": replaced("success"), "no_order": replaced("no_order") });
    assert_eq!(schema("purchasing.replaced")["discriminator"]["mapping"], mapping);
    let mapping = json!({ "success": path("success") });
    assert_eq!(schema("purchasing.pending")["discriminator"]["mapping"], mapping);
}

#[actix_web::test]
async fn what_the_inputs_refuse_the_document_refuses_and_the_reverse() {
    let mut promised = Promised::start().await;
    let cases = BTreeMap::from([
        (
            "customer",
            vec![json!("DE-1"), json!("de-1"), json!("DE-1 "), json!(null), json!(7), json!("DE-123456789012345678")],
        ),
        (
            "quantity",
            vec![json!(1), json!(1000), json!(0), json!(1001), json!(1.5), json!("1"), json!(2.0), json!(null)],
        ),
        ("budget", vec![json!(0), json!(0.01), json!(-1), json!(1e20), json!("1"), json!(null), json!(true)]),
        ("express", vec![json!(true), json!("true"), json!(null)]),
        (
            "due",
            vec![
                json!("2026-02-28"),
                json!("2026-02-30"),
                json!("2026-2-1"),
                json!("today"),
                json!(null),
                json!(20_260_101),
            ],
        ),
        (
            "seen",
            vec![json!("2026-01-31T08:00:00Z"), json!("2026-01-31T08:00:00+01:00"), json!("2026-01-31"), json!(0)],
        ),
        (
            "reference",
            vec![json!("67e55044-10b1-426f-9247-bb680e5fe0c8"), json!("67e5504410b1426f9247bb680e5fe0c8"), json!("x")],
        ),
        ("channel", vec![json!("shop"), json!("fax"), json!(null), json!(1)]),
        (
            "tags",
            vec![
                json!([]),
                json!(["a"]),
                json!(["a", 1]),
                json!(["a", "much too long"]),
                json!("a"),
                json!(null),
                json!(["\0"]),
            ],
        ),
        ("more", vec![json!(1)]),
    ]);
    for (name, values) in cases {
        for value in values {
            let mut body = json!({ "customer": "DE-17" });
            body[name] = value;
            let fits = promised.document.misfits("/components/schemas/orders.input", &body).is_empty();
            let answer = promised.post("/orders/check", "", &body).await;
            assert_eq!(answer.status == 200, fits, "{body}: {}", answer.text);
        }
    }
}

#[actix_web::test]
async fn the_document_changes_with_a_reload() {
    let samples = SampleDatabases::create().await;
    let directory = tempfile::tempdir().expect("a directory");
    let graph = copy_shipped(directory.path());
    let app = TestApp::start(
        Setup { graphs: vec![graph.clone()], ..Setup::default() }.on(&samples).set("ADMIN_TOKEN", TOKEN),
    );
    let text = std::fs::read_to_string(&graph).expect("the graph");
    std::fs::write(
        &graph,
        text.replace("/purchasing/flow", "/purchasing/order").replace("max_length: 50", "max_length: 9"),
    )
    .expect("written");
    let before = app.get("/openapi.json").await.json();
    assert!(before["paths"]["/purchasing/flow"].is_object());
    let reloaded = TestApp::answer(app.client.post(app.url("/admin/reload")).bearer_auth(TOKEN)).await;
    assert_eq!(reloaded.status, 200, "{}", reloaded.text);
    let after = app.get("/openapi.json").await.json();
    assert!(after["paths"]["/purchasing/flow"].is_null() && after["paths"]["/purchasing/order"].is_object());
    assert_eq!(after["components"]["schemas"]["purchasing.input"]["properties"]["product_id"]["maxLength"], 9);
}

#[actix_web::test]
async fn a_database_is_asked_for_its_types_until_it_has_told_them_and_after_a_reload_again() {
    let samples = SampleDatabases::create().await;
    let oms = samples.database("oms_db");
    oms.run("ALTER TABLE oms_history RENAME TO away").await;
    let app = TestApp::start(Setup::shipped().on(&samples).set("ADMIN_TOKEN", TOKEN));
    app.wait_for("/readyz", 200).await;
    let document = async || app.get("/openapi.json").await.json();
    let untold = document().await;
    oms.run("ALTER TABLE away RENAME TO oms_history").await;
    let told = document().await;
    assert_ne!(told, untold, "that the table was not there is not kept");
    assert!(told.to_string().contains("avg_daily_demand"), "its columns are told");
    oms.run("ALTER TABLE oms_history RENAME TO away").await;
    assert_eq!(document().await, told, "what was told is kept");
    let reloaded = TestApp::answer(app.client.post(app.url("/admin/reload")).bearer_auth(TOKEN)).await;
    assert_eq!(reloaded.status, 200, "{}", reloaded.text);
    assert_eq!(document().await, untold, "until the next release");
}

#[actix_web::test]
async fn without_a_token_there_are_no_admin_endpoints_and_head_is_as_get() {
    let samples = SampleDatabases::create().await;
    let app = TestApp::start(Setup::shipped().on(&samples));
    app.wait_for("/readyz", 200).await;
    let document = Document(app.get("/openapi.json").await.json());
    document.check();
    let paths = document.0["paths"].as_object().expect("paths");
    assert!(
        !paths.keys().any(|path| path.contains("admin") || path.ends_with("/what-if") || path.ends_with("/flip")),
        "{:?}",
        paths.keys()
    );
    for path in ["/flows", "/flows/purchasing/graph", "/health", "/openapi.json", "/livez"] {
        let get = app.get(path).await;
        let head = TestApp::answer(app.client.head(app.url(path))).await;
        assert_eq!((head.status, head.text.as_str()), (get.status, ""), "{path}");
        assert_eq!(head.headers["content-type"], get.headers["content-type"], "{path}");
        let posted = app.post(path, "{}").await;
        assert_eq!((posted.status, &posted.headers["allow"]), (405, &"GET, HEAD".parse().expect("a header")), "{path}");
    }
}
