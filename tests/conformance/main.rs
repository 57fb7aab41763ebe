//! The contract by which a service answers for a domain: `tributary domain` conforms to it, and so does a service in another
//! language, over which the flow decides as over the database.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

#[path = "../support/mod.rs"]
mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value as Json, json};
use support::{Port, Process, SampleDatabases, Setup, TestApp, eventually_async, repository};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpStream, UnixListener};

const PRODUCTS: [&str; 4] = ["PROD-001", "PROD-002", "PROD-003", "PROD-404"];

/// A service in Python, until it is dropped.
struct Python {
    _process: Process,
    port: Port,
}

impl Python {
    fn start() -> Self {
        let port = Port::any();
        let script = repository().join("tests/conformance/service.py");
        let mut command = Command::new("python3");
        command.arg(script).arg(port.number().to_string()).stdin(Stdio::null());
        Self { _process: Process(command.spawn().expect("python3")), port }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.number())
    }
}

/// `tributary domain` for one domain of the sample databases.
async fn domain(databases: &SampleDatabases, domain: &str) -> TestApp {
    let app = TestApp::start(Setup::shipped().on(databases).answering_for(domain));
    app.wait_for("/readyz", 200).await;
    app
}

/// Fails unless the service at `base` keeps the contract for `node`, which takes one text.
async fn conforms(client: &reqwest::Client, base: &str, node: &str) {
    let document: Json = serde_json::from_str(&contract()).expect("JSON");
    let description: Json = client.get(base).send().await.expect("an answer").json().await.expect("JSON");
    fits(&document, "Description", &description);
    let described = &description["nodes"][node];
    assert_eq!(described["params"], json!(["text"]), "{description}");
    let columns: Vec<&str> =
        described["columns"].as_array().expect("columns").iter().map(|c| c["name"].as_str().expect("a name")).collect();

    let post = async |path: &str, body: String| {
        let request = client.post(format!("{base}/{path}")).header("Content-Type", "application/json").body(body);
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.json::<Json>().await.expect("JSON"))
    };
    let ask =
        async |asks: Json| post(node, json!({ "asks": asks, "timeout_ms": 5_000, "max_rows": 1 }).to_string()).await;
    let (status, answers) =
        ask(json!([["PROD-002"], ["PROD-404"], ["PROD-001"], ["PROD-002"], [], ["a", "b"], [7]])).await;
    assert_eq!(status, 200, "{answers}");
    fits(&document, "Answers", &answers);
    assert_eq!((&answers["version"], &answers["node"]), (&description["version"], &json!(node)));
    let found = answers["answers"].as_array().expect("answers");
    let ids: Vec<&Json> = found.iter().map(|answer| &answer["rows"][0]["product_id"]).collect();
    let id = |id: &str| json!(id);
    assert_eq!(
        ids,
        [&id("PROD-002"), &Json::Null, &id("PROD-001"), &id("PROD-002"), &Json::Null, &Json::Null, &Json::Null]
    );
    assert_eq!(found[1], json!({ "rows": [] }));
    assert!(found[4..].iter().all(|answer| answer["error"]["code"] == "bad_parameter"), "{answers}");
    let row = found[0]["rows"][0].as_object().expect("a row");
    assert_eq!(row.keys().map(String::as_str).collect::<Vec<_>>(), columns);

    assert_eq!(post("no_such_node", json!({ "asks": [[]], "timeout_ms": 1, "max_rows": 1 }).to_string()).await.0, 404);
    for body in ["", "{", "[]", "{\"asks\": 7}"] {
        assert_eq!(post(node, body.to_owned()).await.0, 400, "{body}");
    }
}

/// The OpenAPI document of the contract.
fn contract() -> String {
    let (code, document, _) = support::run(repository(), &[], &["schema", "contract"]);
    assert_eq!(code, 0);
    document
}

/// Fails unless `value` has the schema of this name.
fn fits(document: &Json, name: &str, value: &Json) {
    let mut schema = document.clone();
    schema["$ref"] = json!(format!("#/components/schemas/{name}"));
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let errors: Vec<String> = validator.iter_errors(value).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{name}: {errors:?}: {value}");
}

/// A sidecar: a Unix socket in `directory` that leads to `address`. Gives its URL.
fn sidecar(directory: &Path, address: SocketAddr) -> String {
    let path = directory.join("service.sock");
    let listener = UnixListener::bind(&path).expect("a socket");
    actix_web::rt::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let mut far = TcpStream::connect(address).await.expect("the service listens");
            actix_web::rt::spawn(async move { copy_bidirectional(&mut near, &mut far).await });
        }
    });
    format!("unix:{}", path.display())
}

async fn decide(app: &TestApp, product: &str) -> (u16, Json) {
    let answer = app.post("/purchasing/flow", json!({ "product_id": product }).to_string()).await;
    let mut body: Json = serde_json::from_str(&answer.text).expect("JSON");
    body.as_object_mut().expect("an object").remove("request_id");
    (answer.status, body)
}

#[actix_web::test]
async fn tributary_domain_conforms() {
    let databases = SampleDatabases::create().await;
    let app = domain(&databases, "oms_db").await;
    conforms(&app.client, app.url("").trim_end_matches('/'), "oms_history").await;
}

#[actix_web::test]
async fn a_service_in_another_language_conforms_and_gives_the_same_decisions() {
    let databases = SampleDatabases::create().await;
    let python = Python::start();
    let direct = TestApp::start(Setup::shipped().on(&databases));
    let served = TestApp::start(Setup::shipped().on(&databases).domain("oms_db", &python.url()));
    for app in [&direct, &served] {
        app.wait_for("/readyz", 200).await;
        eventually_async("the service is ready", async || app.get("/readyz").await.json()["status"] == "pass").await;
    }
    conforms(&served.client, &python.url(), "oms_history").await;
    for product in PRODUCTS {
        assert_eq!(decide(&served, product).await, decide(&direct, product).await, "{product}");
    }
}

#[actix_web::test]
async fn all_domains_served_by_tributary_give_the_same_decisions_and_keep_every_type() {
    let databases = SampleDatabases::create().await;
    let direct = TestApp::start(Setup::shipped().on(&databases));
    let (mut setup, mut services) = (Setup::shipped(), Vec::new());
    let directory = tempfile::tempdir().expect("a directory");
    for name in support::DOMAINS {
        let app = domain(&databases, name).await;
        let is_beside = name == "uom_db";
        let url = if is_beside { sidecar(directory.path(), app.address) } else { app.url("/") };
        setup = setup.domain(name, &url);
        services.push(app);
    }
    let served = TestApp::start(setup);
    for app in [&direct, &served] {
        eventually_async("the service is ready", async || app.get("/readyz").await.json()["status"] == "pass").await;
    }
    for product in PRODUCTS {
        assert_eq!(decide(&served, product).await, decide(&direct, product).await, "{product}");
    }
}
