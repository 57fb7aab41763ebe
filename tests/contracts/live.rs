//! schemathesis against the service: requests made of the document, right and wrong ones, and every check that it has.

use std::path::PathBuf;
use std::process::Command;

use crate::support::{Database, SampleDatabases, Setup, TestApp, repository};

const TOKEN: &str = "planted-admin-token";

#[actix_web::test]
#[ignore = "scripts/schemathesis installs what this needs, and runs it"]
async fn schemathesis_finds_nothing_to_complain_of() {
    let tools = PathBuf::from(std::env::var_os("CONTRACT_TOOLS").expect("scripts/schemathesis sets it"));
    let samples = SampleDatabases::create().await;
    let orders = Database::with(include_str!("orders.sql")).await;
    let graphs = vec![repository().join("graph.yaml"), repository().join("tests/contracts/orders.yaml")];
    let setup = Setup { graphs, ..Setup::default() }.on(&samples).set("ADMIN_TOKEN", TOKEN);
    let app = TestApp::start(setup.domain("stock_db", &orders.url()).domain("rating_db", &orders.url()));
    for path in ["/readyz", "/health"] {
        app.wait_for(path, 200).await;
    }

    let directory = tempfile::tempdir().expect("a directory");
    let document = directory.path().join("openapi.json");
    std::fs::write(&document, app.get("/openapi.json").await.text).expect("written");
    let valid = Command::new(tools.join("openapi-spec-validator")).arg(&document).status().expect("the validator runs");
    assert!(valid.success(), "the document is no OpenAPI 3.1");

    let found = Command::new(tools.join("schemathesis"))
        .arg("--config-file")
        .arg(repository().join("tests/contracts/schemathesis.toml"))
        .args(["run", &app.url("/openapi.json")])
        .env("CONTRACT_TOKEN", TOKEN)
        .current_dir(directory.path())
        .status()
        .expect("schemathesis runs");
    assert!(found.success(), "schemathesis found something");
    // Nor is anything broken that was served before; by a client of its own, whose connection is no old one.
    let again =
        reqwest::Client::new().post(app.url("/purchasing/flow")).json(&serde_json::json!({ "product_id": "PROD-001" }));
    assert_eq!(TestApp::answer(again).await.json()["status"], "success");
}
