//! A client that a common generator makes of the document: it compiles, decides on real databases, and reads typed answers and problems.

use std::path::Path;
use std::process::Command;

use crate::support::{SampleDatabases, Setup, TestApp, repository};

/// Runs a program of `packages`, where `scripts/test_generated_client` installs them; returns what it printed.
fn run(packages: &Path, program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new("node");
    command.arg(packages.join("node_modules").join(program)).args(arguments).current_dir(packages);
    let output = command.output().expect("node runs");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    said
}

#[actix_web::test]
#[ignore = "scripts/test_generated_client installs what this needs, and runs it"]
async fn a_generated_client_compiles_and_decides() {
    let databases = SampleDatabases::create().await;
    let app = TestApp::start(Setup::shipped().on(&databases));
    app.wait_for("/readyz", 200).await;
    let packages = repository().join("tests/contracts/client");
    // The compiler finds packages in directories above the program.
    let made = tempfile::tempdir_in(&packages).expect("a directory");
    let path = |file: &str| made.path().join(file).to_str().expect("text").to_owned();
    std::fs::write(made.path().join("document.json"), app.get("/openapi.json").await.text).expect("written");
    for file in ["client.ts", "tsconfig.json", "package.json"] {
        std::fs::copy(packages.join(file), made.path().join(file)).expect("copied");
    }
    let types = path("document.d.ts");
    let generated = run(&packages, "openapi-typescript/bin/cli.js", &[&path("document.json"), "--output", &types]);
    assert!(!generated.contains("Discriminator"), "the generator warns: {generated}");
    run(&packages, "typescript/bin/tsc", &["--project", &path("tsconfig.json")]);
    let client = Command::new("node").args([path("client.js"), app.url("")]).status().expect("node runs");
    assert!(client.success(), "the client saw another answer than it should");
}
