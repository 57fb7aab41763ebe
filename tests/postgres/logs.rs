//! What is logged about connections, and what is not.

use std::process::{Command, Output};

use crate::fixture::{database, shared_server};
use crate::tls::server_of;

const GRAPH: &str = r#"
flow: credit
path: /credit
input:
  person: { type: text }
nodes:
  credit:
    type: DBNode
    database: credit_db
    query: "SELECT limit_of($1) AS credit_limit"
outcomes:
  - { status: granted, when: "credit.credit_limit > 0" }
"#;

const FUNCTION: &str = "CREATE FUNCTION limit_of(person text) RETURNS int LANGUAGE plpgsql STABLE AS $$
    BEGIN
        RAISE NOTICE 'scoring %: balance 1234.56', person;
        RAISE WARNING 'scoring %: overdrawn by 99.01', person;
        RETURN 500;
    END $$;";

/// The output of `tributary run` with a database at `url` and this log filter.
pub(crate) fn run(graph_text: &str, url: &str, filter: &str) -> Output {
    let directory = tempfile::tempdir().expect("a directory");
    let graph = directory.path().join("credit.yaml");
    std::fs::write(&graph, graph_text).expect("written");
    Command::new(env!("CARGO_BIN_EXE_tributary"))
        .args(["run", "--input", "person=ann", "--graph"])
        .arg(&graph)
        .current_dir(directory.path())
        .env("CREDIT_DB_URL", url)
        .env("TRIBUTARY_LOG", filter)
        .output()
        .expect("it runs")
}

fn logged(url: &str, filter: &str) -> String {
    let output = run(GRAPH, url, filter);
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{log}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("granted"), "{log}");
    log
}

#[actix::test]
async fn notices_of_the_server_are_logged_only_where_the_filter_names_their_target() {
    let database = database(shared_server(), "notices", FUNCTION).await;
    let url = shared_server().url(&database);
    for filter in ["info", "debug", "trace", "tributary=trace,tokio_postgres=info"] {
        let log = logged(&url, filter);
        assert!(!log.contains("balance") && !log.contains("overdrawn"), "{filter}: {log}");
    }
    let log = logged(&url, "info,postgres_notices=info");
    assert!(log.contains("scoring ann: balance 1234.56") && log.contains("overdrawn by 99.01"), "{log}");
}

#[actix::test]
async fn prefer_warns_once_that_it_does_not_use_the_tls_that_the_server_offers() {
    let server = server_of("p521").await;
    let database = database(&server, "fallback", FUNCTION).await;
    let url = |mode: &str| format!("{}?sslmode={mode}", server.url(&database));
    let log = logged(&url("prefer"), "info");
    let warnings: Vec<&str> = log.lines().filter(|line| line.contains("postgres.tls.fallback")).collect();
    let [warning] = warnings.as_slice() else { panic!("{log}") };
    for word in ["WARN", "credit_db", "plain text", "has a key of P-521"] {
        assert!(warning.contains(word), "`{warning}` does not say `{word}`");
    }
    assert!(!logged(&url("disable"), "info").contains("postgres.tls.fallback"));
}
