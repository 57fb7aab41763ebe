//! The official client of the protocol for Python: it decides, asks why, supposes other facts and searches what would change the
//! decision, over HTTP with a token and over standard input and output; and sees that a database is down.

use std::path::Path;
use std::process::Command;

use tributary::config::new_token;

use crate::support::server::Port;
use crate::support::{SampleDatabases, Setup, TestApp, repository};

/// Runs the client with these variables.
fn client(environment: &[(String, String)], arguments: &[&str]) {
    let mut command = Command::new("python3");
    command.arg(repository().join("tests/mcp/client.py")).args(arguments).current_dir(repository());
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    assert!(command.status().expect("python3 runs").success(), "{arguments:?}");
}

/// What `service.yaml` and the tokens beside it are; returns the token.
fn configured(directory: &Path) -> String {
    let (token, digest) = new_token();
    let write = |file: &str, text: &str| std::fs::write(directory.join(file), text).expect("written");
    let rights = "rights: [decide, explain, what_if]";
    write("tokens.yaml", &format!("tokens: [ {{ name: agent, sha256: {digest}, flows: [purchasing], {rights} }} ]\n"));
    write("service.yaml", "http: { tokens: tokens.yaml }\nmcp: { enabled: true }\n");
    token
}

/// What `task` of the client sees over HTTP and over standard input and output; `broken`: a database is down.
async fn sees(task: &str, broken: bool) {
    let databases = SampleDatabases::create().await;
    let directory = tempfile::tempdir().expect("a directory");
    let token = configured(directory.path());
    let setup =
        Setup { config: Some(directory.path().join("service.yaml")), ..Setup::shipped() }.on(&databases).writing();
    let nobody = format!("postgres://tributary@127.0.0.1:{}/none", Port::any().number());
    let setup = if broken { setup.domain("inventory_db", &nobody) } else { setup };
    let environment: Vec<(String, String)> = setup.environment.clone().into_iter().collect();
    let app = TestApp::start(setup);
    app.wait_for("/livez", 200).await;
    client(&[], &[task, "http", &app.url("/mcp"), &token]);
    client(&environment, &[task, "stdio", env!("CARGO_BIN_EXE_tributary"), "mcp"]);
}

#[actix_web::test]
#[ignore = "scripts/test_mcp installs what this needs, and runs it"]
async fn the_official_client_decides_asks_why_supposes_and_searches() {
    sees("decide", false).await;
}

#[actix_web::test]
#[ignore = "scripts/test_mcp installs what this needs, and runs it"]
async fn the_official_client_sees_that_a_database_is_down() {
    sees("outage", true).await;
}
