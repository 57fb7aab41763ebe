//! The private PostgreSQL servers of `tributary demo` and of the tests, and the flows to learn from as the demo serves them.

#![expect(clippy::expect_used, reason = "a test fails by panicking, in its helping functions too")]

mod support;

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value as Json, json};
use support::server::{Port, Server, family, sql, template};
use support::{DemoProgram, connect, eventually};
use tokio_postgres::{Client, NoTls};
use tributary::demo::{self, Account, Binaries, DATABASES, Demo, SampleDatabase, ServerError};

async fn answers(client: &Client) -> bool {
    client.query_one("SELECT 1", &[]).await.is_ok()
}

#[tokio::test]
async fn a_server_starts_answers_stops_and_leaves_nothing() {
    let server = Server::disposable(&[("max_connections", "7")]).expect("a server");
    let (pid, home) = (server.postmaster().expect("running"), server.data_dir().parent().expect("a home").to_owned());
    assert!(server.port() < 32_768);
    let client = connect(&server.url("postgres")).await;
    let row = client.query_one("SHOW max_connections", &[]).await.expect("an answer");
    assert_eq!(row.get::<_, String>(0), "7");

    server.stop().expect("stopped");
    assert_eq!(server.postmaster(), None);
    assert!(!answers(&client).await);
    server.stop().expect("stopping twice is no error");
    drop(server);
    assert!(!home.exists() && !family::is_alive(pid));
}

#[tokio::test]
async fn a_killed_server_cuts_its_clients_and_comes_back_on_its_port_with_its_data() {
    let server = Server::disposable(&[]).expect("a server");
    let url = server.url("postgres");
    sql::run(&url, "a table", "CREATE TABLE kept AS SELECT 42 AS n").await.expect("created");
    for round in 0..3 {
        let client = connect(&url).await;
        let (port, before) = (server.port(), server.postmaster().expect("running"));
        let busy = tokio::spawn(async move { client.query("SELECT pg_sleep(30)", &[]).await });
        server.kill_family();
        let cut = tokio::time::timeout(Duration::from_secs(5), busy).await.expect("cut at once").expect("no panic");
        assert!(cut.is_err(), "round {round}");
        assert!(!family::is_alive(before));
        server.restart().expect("restarted");
        assert_eq!(server.port(), port);
        let row = connect(&url).await.query_one("SELECT n FROM kept", &[]).await.expect("the data is there");
        assert_eq!(row.get::<_, i32>(0), 42);
    }
}

#[tokio::test]
async fn a_frozen_server_is_silent_until_it_is_thawed() {
    let server = Server::disposable(&[]).expect("a server");
    let client = connect(&server.url("postgres")).await;
    server.freeze();
    let silent = tokio::time::timeout(Duration::from_millis(200), client.query_one("SELECT 1", &[])).await;
    assert!(silent.is_err(), "an existing connection answered");
    server.thaw();
    assert!(answers(&client).await);
    server.freeze();
    server.restart().expect("a frozen server can be restarted");
    assert!(answers(&connect(&server.url("postgres")).await).await);
}

#[tokio::test]
async fn files_put_beside_the_data_take_effect_on_reload() {
    let server = Server::disposable(&[]).expect("a server");
    let url = server.url("postgres");
    sql::run(&url, "a role", "CREATE ROLE guest LOGIN PASSWORD 'right'").await.expect("created");
    server
        .put_file("pg_hba.conf", "host all guest 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n")
        .expect("written");
    server.reload();
    let guest = |password: &str| url.replace("postgres@", &format!("guest:{password}@"));
    let start = Instant::now();
    while tokio_postgres::connect(&guest("wrong"), NoTls).await.is_ok() {
        assert!(start.elapsed() < Duration::from_secs(20), "the file was never read");
    }
    assert!(answers(&connect(&guest("right")).await).await);
}

