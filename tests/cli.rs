//! The program as its users call it: what it prints where, and with which code it ends.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod support;

use std::io::Write;
use std::process::{Command, Stdio};

use support::{
    Database, SampleDatabases, Server, connect, eventually_async, json, program, read, repository, run, sql,
    write_environment,
};

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
async fn run_with_a_key_writes_once_and_says_so() {
    let databases = SampleDatabases::create().await;
    let environment = [databases.environment(), write_environment()].concat();
    let place = |key: &str, product: &str, more: &[&str]| {
        let input = format!("product_id={product}");
        run(repository(), &environment, &[&["run", "--key", key, "--input", &input], more].concat())
    };
    let (code, written, told) = place("a", "PROD-001", &[]);
    assert!(
        code == 0 && told.starts_with("written: decision ") && told.ends_with(" was written to oms_db\n"),
        "{told}"
    );
    assert_eq!(json(&written)["purchase_order"]["po_number"], "PO-000001");
    let (code, replayed, told) = place("a", "PROD-001", &[]);
    assert!(code == 0 && told.starts_with("replayed: decision ") && told.contains("nothing was written now"), "{told}");
    assert_eq!(replayed, written);
    let (code, found, told) = place("b", "PROD-002", &["--format", "json", "--explain"]);
    assert!(code == 0 && told.contains("waits for approval"), "{told}");
    assert_eq!((found.lines().count(), &json(&found)["approval"]["state"]), (1, &serde_json::json!("pending")));
    assert!(json(&found)["explain"]["nodes"].is_array());
    let (code, found, told) = place("c", "PROD-001", &["--explain"]);
    assert!(code == 0 && told.starts_with("written") && found.contains("where the answer comes from"), "{found}");
    for (key, product, problem) in
        [("a", "PROD-003", "key_reused"), ("d", "NOPE", "not_found"), ("d", "NOPE", "not_found")]
    {
        let (code, found, told) = place(key, product, &[]);
        let told = &told[told.find('{').expect("a problem")..];
        assert_eq!((code, found.as_str(), json(told)["code"].as_str()), (1, "", Some(problem)));
    }
    let client = connect(&databases.url("oms_db")).await;
    let orders = client.query_one("SELECT count(*) FROM purchase_orders", &[]).await.expect("a count");
    assert_eq!(orders.get::<_, i64>(0), 2);
}

