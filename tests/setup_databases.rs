//! `scripts/setup_databases.sh` on real servers: the same variables as `tributary serve`, again and again, without ever
//! telling a password.

#![expect(clippy::expect_used, reason = "a test fails by panicking, in its helping functions too")]

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use support::{DOMAINS, Database, Server, connect, sql};
use tributary::demo::Binaries;

#[derive(Debug)]
struct Run {
    success: bool,
    stdout: String,
    stderr: String,
}

/// Runs the script in a directory of its own with a `.env` file, and with these variables alone.
fn run(dotenv: &str, variables: &[(&str, &str)], arguments: &[&str]) -> Run {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join(".env"), dotenv).expect("written");
    let programs = Binaries::find().expect("PostgreSQL is installed");
    let path = format!("{}:/usr/bin:/bin:/usr/local/bin", programs.dir().display());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/setup_databases.sh");
    let output: Output = Command::new(script)
        .args(arguments)
        .current_dir(directory.path())
        .env_clear()
        .env("PATH", path)
        .env("HOME", directory.path())
        .envs(variables.iter().copied())
        .output()
        .expect("the script runs");
    Run {
        success: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

async fn rows(url: &str, table: &str) -> i64 {
    let client = connect(url).await;
    client.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await.expect("the table is there").get(0)
}

/// A server of the test's own, which lets in only who knows the password.
async fn guarded_server(password: &str) -> Server {
    let server = Server::disposable(&[]).expect("a server");
    let role = format!("CREATE ROLE owner LOGIN CREATEDB PASSWORD '{}'", password.replace('\'', "''"));
    sql::run(&server.url("postgres"), "the role", &role).await.expect("created");
    let admission = "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
    server.put_file("pg_hba.conf", admission).expect("written");
    server.restart().expect("restarted");
    server
}

#[tokio::test]
async fn one_server_for_all_gets_four_databases_and_keeps_them_the_second_time() {
    let server = guarded_server("it's $ecret: ${x} \\ 100%").await;
    let dotenv = format!(
        "# a comment\r\nexport DB_HOST=127.0.0.1 # here\nDB_PORT={}\nDB_USER=\"owner\"\n\
         DB_PASSWORD=\"it's \\$ecret: \\${{x}} \\\\ 100%\"\n",
        server.port()
    );
    let first = run(&dotenv, &[], &[]);
    assert!(first.success, "{}", first.stderr);
    assert!(first.stdout.contains("oms_db:       created the database oms_db"), "{}", first.stdout);
    for (domain, table) in DOMAINS.iter().zip(["oms_history", "inventory", "suppliers", "uom_conversions"]) {
        assert_eq!(rows(&server.url(domain), table).await, 3);
    }
    let mine = "UPDATE oms_history SET trend = 'mine'; DELETE FROM oms_history WHERE product_id = 'PROD-003'";
    sql::run(&server.url("oms_db"), "my own", mine).await.expect("changed");

    let second = run(&dotenv, &[], &[]);
    assert!(second.success, "{}", second.stderr);
    assert!(!second.stdout.contains("created"), "{}", second.stdout);
    let client = connect(&server.url("oms_db")).await;
    let kept = client.query_one("SELECT count(*) FROM oms_history WHERE trend = 'mine'", &[]).await.expect("rows");
    assert_eq!(kept.get::<_, i64>(0), 2);
}

#[tokio::test]
async fn each_domain_goes_where_its_own_variables_say() {
    let (server, database) = (guarded_server("p@ss/w:rd").await, Database::empty().await);
    let port = server.port();
    let secret = tempfile::NamedTempFile::new().expect("a file");
    fs::write(secret.path(), "p@ss/w:rd\n").expect("written");
    let variables = [
        ("OMS_DB_URL", format!("postgres://owner:${{SECRET}}@127.0.0.1:{port}/oms_production?connect_timeout=5")),
        ("SECRET", "p@ss/w:rd".to_owned()),
        ("INVENTORY_DB_URL", format!("postgresql://owner:p%40ss%2Fw%3Ard@127.0.0.1:1,127.0.0.1:{port}/stock")),
        ("SUPPLIER_DB_HOST", "127.0.0.1".to_owned()),
        ("SUPPLIER_DB_PORT", port.to_string()),
        ("SUPPLIER_DB_USER", "owner".to_owned()),
        ("SUPPLIER_DB_PASSWORD_FILE", secret.path().to_str().expect("text").to_owned()),
        ("UOM_DB_URL", database.url()),
    ];
    let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let done = run("OMS_DB_URL=postgres://nobody@127.0.0.1:1/overruled\n", &variables, &[]);
    assert!(done.success, "{}", done.stderr);
    for (url, table) in [
        (server.url("oms_production"), "oms_history"),
        (server.url("stock"), "inventory"),
        (server.url("supplier_db"), "suppliers"),
        (database.url(), "uom_conversions"),
    ] {
        assert_eq!(rows(&url, table).await, 3, "{url}");
    }
}

#[tokio::test]
async fn a_domain_that_fails_is_named_without_its_password_and_the_others_are_set_up() {
    let database = Database::empty().await;
    let server = guarded_server("right").await;
    let url = format!("postgres://owner:hunter2@127.0.0.1:{}/oms_db", server.port());
    let variables = [
        ("OMS_DB_URL", url.as_str()),
        ("INVENTORY_DB_PASSWORD", "hunter2 ${UNSET}"),
        ("SUPPLIER_DB_URL", "postgres://owner:hunter2%zz@127.0.0.1/x"),
        ("UOM_DB_URL", &database.url()),
    ];
    let done = run("", &variables, &[]);
    assert!(!done.success);
    assert_eq!(rows(&database.url(), "uom_conversions").await, 3);
    assert!(!format!("{}{}", done.stdout, done.stderr).contains("hunter2"), "{}", done.stderr);
    for expected in [
        "oms_db: cannot connect: ",
        "password authentication failed for user \"owner\"",
        "inventory_db: ${UNSET} is not set",
        "supplier_db: in a URL '%' is followed by two hexadecimal digits",
    ] {
        assert!(done.stderr.contains(expected), "no {expected:?} in\n{}", done.stderr);
    }
}

#[tokio::test]
async fn the_role_that_writes_is_created_once_and_may_do_no_more_than_it_needs() {
    let server = guarded_server("right").await;
    sql::run(&server.url("postgres"), "the owner", "ALTER ROLE owner CREATEROLE").await.expect("it may create roles");
    let variables = [
        ("OMS_DB_URL", format!("postgres://owner:right@127.0.0.1:{}/orders", server.port())),
        ("OMS_DB_WRITE_USER", "o'brien \"w\"".to_owned()),
        ("OMS_DB_WRITE_PASSWORD", "hunter2 '\\\" $x".to_owned()),
    ];
    let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let first = run("", &variables, &["oms_db"]);
    assert!(first.success, "{}", first.stderr);
    assert!(first.stdout.contains("created the role o'brien \"w\""), "{}", first.stdout);
    let second = run("", &variables, &["oms_db"]);
    assert!(second.success && !second.stdout.contains("created"), "{}{}", second.stdout, second.stderr);
    assert!(!format!("{first:?}{second:?}").contains("hunter2"));

    let mut writer = tokio_postgres::Config::new();
    writer.host("127.0.0.1").port(server.port()).dbname("orders").user(variables[1].1).password(variables[2].1);
    let (client, connection) = writer.connect(tokio_postgres::NoTls).await.expect("its password is right");
    tokio::spawn(connection);
    let order = "INSERT INTO purchase_orders (product_id, supplier_name, order_qty, order_unit, unit_price, total_cost, \
                 discount_amount, final_amount, tax_amount, grand_total, approval_status) \
                 VALUES ('PROD-001', 'S', 1, 'box', 1, 1, 0, 1, 0, 1, 'pending') RETURNING po_number";
    for number in ["PO-000001", "PO-000002"] {
        let placed = client.query_one(order, &[]).await.expect("an order");
        assert_eq!(placed.get::<_, String>(0), number);
    }
    client.batch_execute("DELETE FROM tributary_keys; DELETE FROM tributary_outbox").await.expect("its tables");
    for beyond in ["DELETE FROM purchase_orders", "UPDATE oms_history SET trend = 'x'", "CREATE TABLE mine (n int)"] {
        let refused = client.batch_execute(beyond).await.expect_err(beyond);
        assert_eq!(refused.code().map(tokio_postgres::error::SqlState::code), Some("42501"), "{beyond}");
    }
}

#[tokio::test]
async fn an_owner_that_may_create_no_role_is_told_who_can() {
    let server = guarded_server("right").await;
    let url = format!("postgres://owner:right@127.0.0.1:{}/orders", server.port());
    let (role, password) = (("OMS_DB_WRITE_USER", "writer"), ("OMS_DB_WRITE_PASSWORD", "hunter2"));
    let refused = run("", &[("OMS_DB_URL", &url), role, password], &["oms_db"]);
    assert!(!refused.success && !refused.stderr.contains("hunter2"), "{}", refused.stderr);
    for expected in ["oms_db: cannot create the role of OMS_DB_WRITE_USER", "permission denied", "an administrator"] {
        assert!(refused.stderr.contains(expected), "no {expected:?} in\n{}", refused.stderr);
    }
}

#[test]
fn the_shipped_databases_have_the_tables_of_effects_as_the_program_prints_them() {
    for file in ["sql/oms_db.sql", "config/flows/allocation/sql/stock_db.sql"] {
        let shipped = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("readable");
        assert!(shipped.ends_with(&format!("\n\n{}", tributary::postgres::EFFECT_TABLES)), "{file}");
    }
}

#[test]
fn what_cannot_be_understood_is_refused_before_anything_is_done() {
    for (dotenv, arguments, expected) in [
        ("", vec!["orders_db"], "there is no domain 'orders_db'"),
        ("", vec!["--env-file", "absent"], "--env-file needs a file"),
        ("A=1\nhunter2 and more\n", vec![], ".env:2: this line does not set a variable"),
        ("A=hunter2 and more\n", vec![], ".env:1: A: a value with spaces or quotes stands in quotes"),
        ("A=1\nB='hunter2\nC=1\n", vec![], ".env:2: B: a value with spaces or quotes stands in quotes"),
        ("A=1\nA=hunter2\n", vec![], ".env:2: A is set twice"),
        ("OMS_DB_HOST=${A}\nA=${B}\nB=${A}\n", vec!["oms_db"], "in a circle"),
        ("OMS_DB_HOST=${A:-b}\n", vec!["oms_db"], "needs the name of a variable"),
        ("OMS_DB_URL=mysql://hunter2@x/y\n", vec!["oms_db"], "starts with postgres://"),
        ("OMS_DB_URL=postgres://x/y?hunter2=1\n", vec!["oms_db"], "unknown parameter"),
        ("OMS_DB_HOST=x\nOMS_DB_PASSWORD_FILE=/absent\n", vec!["oms_db"], "OMS_DB_PASSWORD_FILE cannot be read"),
    ] {
        let refused = run(dotenv, &[], &arguments);
        assert!(!refused.success && refused.stdout.is_empty(), "{dotenv}");
        assert!(refused.stderr.contains(expected), "{dotenv}: {}", refused.stderr);
        assert!(!refused.stderr.contains("hunter2"), "{}", refused.stderr);
    }
    let help = run("", &[], &["--help"]);
    assert!(help.success && help.stdout.contains("OMS_DB_USER=owner"), "{}", help.stdout);
}