#[tokio::test]
async fn databases_are_created_once_cloned_and_dropped_whatever_their_names() {
    let server = Server::disposable(&[]).expect("a server");
    let admin = server.url("postgres");
    let name = "odd \"name\" 100%";
    assert!(sql::create_database(&admin, name).await.expect("created"));
    assert!(!sql::create_database(&admin, name).await.expect("there already"));
    sql::run(&server.url(name), "a table", "CREATE TABLE t AS SELECT 1 AS n").await.expect("created");
    sql::clone_database(&admin, name, "copy").await.expect("cloned");
    let copy = connect(&server.url("copy")).await;
    assert!(copy.query_one("SELECT n FROM t", &[]).await.is_ok());
    sql::drop_database(&admin, "copy").await.expect("dropped under a connection");
    sql::drop_database(&admin, "copy").await.expect("dropping twice is no error");

    let error = sql::run(&admin, "sql/wrong.sql", "SELECT 1; SELEC 2").await.expect_err("a syntax error").to_string();
    assert!(error.contains("sql/wrong.sql") && error.contains("42601"), "{error}");
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why_from_its_log() {
    let error = Server::disposable(&[("shared_buffers", "lots")]).expect_err("a wrong setting").to_string();
    assert!(error.contains("shared_buffers"), "{error}");
}

#[tokio::test]
async fn data_that_another_server_uses_is_refused() {
    let server = Server::disposable(&[]).expect("a server");
    let (binaries, account) = (Binaries::find().expect("PostgreSQL"), Account::choose().expect("an account"));
    let error = demo::Server::start(&binaries, &account, server.options()).expect_err("a server runs there");
    assert!(matches!(error, ServerError::AlreadyRunning { pid, .. } if Some(pid) == server.postmaster()), "{error}");
}

#[test]
fn a_claimed_port_is_not_given_twice_and_one_that_is_listened_on_is_passed_over() {
    let is_free_again = || {
        let port = Port::any();
        let number = port.number();
        assert!(Port::exactly(number).is_none());
        drop(port);
        let Ok(listener) = std::net::TcpListener::bind((demo::HOST, number)) else { return false };
        assert!(Port::exactly(number).is_none());
        drop(listener);
        Port::exactly(number).is_some_and(|port| port.number() == number)
    };
    // Another test may take it in between.
    assert!((0..10).any(|_| is_free_again()), "no port was free again");
}

#[test]
fn the_template_is_made_once_by_programs_that_start_together() {
    let cache = tempfile::tempdir().expect("a directory");
    let (binaries, account) = (Binaries::find().expect("PostgreSQL"), Account::choose().expect("an account"));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let made = template::template(&binaries, &account, cache.path()).expect("a template");
                let version = fs::read_to_string(made.join("PG_VERSION")).expect("a data directory");
                assert_eq!(version.trim().parse().ok(), Some(binaries.version().major));
            });
        }
    });
    let names = fs::read_dir(cache.path()).expect("readable").flatten().count();
    assert_eq!(names, 2, "the template and its lock");
}

/// Not a test of its own: the process that the tests below kill.
#[tokio::test]
#[ignore = "started by other tests, in a process of its own"]
async fn victim() {
    let Some(state_dir) = env::var_os("VICTIM_STATE_DIR") else { return };
    let (server, demo) = if state_dir.is_empty() {
        (Some(Server::disposable(&[]).expect("a server")), None)
    } else {
        (None, Some(Demo::start(Path::new(&state_dir), DATABASES.to_vec()).await.expect("a demo")))
    };
    let (postmaster, data_dir) = match (&server, &demo) {
        (Some(server), _) => (server.postmaster().expect("running"), server.data_dir()),
        (_, Some(demo)) => (demo.postmaster(), &*demo.options().data_dir),
        (None, None) => return,
    };
    println!("\nserver {postmaster} {}", data_dir.display());
    std::future::pending::<()>().await;
}

