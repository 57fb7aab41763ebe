//! schemathesis against the service: requests made of the document, right and wrong ones, and every check that it has.

use std::path::PathBuf;
use std::process::Command;

use tributary::config::new_token;

use crate::support::{Database, SampleDatabases, Setup, TestApp, repository};

const ADMIN: &str = "planted-admin-token";

/// The shipped flow and one with every kind of input, and who may ask them.
struct Served {
    app: TestApp,
    /// The token of a caller; a needless one where none is asked for.
    caller: String,
    _databases: (SampleDatabases, Database),
    _settings: tempfile::TempDir,
}

impl Served {
    /// `closed`: callers need a token.
    async fn new(closed: bool) -> Self {
        let (samples, orders) = (SampleDatabases::create().await, Database::with(include_str!("orders.sql")).await);
        let settings = tempfile::tempdir().expect("a directory");
        let (caller, digest) = new_token();
        let write = |file: &str, text: &str| std::fs::write(settings.path().join(file), text).expect("written");
        write(
            "tokens.yaml",
            &format!("tokens: [ {{ name: erp, sha256: {digest}, flows: all, rights: [decide, explain, what_if] }} ]\n"),
        );
        write("service.yaml", if closed { "http: { tokens: tokens.yaml }\n" } else { "{}\n" });
        let graphs = vec![repository().join("graph.yaml"), repository().join("tests/contracts/orders.yaml")];
        let setup = Setup { graphs, config: Some(settings.path().join("service.yaml")), ..Setup::default() };
        let setup = setup.on(&samples).writing().set("ADMIN_TOKEN", ADMIN);
        let app = TestApp::start(setup.domain("stock_db", &orders.url()).domain("rating_db", &orders.url()));
        for path in ["/readyz", "/health"] {
            app.wait_for(path, 200).await;
        }
        Self { app, caller, _databases: (samples, orders), _settings: settings }
    }

    async fn is_held_against_its_document(&self) {
        let tools = PathBuf::from(std::env::var_os("CONTRACT_TOOLS").expect("scripts/schemathesis sets it"));
        let directory = tempfile::tempdir().expect("a directory");
        let document = directory.path().join("openapi.json");
        let asked = self.app.client.get(self.app.url("/openapi.json")).bearer_auth(&self.caller);
        std::fs::write(&document, TestApp::answer(asked).await.text).expect("written");
        let valid =
            Command::new(tools.join("openapi-spec-validator")).arg(&document).status().expect("the validator runs");
        assert!(valid.success(), "the document is no OpenAPI 3.1");

        let found = Command::new(tools.join("schemathesis"))
            .arg("--config-file")
            .arg(repository().join("tests/contracts/schemathesis.toml"))
            .arg("run")
            .arg(&document)
            .args(["--url", &self.app.url("")])
            .envs([("ADMIN_TOKEN", ADMIN), ("CALLER_TOKEN", self.caller.as_str())])
            .current_dir(directory.path())
            .status()
            .expect("schemathesis runs");
        assert!(found.success(), "schemathesis found something");
        // Nor is anything broken that was served before; by a client of its own, whose connection is no old one.
        let asked = reqwest::Client::new().post(self.app.url("/purchasing/flow")).bearer_auth(&self.caller);
        let answer = TestApp::answer(asked.json(&serde_json::json!({ "product_id": "PROD-001" }))).await;
        assert_eq!(answer.json()["status"], "success");
    }
}

#[actix_web::test]
#[ignore = "scripts/schemathesis installs what this needs, and runs it"]
async fn schemathesis_finds_nothing_to_complain_of() {
    Served::new(false).await.is_held_against_its_document().await;
}

#[actix_web::test]
#[ignore = "scripts/schemathesis installs what this needs, and runs it"]
async fn schemathesis_finds_nothing_where_callers_need_a_token() {
    Served::new(true).await.is_held_against_its_document().await;
}