#[actix_web::test]
async fn run_refuses_a_key_where_nothing_is_written() {
    let databases = SampleDatabases::create().await;
    let input = "product_id=PROD-001";
    for option in
        [&["--set", "input.product_id=x"][..], &["--flip", "x"], &["--record-test", "x.yaml"], &["--batch", "x"]]
    {
        let arguments = [&["run", "--key", "a"][..], option].concat();
        let (code, _, told) = run(repository(), &databases.environment(), &arguments);
        assert!(code == 2 && told.contains("--key <KEY>") && told.contains(option[0]), "{told}");
    }
    let (code, _, told) = run(repository(), &databases.environment(), &["run", "--key", "\t", "--input", input]);
    assert!(code == 2 && told.contains("the key is empty"), "{told}");
    let (code, _, told) = run(repository(), &databases.environment(), &["run", "--key", "a", "--input", input]);
    assert_eq!((code, json(&told)["code"].as_str()), (1, Some("effects_off")));
    let directory = tempfile::tempdir().expect("a directory");
    let graph = "flow: f\nnodes: { n: { type: RuleNode, condition: \"1 > 0\" } }\noutcomes: [{ status: yes, when: n.result }]\n";
    std::fs::write(directory.path().join("graph.yaml"), graph).expect("written");
    let (code, _, told) = run(directory.path(), &[], &["run", "--key", "a"]);
    assert!(code == 1 && told.contains("the flow `f` has no effects") && told.contains("leave out --key"), "{told}");
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

#[test]
fn a_request_to_a_database_is_refused_with_the_remedy() {
    let directory = tempfile::tempdir().expect("a directory");
    let graph = "flow: f
nodes:
  a: { type: DBNode, database: bureau_db, get: /a, columns: { n: integer } }
outcomes:
  - { status: ok, when: a.n > 0 }
";
    std::fs::write(directory.path().join("graph.yaml"), graph).expect("written");
    let check = |url: &str| run(directory.path(), &[("BUREAU_DB_URL".to_owned(), url.to_owned())], &["check"]);
    let (code, stdout, _) = check("postgres://reader@localhost/bureau");
    assert_eq!(code, 1, "{stdout}");
    for part in ["error[request-needs-service]", "graph.yaml:3:", "`bureau_db` is a PostgreSQL", "`BUREAU_DB_URL`"] {
        assert!(stdout.contains(part), "{part}: {stdout}");
    }
    for url in ["https://bureau.example/v1", "http://localhost:1", "unix:/run/bureau.sock"] {
        assert_eq!(check(url).1, "ok: 1 flow, 1 node, 1 domain\n", "{url}");
    }
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
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (0, "ok: 1 flow, 7 nodes, 4 domains\n", ""));

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
async fn check_db_finds_defaults_of_other_types_than_their_columns() {
    let databases = SampleDatabases::create().await;
    let directory = tempfile::tempdir().expect("a directory");
    let check = |default: &str| {
        let graph = format!(
            "flow: f\nnodes: {{ q: {{ type: DBNode, database: uom_db, query: 'SELECT 1.5 AS factor, current_date AS day, NULL::text AS note',\n  \
             on_error: {{ default: {{ {default} }} }} }} }}\noutcomes: [{{ status: done, body: {{ day: q.day, factor: q.factor }} }}]\n"
        );
        let file = directory.path().join("f.yaml");
        std::fs::write(&file, graph).expect("written");
        let file = file.to_str().expect("text");
        let (code, stdout, _) = run(repository(), &databases.environment(), &["check", "--db", "--graph", file]);
        (code, stdout)
    };
    let (code, stdout) = check("factor: 1, day: null, note: none");
    assert_eq!(code, 0, "{stdout}");
    for (default, says) in [
        ("factor: '1', day: null, note: none", "`factor` is text, and the column is of type decimal"),
        ("factor: 1, day: 2026-02-03, note: none", "of type date; select it as text (`::text`)"),
        ("factor: 1, day: null, note: 5", "`note` is integer, and the column is of type text"),
    ] {
        let (code, stdout) = check(default);
        assert!(code == 1 && stdout.contains("bad-default") && stdout.contains(says), "{default}: {stdout}");
    }
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
    server.reload();
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
    let client = connect(&database.url()).await;
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
fn rules_are_printed_for_review_in_three_formats() {
    let here = repository();
    let (code, text, errors) = run(here, &[], &["rules"]);
    assert_eq!((code, errors.as_str()), (0, ""));
    for told in ["flow purchasing", "1. Required quantity", "salience 100, no-loop", "rules/purchasing.grl:6:6"] {
        assert!(text.contains(told), "{told} is missing:\n{text}");
    }
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("rules.md").display().to_string();
    let (code, text, _) = run(here, &[], &["rules", "--flow", "purchasing", "--format", "markdown", "-o", &file]);
    assert_eq!((code, text.as_str()), (0, ""));
    assert!(std::fs::read_to_string(&file).expect("written").starts_with("# Flow `purchasing`"));
    let document = json(&run(here, &[], &["rules", "--format", "json"]).1);
    assert_eq!((&document["flows"][0]["flow"], &document["errors"]), (&"purchasing".into(), &0.into()));
    let (code, _, errors) = run(here, &[], &["rules", "--flow", "selling"]);
    assert!(code == 1 && errors.contains("purchasing"), "{errors}");
    let broken = directory.path().join("broken.yaml").display().to_string();
    std::fs::write(&broken, "flow: f\n").expect("written");
    let (code, stdout, _) = run(here, &[], &["rules", "--graph", &broken, "--format", "json"]);
    assert!(code == 1 && json(&stdout)["errors"] != 0, "{stdout}");
}

#[test]
fn completions_and_the_manual_name_every_command() {
    let here = repository();
    let commands = [
        "serve",
        "demo",
        "check",
        "doctor",
        "run",
        "replay",
        "test",
        "eval",
        "rules",
        "graph",
        "token",
        "schema",
        "completions",
        "man",
    ];
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
async fn the_doctor_reports_the_fault_of_each_database_and_its_remedy() {
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
        "reads all rows of \"public\".\"inventory\"",
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
    assert!(stdout.contains("correct the port in OMS_DB_URL"), "{stdout}");
    for seen in ["Connection refused", "no-such-host.invalid has no address", "correct the host in INVENTORY_DB_URL"] {
        assert!(stdout.contains(seen), "{seen}: {stdout}");
    }
}

#[actix_web::test]
async fn the_doctor_names_the_setting_to_correct_wherever_a_connection_is_configured() {
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
    for seen in ["correct DB_HOST", "correct OTHER_DB_PORT", "correct the port in the graph's `connection:`"] {
        assert!(stdout.contains(seen), "{seen}: {stdout}");
    }
}

/// Runs `flow` without a database.
fn decide(flow: &str, arguments: &[&str]) -> (i32, String, String) {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("flow.yaml"), flow).expect("written");
    run(directory.path(), &[], &[&["run", "--graph", "flow.yaml"], arguments].concat())
}

#[test]
fn null_in_a_message_is_an_error_that_names_the_fact() {
    let flow = r#"
flow: c
input: { a: { type: integer }, supplier: { type: text, required: false } }
nodes: { n: { type: RuleNode, condition: "a > 0" } }
outcomes: [ { status: ok, when: n.result, message: "Order {input.a} from {MESSAGE}", body: { supplier: input.supplier } } ]
"#;
    let named = |expression: &str| flow.replace("{MESSAGE}", expression);
    let (code, stdout, stderr) = decide(&named("{input.supplier}"), &["--input", "a=3"]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    let problem = json(&stderr);
    assert_eq!(problem["code"], "rule_error", "{problem}");
    let detail = problem["detail"].as_str().expect("a detail");
    assert!(detail.contains("outcome `ok`") && detail.contains("`input.supplier` is null"), "{detail}");
    for (message, expected) in [
        ("{coalesce(input.supplier, 'nobody')}", "Order 3 from nobody"),
        ("{coalesce(input.supplier, 'null')}", "Order 3 from null"),
    ] {
        let (code, stdout, stderr) = decide(&named(message), &["--input", "a=3"]);
        assert_eq!(code, 0, "{stderr}");
        assert_eq!(json(&stdout)["message"], expected);
        assert!(json(&stdout)["supplier"].is_null(), "a body has null: {stdout}");
    }
}

#[test]
fn an_offset_that_no_zone_has_is_refused_wherever_a_timestamp_is_written() {
    let flow = r#"
flow: c
input: { t: { type: timestamp } }
nodes: { n: { type: RuleNode, condition: "true" } }
outcomes: [ { status: ok, when: n.result, body: { t: input.t, z: "timestamp('2026-01-05T10:00:00+01:00[Europe/Berlin]')" } } ]
"#;
    for offset in ["+25:00", "+14:30", "-12:15", "+05:00[Europe/Berlin]", "+05[Europe/Berlin]"] {
        let text = format!("2026-01-05T10:00:00{offset}");
        let as_json = serde_json::json!({ "t": text }).to_string();
        for given in [["--input", &format!("t={text}")], ["--json", &as_json]] {
            let (code, _, stderr) = decide(flow, &given);
            assert_eq!((code, json(&stderr)["code"].as_str()), (1, Some("invalid_input")), "{offset}: {stderr}");
            assert!(stderr.contains("offset"), "{stderr}");
        }
        let supposed = ["--input", "t=2026-01-05T10:00:00Z", "--set", &format!("input.t={text}")];
        let (code, _, stderr) = decide(flow, &supposed);
        assert!(code == 1 && stderr.contains("offset"), "{offset}: {stderr}");
        let literal = flow.replace("+01:00[Europe/Berlin]", offset);
        let (code, _, stderr) = decide(&literal, &["--input", "t=2026-01-05T10:00:00Z"]);
        assert!(code != 0 && !stderr.is_empty(), "{offset}: {stderr}");
        let default = flow.replace("type: timestamp", &format!("type: timestamp, default: \"{text}\""));
        let (code, _, stderr) = decide(&default, &[]);
        assert!(code != 0 && stderr.contains("offset"), "{offset}: {stderr}");
    }
    let (code, stdout, stderr) = decide(flow, &["--input", "t=2026-01-05T10:00:00+14:00"]);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(
        (json(&stdout)["t"].as_str(), json(&stdout)["z"].as_str()),
        (Some("2026-01-04T20:00:00Z"), Some("2026-01-05T09:00:00Z"))
    );
}

#[test]
fn zero_has_no_sign_and_quotients_lose_no_digits_in_an_answer() {
    let flow = r#"
flow: c
input: { a: { type: decimal }, b: { type: integer, default: 0 } }
nodes: { n: { type: RuleNode, condition: "a == 0 && b == 0" } }
outcomes:
  - status: ok
    when: n.result
    message: "{-a} {round(-0.4)}"
    body:
      { a: input.a, b: input.b, c: "-0.0", d: "-1 * input.a", e: "round(-0.4)", f: "abs(-0.0)", g: "ceil(-0.5)", h: "1 / 1267650600228229401496703205376",
        i: "100000000000000000000000000000000000000 / 3", j: "[-0.0, 1]", k: "min(-0.0, 0)", l: "-7 % 7.0" }
"#;
    for given in ["-0", "-0.0", "0e5", "-0e5", "-0E-1"] {
        let (code, stdout, stderr) = decide(flow, &["--json", &format!("{{\"a\":{given},\"b\":-0}}")]);
        assert_eq!(code, 0, "{given}: {stderr}");
        assert!(!stdout.contains("-0"), "{given}: {stdout}");
        let answer = json(&stdout);
        assert_eq!(
            answer["h"].to_string(),
            "0.0000000000000000000000000000007888609052210118054117285652827862296732064351090230047702789306640625"
        );
        assert_eq!(answer["i"].to_string(), "33333333333333333333333333333333333333.3333333333333333333333333333");
    }
}

#[test]
fn flow_tests_run_in_the_time_zone_of_the_service_unless_they_name_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).expect("written");
    write(
        "flow.yaml",
        "flow: c\nnodes: { n: { type: RuleNode, condition: \"true\" } }\noutcomes: [ { status: ok, when: n.result, body: { day: \"today()\", of: \"date(now())\" } } ]\n",
    );
    let test = |zone: &str, day: &str| {
        format!(
            "graph: flow.yaml\nclock: 2026-03-08T04:30:00Z\n{zone}tests:\n  - {{ name: the day, expect: {{ status: ok, body: {{ day: \"{day}\", of: \"{day}\" }} }} }}\n"
        )
    };
    let service = [("TRIBUTARY_TIME_ZONE".to_owned(), "America/New_York".to_owned())];
    for (environment, zone, day) in [
        (&[][..], "", "2026-03-08"),
        (&service, "", "2026-03-07"),
        (&service, "time_zone: Europe/Berlin\n", "2026-03-08"),
    ] {
        write("a.test.yaml", &test(zone, day));
        let (code, stdout, stderr) = run(directory.path(), environment, &["test", "a.test.yaml"]);
        assert_eq!(code, 0, "{zone}{day}: {stdout}{stderr}");
    }
    write("a.test.yaml", &test("", "2026-03-07").replace("04:30:00Z", "04:30:00+25:00"));
    let (code, _, stderr) = run(directory.path(), &[], &["test", "a.test.yaml"]);
    assert!(code != 0 && stderr.contains("offset that no zone has"), "{stderr}");
}