/// Starts a process with a server, kills the process with SIGKILL, and returns the server's process and directory.
fn start_and_kill(state_dir: &str, freeze: bool) -> (u32, PathBuf) {
    let mut process = Command::new(env::current_exe().expect("this program"))
        .args(["--exact", "victim", "--ignored", "--nocapture"])
        .env("VICTIM_STATE_DIR", state_dir)
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program runs");
    let lines = BufReader::new(process.stdout.take().expect("its output")).lines().map(|line| line.expect("text"));
    let line = lines.into_iter().find(|line| line.starts_with("server ")).expect("it starts a server");
    let mut words = line.split(' ').skip(1);
    let pid: u32 = words.next().expect("a process").parse().expect("a number");
    let data_dir = PathBuf::from(words.next().expect("a directory"));
    assert!(family::is_alive(pid) && data_dir.is_dir());
    if freeze {
        family::send(pid, Signal::SIGSTOP);
    }
    process.kill().expect("killed");
    process.wait().expect("it ended");
    (pid, data_dir)
}

#[test]
fn a_disposable_server_dies_with_its_killed_parent_and_its_directory_goes() {
    for freeze in [false, true] {
        let (pid, data_dir) = start_and_kill("", freeze);
        eventually("the server ends", || !family::is_alive(pid));
        eventually("its directory goes", || !data_dir.parent().is_some_and(Path::exists));
    }
}

#[tokio::test]
async fn a_demo_fills_its_databases_and_starts_again_on_its_data() {
    let state = tempfile::Builder::new().permissions(public()).tempdir().expect("a directory");
    let demo = Demo::start(state.path(), DATABASES.to_vec()).await.expect("a demo");
    assert!(demo.is_fresh());
    for (database, table) in DATABASES.iter().zip(["oms_history", "inventory", "suppliers", "uom_conversions"]) {
        let client = connect(&demo.url(&database.name)).await;
        let row = client.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await.expect("a table");
        assert_eq!(row.get::<_, i64>(0), 3, "{table}");
    }
    let stranger = format!("postgres://postgres@127.0.0.1:{}/oms_db", demo.options().port);
    assert!(tokio_postgres::connect(&stranger, NoTls).await.is_err(), "nobody enters without the password");
    let (port, variables) = (demo.options().port, demo.variables());
    let of = |name: &str| variables.iter().find(|(known, _)| known == name).expect(name).1.as_str();
    let mut writer = tokio_postgres::Config::new();
    writer.host("127.0.0.1").port(port).dbname("oms_db").user(of("OMS_DB_WRITE_USER"));
    let (client, connection) =
        writer.password(of("OMS_DB_WRITE_PASSWORD")).connect(NoTls).await.expect("the role that writes");
    tokio::spawn(connection);
    client.batch_execute("DELETE FROM tributary_keys").await.expect("it may write the tables of effects");
    client.batch_execute("DELETE FROM oms_history").await.expect_err("nothing else");
    let durable = connect(&demo.url("oms_db")).await.query_one("SHOW fsync", &[]).await.expect("an answer");
    assert_eq!(durable.get::<_, String>(0), "on");
    sql::run(&demo.url("oms_db"), "a change", "UPDATE oms_history SET trend = 'mine' WHERE product_id = 'PROD-001'")
        .await
        .expect("changed");

    let error = Demo::start(state.path(), DATABASES.to_vec()).await.expect_err("one demo a directory");
    assert!(matches!(error, ServerError::StateInUse { .. }), "{error}");
    demo.stop().await.expect("stopped");

    let (pid, _) = start_and_kill(state.path().to_str().expect("text"), false);
    let demo = Demo::start(state.path(), DATABASES.to_vec()).await.expect("again, right after a kill");
    assert!(!demo.is_fresh() && !family::is_alive(pid));
    let row = connect(&demo.url("oms_db"))
        .await
        .query_one("SELECT trend FROM oms_history WHERE product_id = 'PROD-001'", &[])
        .await
        .expect("the row");
    assert_eq!(row.get::<_, String>(0), "mine", "sample data never overwrites the user's");
    let data_dir = demo.options().data_dir.clone();
    demo.stop().await.expect("stopped");

    let version = fs::read_to_string(data_dir.join("PG_VERSION")).expect("a version");
    fs::write(data_dir.join("PG_VERSION"), "9\n").expect("written");
    let error = Demo::start(state.path(), DATABASES.to_vec()).await.expect_err("version 9").to_string();
    assert!(error.contains("written by PostgreSQL 9") && error.contains("PG_BIN"), "{error}");
    fs::write(data_dir.join("PG_VERSION"), version).expect("written");

    fs::remove_file(data_dir.with_file_name("password")).expect("removed");
    let error = Demo::start(state.path(), DATABASES.to_vec()).await.expect_err("the password is lost").to_string();
    assert!(error.contains("start afresh"), "{error}");
}

