//! The program as its users call it: what it prints where, and with which code it ends.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod support;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value as Json;
use support::{Database, SampleDatabases, eventually_async, repository};
use tributary::server::{Server, sql};

/// The program in `directory`, with nothing in its environment but what is given.
fn program(directory: &Path, environment: &[(String, String)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
    command.current_dir(directory).env_clear().env("RUST_LOG", "warn").stdin(Stdio::null());
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command
}

fn run(directory: &Path, environment: &[(String, String)], arguments: &[&str]) -> (i32, String, String) {
    read(program(directory, environment).args(arguments).output().expect("the program runs"))
}

fn read(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().expect("an exit code"), text(output.stdout), text(output.stderr))
}

fn json(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("not JSON: {error}: {text}"))
}

#[actix_web::test]
async fn run_prints_the_decision_or_the_problem() {
    let databases = SampleDatabases::create().await;
    let environment = databases.environment();
    let (code, stdout, stderr) = run(repository(), &environment, &["run", "--input", "product_id=PROD-002"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert_eq!(json(&stdout)["purchase_order"]["total_cost"].to_string(), "20675.00");
    let line =
        run(repository(), &environment, &["run", "--format", "json", "--json", r#"{"product_id":"PROD-001"}"#]).1;
    assert_eq!(line.lines().count(), 1);

    for (arguments, code) in [
        (&["run", "--input", "product_id=NOPE"][..], "not_found"),
        (&["run", "--input", "prod=PROD-001"][..], "invalid_input"),
        (&["run", "--json", "{"][..], "malformed_body"),
    ] {
        let (exit, stdout, stderr) = run(repository(), &environment, arguments);
        assert_eq!((exit, stdout.as_str()), (1, ""), "{arguments:?}");
        assert_eq!(json(&stderr)["code"], code);
    }
    let (exit, _, stderr) = run(repository(), &environment, &["run", "--input", "PROD-001"]);
    assert!(exit == 1 && stderr.contains("NAME=VALUE"), "{stderr}");
    let (exit, _, stderr) = run(repository(), &environment, &["run", "--flow", "selling"]);
    assert!(exit == 1 && stderr.contains("purchasing"), "{stderr}");
    assert_eq!(run(repository(), &environment, &["rum"]).0, 2);
}

#[actix_web::test]
async fn run_reads_its_inputs_from_standard_input() {
    let databases = SampleDatabases::create().await;
    let mut command = program(repository(), &databases.environment());
    let mut child = command
        .args(["run", "--json", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    child.stdin.take().expect("a pipe").write_all(br#"{"product_id":"PROD-003"}"#).expect("written");
    let (code, stdout, _) = read(child.wait_with_output().expect("it ends"));
    assert_eq!((code, json(&stdout)["purchase_order"]["grand_total"].to_string()), (0, "168289.65".to_owned()));
}

#[actix_web::test]
async fn everything_that_is_wrong_is_told_at_once_and_nothing_secret() {
    let directory = tempfile::tempdir().expect("a directory");
    let write = |file: &str, text: &str| std::fs::write(directory.path().join(file), text).expect("written");
    write(
        "graph.yaml",
        "flow: broken\nnodes:\n  a: { type: DBNode, database: a_db, qurey: 'SELECT 1 AS x' }\n  b: { type: RuleNode, rules: rules.grl }\noutcomes: []\n",
    );
    write("rules.grl", "rule \"R\" { when true then x = 1 }\n");
    write("service.yaml", "http:\n  bindd: 127.0.0.1:1\n");
    write(".env", "A_DB_PORT=hunter2\n");
    let (code, stdout, stderr) = run(directory.path(), &[], &["check", "--config", "service.yaml"]);
    assert_eq!((code, stderr.as_str()), (1, ""));
    for part in ["did you mean `query`", "graph.yaml:3:", "did you mean `bind`", "service.yaml:2:3"] {
        assert!(stdout.contains(part), "{part}: {stdout}");
    }
    assert!(!stdout.contains("hunter2"), "{stdout}");
    let found = json(&run(directory.path(), &[], &["check", "--config", "service.yaml", "--format", "json"]).1);
    assert_eq!(found["diagnostics"].as_array().expect("a list").len().to_string(), found["errors"].to_string());
    assert!(found["diagnostics"][0]["start"]["line"].is_number());

    write(
        "graph.yaml",
        "flow: f\nnodes:\n  b: { type: RuleNode, rules: rules.grl }\noutcomes:\n  - { status: ok, when: b.x == 1 }\n",
    );
    let (code, stdout, _) = run(directory.path(), &[], &["check"]);
    assert!(code == 1 && stdout.contains("missing-semicolon") && stdout.contains("rules.grl:1:"), "{stdout}");
    write("graph.yaml", "flow: f\n\tnodes: {}\n");
    let (code, stdout, _) = run(directory.path(), &[], &["check"]);
    assert!(code == 1 && stdout.contains("yaml-syntax") && stdout.contains("graph.yaml:"), "{stdout}");
    let (code, _, stderr) = run(directory.path(), &[], &["serve", "--graph", "missing.yaml"]);
    assert!(code == 1 && stderr.contains("missing.yaml"), "{stderr}");
}

#[actix_web::test]
async fn a_taken_address_is_a_clear_end() {
    let databases = SampleDatabases::create().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let (code, _, stderr) = run(repository(), &databases.environment(), &["serve", "--bind", &address]);
    assert!(code == 4 && stderr.contains(&address) && stderr.contains("--bind"), "{stderr}");
}

#[actix_web::test]
async fn check_db_agrees_with_databases_that_fit_and_says_what_has_drifted() {
    let databases = SampleDatabases::create().await;
    let environment = databases.environment();
    let check = || run(repository(), &environment, &["check", "--db"]);
    let (code, stdout, stderr) = check();
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (0, "ok: 1 flow, 6 nodes, 4 domains\n", ""));

    databases.database("uom_db").run("ALTER TABLE uom_conversions RENAME COLUMN from_uom TO unit").await;
    databases.database("oms_db").run("DROP TABLE oms_history").await;
    let supplier = databases.database("supplier_db");
    supplier.run("ALTER TABLE suppliers RENAME TO old; CREATE TABLE suppliers AS SELECT product_id, supplier_name, unit_price::text AS unit_price, moq, lead_time FROM old").await;
    let inventory = databases.database("inventory_db");
    inventory.run("ALTER TABLE inventory ADD COLUMN shelf point; ALTER TABLE inventory DROP COLUMN warehouse_location; ALTER TABLE inventory RENAME COLUMN shelf TO warehouse_location").await;
    let (code, stdout, _) = check();
    assert_eq!(code, 1, "{stdout}");
    for part in [
        "missing-column",
        "from_uom",
        "missing-table",
        "oms_history",
        "unmappable-column",
        "warehouse_location",
        "point",
    ] {
        assert!(stdout.contains(part), "{part}: {stdout}");
    }
}

#[actix_web::test]
async fn check_db_finds_type_changes_that_break_a_rule_and_missing_permissions() {
    let databases = SampleDatabases::create().await;
    let environment = databases.environment();
    let supplier = databases.database("supplier_db");
    supplier.run("ALTER TABLE suppliers RENAME TO old; CREATE TABLE suppliers AS SELECT product_id, supplier_name, unit_price::text AS unit_price, moq, lead_time FROM old").await;
    let (code, stdout, _) = run(repository(), &environment, &["check", "--db"]);
    assert_eq!(code, 1, "{stdout}");
    assert!(stdout.contains("not-a-number") && stdout.contains("purchase_order.grl:"), "{stdout}");

    let reader = format!("reader_{}", std::process::id());
    databases.database("uom_db").run(&format!("CREATE ROLE {reader} LOGIN")).await;
    let url = databases.url("uom_db").replacen("postgres://postgres@", &format!("postgres://{reader}@"), 1);
    let environment: Vec<(String, String)> = environment
        .into_iter()
        .map(|(name, value)| if name == "UOM_DB_URL" { (name, url.clone()) } else { (name, value) })
        .collect();
    let (code, stdout, _) = run(repository(), &environment, &["check", "--db"]);
    assert!(code == 1 && stdout.contains("missing-permission"), "{stdout}");
    databases.database("uom_db").run(&format!("DROP ROLE {reader}")).await;
}

#[actix_web::test]
async fn check_db_tells_a_database_that_is_away_from_one_that_disagrees() {
    let databases = SampleDatabases::create().await;
    databases.database("oms_db").run("DROP TABLE oms_history").await;
    let mut environment = databases.environment();
    environment.retain(|(name, _)| name != "UOM_DB_URL");
    environment.push(("UOM_DB_URL".to_owned(), "postgres://postgres:hunter2@127.0.0.1:9/uom_db".to_owned()));
    let (code, stdout, stderr) = run(repository(), &environment, &["check", "--db"]);
    assert_eq!(code, 3, "{stdout}");
    assert!(stdout.contains("database-unreachable") && stdout.contains("database uom_db"), "{stdout}");
    assert!(stdout.contains("missing-table"), "{stdout}");
    assert!(!stdout.contains("hunter2") && !stderr.contains("hunter2"));
}

#[actix_web::test]
async fn a_wrong_password_names_the_domain_and_never_the_password() {
    let server = Server::disposable(&[("password_encryption", "scram-sha-256")]).expect("these tests need PostgreSQL");
    sql::run(&server.url("postgres"), "a role", "CREATE ROLE clerk LOGIN PASSWORD 'right'").await.expect("a role");
    server
        .put_file("pg_hba.conf", "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        .expect("a file");
    server.reload().expect("a reload");
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("graph.yaml"), "flow: f\nnodes:\n  a: { type: DBNode, database: a_db, query: 'SELECT 1 AS x' }\noutcomes:\n  - { status: ok, when: a.x == 1 }\n").expect("written");
    let environment = |password: &str| {
        vec![("A_DB_URL".to_owned(), format!("postgres://clerk:{password}@127.0.0.1:{}/postgres", server.port()))]
    };
    eventually_async("the right password is taken", async || {
        run(directory.path(), &environment("right"), &["check", "--db"]).0 == 0
    })
    .await;
    let (code, stdout, stderr) = run(directory.path(), &environment("planted-wrong-one"), &["run"]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    let text = format!("{stdout}{stderr}");
    assert!(text.contains("a_db") && text.contains("password") && !text.contains("planted"), "{text}");
}

#[actix_web::test]
async fn check_db_watches_and_ends_when_a_database_drifts() {
    let database = Database::with("CREATE TABLE t (x int)").await;
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("graph.yaml"), "flow: f\nnodes:\n  a: { type: DBNode, database: a_db, query: 'SELECT x FROM t' }\noutcomes:\n  - { status: ok, when: a.x == 1 }\n").expect("written");
    let mut command = program(directory.path(), &[("A_DB_URL".to_owned(), database.url())]);
    let mut child = command.args(["check", "--db", "--watch", "1"]).stdout(Stdio::piped()).spawn().expect("it starts");
    let client = support::connect(&database.url()).await;
    eventually_async("it asks the database", async || {
        let seen = client.query_one("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tributary' AND datname = current_database()", &[]).await;
        seen.expect("an answer").get::<_, i64>(0) > 0
    })
    .await;
    assert!(child.try_wait().expect("a state").is_none(), "it watches while all is well");
    database.run("ALTER TABLE t RENAME COLUMN x TO y").await;
    let (code, stdout, _) = read(child.wait_with_output().expect("it ends"));
    assert!(code == 1 && stdout.contains("missing-column"), "{stdout}");
}

#[test]
fn completions_and_the_manual_name_every_command() {
    let here = repository();
    let commands =
        ["serve", "demo", "check", "doctor", "run", "replay", "test", "graph", "token", "schema", "completions", "man"];
    let (code, manual, _) = run(here, &[], &["man"]);
    assert_eq!(code, 0);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, script, _) = run(here, &[], &["completions", shell]);
        assert_eq!(code, 0);
        for command in commands {
            assert!(script.contains(command), "{shell}: {command}");
            assert!(manual.contains(&format!("TRIBUTARY {}", command.to_uppercase())), "{command}");
        }
    }
    assert_eq!(run(here, &[], &["completions", "cmd"]).0, 2);
    // bash itself completes a command and an option.
    let script = run(here, &[], &["completions", "bash"]).1;
    let asked = format!(
        "{script}\nCOMP_WORDS=(tributary gr); COMP_CWORD=1; _tributary tributary gr tributary; echo ${{COMPREPLY[@]}}\n\
         COMP_WORDS=(tributary graph --expl); COMP_CWORD=2; _tributary tributary --expl graph; echo ${{COMPREPLY[@]}}\n"
    );
    let output = Command::new("bash").args(["--norc", "-c", &asked]).output().expect("bash runs");
    let (code, stdout, stderr) = read(output);
    assert_eq!((code, stdout.as_str()), (0, "graph\n--explain-of\n"), "{stderr}");
}

#[actix_web::test]
async fn the_doctor_says_of_each_database_what_is_wrong_and_what_to_do() {
    let databases = SampleDatabases::create().await;
    let well = databases.environment();
    let (code, stdout, stderr) = run(repository(), &well, &["doctor"]);
    assert_eq!(code, 0, "{stdout}{stderr}");
    for seen in
        ["ok    connect", "ok    log in", "as postgres to", "PostgreSQL 1", "is a superuser", "4 domains, 0 failures"]
    {
        assert!(stdout.contains(seen), "{seen}: {stdout}");
    }
    // A role that may write, a large table without an index, a table that is missing.
    let oms = databases.database("oms_db");
    oms.run("CREATE ROLE writer_of_oms LOGIN; GRANT ALL ON oms_history TO writer_of_oms").await;
    let inventory = databases.database("inventory_db");
    inventory.run(
        "ALTER TABLE inventory DROP CONSTRAINT inventory_pkey CASCADE; INSERT INTO inventory (product_id, available_qty, \
         reserved_qty, warehouse_location) SELECT 'X-' || n, 1, 0, 'W' FROM generate_series(1, 20000) n; ANALYZE inventory",
    )
    .await;
    databases.database("uom_db").run("ALTER TABLE uom_conversions RENAME TO elsewhere").await;
    let (url, name) = (oms.url(), "OMS_DB_URL".to_owned());
    let as_writer = url.replacen("postgres@", "writer_of_oms@", 1);
    let ill: Vec<(String, String)> =
        well.iter().filter(|(key, _)| !key.starts_with("OMS_DB")).cloned().chain([(name, as_writer)]).collect();
    let (code, stdout, _) = run(repository(), &ill, &["doctor"]);
    assert_eq!(code, 1, "{stdout}");
    for seen in [
        "REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON \"public\".\"oms_history\" FROM writer_of_oms",
        "reads the whole of \"public\".\"inventory\"",
        "create an index",
        "SQLSTATE 42P01",
    ] {
        assert!(stdout.contains(seen), "{seen}: {stdout}");
    }
    let (_, text, _) = run(repository(), &ill, &["doctor", "--format", "json"]);
    assert_eq!(json(&text)["domains"]["uom_db"][0]["step"], "resolve");
    // A server that is not there, a host without an address, a password that is wrong.
    let nowhere: Vec<(String, String)> = [("OMS", "127.0.0.1:1"), ("INVENTORY", "no-such-host.invalid:5432")]
        .into_iter()
        .map(|(domain, at)| (format!("{domain}_DB_URL"), format!("postgres://postgres@{at}/x")))
        .chain(well.iter().filter(|(key, _)| key.starts_with("SUPPLIER") || key.starts_with("UOM")).cloned())
        .collect();
    let (code, stdout, _) = run(repository(), &nowhere, &["doctor"]);
    assert_eq!(code, 3, "{stdout}");
    assert!(stdout.contains("mend the port in OMS_DB_URL"), "{stdout}");
    for seen in ["Connection refused", "no-such-host.invalid has no address", "mend the host in INVENTORY_DB_URL"] {
        assert!(stdout.contains(seen), "{seen}: {stdout}");
    }
}

#[actix_web::test]
async fn the_doctor_names_what_there_is_to_mend_wherever_a_connection_is_written() {
    let directory = tempfile::tempdir().expect("a directory");
    let graph = "flow: all\noutcomes: [{ status: done, body: { n: a.n } }]\nnodes:\n\
                 \x20 a: { type: DBNode, query: SELECT 1 AS n }\n\
                 \x20 b: { type: DBNode, database: other_db, query: SELECT 1 AS n }\n\
                 \x20 c: { type: DBNode, connection: 'postgres://u@127.0.0.1:1/d', query: SELECT 1 AS n }\n";
    std::fs::write(directory.path().join("graph.yaml"), graph).expect("written");
    let variables = [("DB_HOST", "no-such-host.invalid"), ("OTHER_DB_HOST", "127.0.0.1"), ("OTHER_DB_PORT", "1")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let (code, stdout, stderr) = run(directory.path(), &variables, &["doctor"]);
    assert_eq!(code, 3, "{stdout}{stderr}");
    for seen in ["mend DB_HOST", "mend OTHER_DB_PORT", "mend the port in the graph's `connection:`"] {
        assert!(stdout.contains(seen), "{seen}: {stdout}");
    }
}