#[test]
fn the_databases_of_a_demo_are_the_files_beside_its_graphs() {
    let place = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| {
        let file = place.path().join(name);
        fs::create_dir_all(file.parent().expect("a directory")).expect("made");
        fs::write(file, text).expect("written");
    };
    let beside = |graphs: &[&str]| {
        SampleDatabase::beside(&graphs.iter().map(|name| place.path().join(name)).collect::<Vec<_>>())
    };
    write("a/graph.yaml", "");
    write("plain/graph.yaml", "");
    for (file, text) in [("b_db", "b"), ("a_db", "a"), ("a_db_writer", "grants"), ("c_writer", "c")] {
        write(&format!("a/sql/{file}.sql"), text);
    }
    write("a/sql/notes.txt", "");
    let found = beside(&["a/graph.yaml", "a"]).expect("databases");
    let found: Vec<_> = found.iter().map(|each| (&*each.name, &*each.sql, &*each.grants)).collect();
    assert_eq!(found, [("a_db", "a", "grants"), ("b_db", "b", ""), ("c_writer", "c", "")]);

    let shipped = beside(&["plain/graph.yaml"]).expect("those of the shipped flow");
    assert_eq!(shipped, DATABASES);
    assert_eq!(beside(&["plain/graph.yaml", "a", "plain"]).expect("all of them").len(), 7);

    write("b/sql/b_db.sql", "another");
    let error = beside(&["a", "b"]).expect_err("two files for one database").to_string();
    assert!(error.contains("a/sql/b_db.sql") && error.contains("b/sql/b_db.sql"), "{error}");
    write("c/sql/no domain.sql", "");
    let error = beside(&["c"]).expect_err("no name of a domain").to_string();
    assert!(error.contains("no domain.sql") && error.contains("' '"), "{error}");
}

/// Asks the flow at `path`; gives the status of the answer, or the code of the problem, and the answer.
async fn ask(demo: &DemoProgram, path: &str, body: Json) -> (String, Json) {
    let answer = reqwest::Client::new().post(format!("http://{}{path}", demo.address)).json(&body).send().await;
    let answer: Json = answer.expect("an answer").json().await.expect("JSON");
    let word = answer.get("code").or(answer.get("status")).and_then(Json::as_str).unwrap_or_default().to_owned();
    (word, answer)
}

#[tokio::test]
async fn the_loan_flow_reaches_each_of_its_endings_and_the_demo_says_how_to_ask_for_them() {
    let state = tempfile::Builder::new().permissions(public()).tempdir().expect("a directory");
    let demo = DemoProgram::start(state.path(), &["--graph", "config/flows/loan"]);
    assert!(demo.said.contains("databases credits_db, customers_db, registry_db\n"), "{}", demo.said);
    let printed: Vec<&str> = demo.said.lines().filter_map(|line| line.strip_prefix("  ")).collect();
    assert_eq!(printed.len(), 6, "{}", demo.said);
    for command in printed {
        let config = format!("--config {} --explain", state.path().join("service.yaml").display());
        let command = command.replace("--explain", &config);
        let output = Command::new("sh").args(["-c", &command]).current_dir(support::repository()).output();
        let output = output.expect("a shell");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && !text.contains("problem"), "{command}\n{text}");
    }
    let loan = async |applicant: &str, amount: u32, months: u32| {
        let body = json!({ "applicant_id": applicant, "amount": amount, "months": months });
        ask(&demo, "/loan/decision", body).await
    };
    for (applicant, amount, months, ending) in [
        ("A-100", 9000, 36, "approved"),
        ("A-101", 20000, 60, "counter_offer"),
        ("A-102", 5000, 36, "declined"),
        ("A-103", 5000, 36, "declined"),
        ("A-104", 5000, 36, "undecided"),
        ("A-105", 5000, 36, "referred"),
        ("A-999", 5000, 36, "not_found"),
    ] {
        let (found, answer) = loan(applicant, amount, months).await;
        assert_eq!(found, ending, "{applicant}: {answer}");
        assert_eq!(answer.get("degraded"), None, "{answer}");
    }
    let (_, declined) = loan("A-103", 5000, 36).await;
    let reasons: Vec<_> = declined["reasons"].as_array().into_iter().flatten().map(|each| &each["code"]).collect();
    assert_eq!(reasons, ["overdue", "loans", "insolvency", "risk"]);

    // What the demo sets itself is not reported as changed.
    let token = demo.said.split("TOKEN=").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("a token");
    let reload = reqwest::Client::new().post(format!("http://{}/admin/reload", demo.address)).bearer_auth(token);
    let reloaded: Json = reload.send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(reloaded["needs_restart"], json!([]), "{reloaded}");

    // The bureau loses its database, and no other flow does.
    let env = fs::read_to_string(state.path().join("env")).expect("the variables");
    let url = env.lines().find_map(|line| line.strip_prefix("REGISTRY_DB_URL=")).expect("the bureau's database");
    let close = "ALTER DATABASE registry_db ALLOW_CONNECTIONS false;
                 SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'registry_db'";
    sql::run(&url.replace("/registry_db", "/postgres"), "the outage", close).await.expect("closed");
    let (ending, answer) = loan("A-100", 9000, 36).await;
    assert_eq!((&*ending, &answer["degraded"]), ("referred", &json!(["bureau"])), "{answer}");
    demo.stop();
}

#[tokio::test]
async fn the_allocation_flow_reaches_each_of_its_endings_and_reserves_an_order_once() {
    let state = tempfile::Builder::new().permissions(public()).tempdir().expect("a directory");
    let demo = DemoProgram::start(state.path(), &["--graph", "config/flows/allocation"]);
    for (order, ending) in [
        ("O-100", "allocated"),
        ("O-101", "partly"),
        ("O-102", "backorder"),
        ("O-103", "backorder"),
        ("O-104", "undecided"),
        ("O-999", "not_found"),
    ] {
        let (found, answer) = ask(&demo, "/stock/allocation", json!({ "order_id": order })).await;
        assert_eq!(found, ending, "{order}: {answer}");
        assert_eq!(answer.get("reservation"), None, "nothing is written without a key: {answer}");
    }
    let client = reqwest::Client::new();
    let url = format!("http://{}/stock/allocation", demo.address);
    let sends = (0..8).map(|number| {
        let request = client.post(&url).header("Idempotency-Key", format!("k-{number}"));
        request.json(&json!({ "order_id": "O-100" })).send()
    });
    let mut reserved = 0;
    for sent in sends.map(tokio::spawn).collect::<Vec<_>>() {
        let answer: Json = sent.await.expect("no panic").expect("an answer").json().await.expect("JSON");
        match answer["status"].as_str() {
            Some("allocated") => reserved += 1,
            status => assert!(status == Some("already_reserved") || answer["code"] == "conflict", "{answer}"),
        }
    }
    assert_eq!(reserved, 1);
    let env = fs::read_to_string(state.path().join("env")).expect("the variables");
    let url = env.lines().find_map(|line| line.strip_prefix("STOCK_DB_URL=")).expect("the database of the stock");
    let lamps = "SELECT sum(reserved) FROM stock WHERE product_id = 'LAMP'";
    let row = connect(url).await.query_one(lamps, &[]).await.expect("the stock");
    assert_eq!(row.get::<_, i64>(0), 150, "the 30 of before, and the 120 of the order once");
    demo.stop();
}

fn public() -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    fs::Permissions::from_mode(0o755)
}
