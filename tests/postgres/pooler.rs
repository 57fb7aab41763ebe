//! Behind PgBouncer, in transaction mode, which gives each transaction any free session, and in session mode.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use futures_util::future::join_all;
use nix::sys::signal::Signal;
use nix::unistd::{Uid, User};
use tributary::actors::domain::State;
use tributary::config::{DomainConfig, Password, Statements, WriteRole};
use tributary::flow::{QueryError, QueryErrorKind};
use tributary::types::{Deadline, Value};

use crate::fixture::{Domain, LONG, ask, config, eventually, query, run, sessions, shared_server};
use crate::support::{DOMAINS, Port, Process, SampleDatabases, Server, Setup, TestApp, repository};

/// The sessions of the pooler for each database.
const SESSIONS: u16 = 3;
/// The `statement_timeout` of these tests, instead of the documented one.
const SHORT_TIMEOUT: &str = "'400ms'";

/// A PgBouncer in front of a server.
pub(crate) struct Pooler {
    child: Process,
    port: Port,
    directory: tempfile::TempDir,
}

fn program() -> String {
    let home = std::env::var("HOME").unwrap_or_default();
    let unpacked = format!("{home}/.cache/tributary/tools/pgbouncer/pgbouncer");
    let candidates = [std::env::var("PGBOUNCER").unwrap_or_default(), "/usr/sbin/pgbouncer".to_owned(), unpacked];
    let found = candidates.into_iter().find(|path| !path.is_empty() && Path::new(path).exists());
    found.expect("this test needs PgBouncer: run scripts/install_pgbouncer first")
}

fn file_text(server: &Server, port: &Port, users: &Path, settings: &str) -> String {
    format!(
        "[databases]\n* = host={} port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {}\n\
         auth_type = trust\nauth_file = {}\nunix_socket_dir =\n{settings}\n",
        server.host(),
        server.port(),
        port.number(),
        users.display()
    )
}

impl Pooler {
    /// In transaction mode.
    pub(crate) fn before(server: &Server) -> Self {
        Self::with(server, &format!("pool_mode = transaction\ndefault_pool_size = {SESSIONS}"))
    }

    fn with(server: &Server, settings: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).expect("permissions");
        let port = Port::any();
        let (file, users) = (directory.path().join("pgbouncer.ini"), directory.path().join("users"));
        std::fs::write(&users, "\"postgres\" \"\"\n\"tributary\" \"\"\n").expect("written");
        std::fs::write(&file, file_text(server, &port, &users, settings)).expect("written");
        let mut command = Command::new(program());
        // It refuses to run as root, so it runs as the owner of the server.
        let owner = std::fs::metadata(server.data_dir()).expect("the server's directory");
        if owner.uid() != std::fs::metadata(directory.path()).expect("the directory").uid() {
            let user = User::from_uid(Uid::from_raw(owner.uid())).expect("the accounts").expect("an account");
            command.args(["-u", &user.name]);
        }
        command.arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self { child: Process(command.spawn().expect("PgBouncer starts")), port, directory }
    }

    /// Reloads it with these settings.
    fn reload(&self, server: &Server, settings: &str) {
        let users = self.directory.path().join("users");
        let text = file_text(server, &self.port, &users, settings);
        std::fs::write(self.directory.path().join("pgbouncer.ini"), text).expect("written");
        self.child.signal(Signal::SIGHUP);
    }

    pub(crate) fn config(&self, server: &Server, database: &str, statements: Statements) -> DomainConfig {
        let mut config = config(server, database);
        config.connection.hosts = vec![("127.0.0.1".to_owned(), self.port.number())];
        config.pool.statements = statements;
        config.pool.max = 10;
        config
    }

    /// As above, with the role of `config/README.md`.
    fn config_of_the_role(&self, server: &Server, database: &str, statements: Statements) -> DomainConfig {
        let mut config = self.config(server, database, statements);
        config.connection.user = String::from("tributary");
        config
    }
}

/// The settings that `config/README.md` recommends for a role behind a pooler.
fn advice() -> String {
    let readme = std::fs::read_to_string(repository().join("config/README.md")).expect("readable");
    let advice = readme.split('`').find(|text| text.starts_with("ALTER ROLE tributary SET")).expect("the advice");
    assert!(advice.contains("'5s'"), "{advice}");
    advice.replace("'5s'", SHORT_TIMEOUT)
}

/// A server with the role `tributary`, which may write, and tables.
async fn server_with_a_role() -> Server {
    let server = Server::disposable(&[]).expect("a server");
    let setup = "CREATE ROLE tributary LOGIN; CREATE TABLE notes (n int); GRANT ALL ON notes TO tributary;
        CREATE FUNCTION note(int) RETURNS int LANGUAGE sql AS 'INSERT INTO notes VALUES ($1) RETURNING n';
        CREATE TABLE t AS SELECT n, n * 2 AS twice FROM generate_series(1, 500) n; GRANT SELECT ON t TO tributary";
    run(&server, "postgres", setup).await;
    server
}

#[actix::test]
async fn queries_are_answered_in_transaction_mode() {
    let server = Server::disposable(&[]).expect("a server");
    run(
        &server,
        "postgres",
        "CREATE TABLE t AS SELECT n, n * 1.5 AS price, 'text ' || n AS name FROM generate_series(1, 500) n",
    )
    .await;
    run(&server, "postgres", "ALTER ROLE postgres SET statement_timeout = '3s'").await;
    let pooler = Pooler::before(&server);
    let config = || pooler.config(&server, "postgres", Statements::Unprepared);
    // Two services behind one pooler, like replicas: prepared statements of one could collide with those of the other.
    let domains = [Domain::start(config()), Domain::start(config())];
    for domain in &domains {
        domain.handle.wait_ready(Deadline::after(LONG)).await.expect("a ready domain");
    }
    let query = query("SELECT n, price, name FROM t WHERE n = $1");
    for _ in 0..5 {
        let asked = (1..=100_i64).flat_map(|n| domains.iter().map(move |domain| (n, domain)));
        let answers = asked.map(|(n, domain)| {
            let query = &query;
            async move { (n, ask(&domain.handle, query, &[Value::Integer(n)], LONG, None).await) }
        });
        for (n, answer) in join_all(answers).await {
            let rows = answer.expect("rows").rows;
            assert_eq!(rows.len(), 1);
            let price = if n % 2 == 0 { format!("{}.0", n * 3 / 2) } else { format!("{}.5", n * 3 / 2) };
            assert_eq!(rows[0].to_string(), format!(r#"{{"n":{n},"price":{price},"name":"text {n}"}}"#));
        }
    }
    // No prepared statements are left on the pooler's sessions.
    let left = domains[0].value("SELECT count(*) FROM pg_prepared_statements", &[]).await;
    assert_eq!(left, Value::Integer(0));

    // A rejected query fails no other one, and a changed table is read correctly.
    assert!(matches!(domains[0].refused("SELECT nothing FROM t", &[]).await, QueryErrorKind::Sql { .. }));
    run(&server, "postgres", "ALTER TABLE t ALTER COLUMN price TYPE int8").await;
    eventually("the new type is read", || async {
        let answer = ask(&domains[0].handle, &query, &[Value::Integer(2)], LONG, None).await;
        answer.is_ok_and(|answer| answer.rows[0].to_string() == r#"{"n":2,"price":3,"name":"text 2"}"#)
    })
    .await;

    // So is one whose parameter has another type now.
    let id = "4d1e2f00-0000-4000-8000-000000000007";
    let by_id = crate::fixture::query("SELECT n FROM ids WHERE id = $1");
    run(&server, "postgres", &format!("CREATE TABLE ids AS SELECT 7 AS n, text '{id}' AS id")).await;
    for alteration in ["SELECT 1", "ALTER TABLE ids ALTER COLUMN id TYPE uuid USING id::uuid"] {
        run(&server, "postgres", alteration).await;
        let answer = ask(&domains[0].handle, &by_id, &[Value::text(id)], LONG, None).await;
        assert_eq!(answer.expect("a row").rows[0].to_string(), r#"{"n":7}"#, "after {alteration}");
    }

    // A query that times out is abandoned without harm to others, and the role's own limit ends it.
    let slow = domains[0].ask_within("SELECT pg_sleep(30)::text", &[], LONG, Some(Duration::from_millis(300))).await;
    assert!(matches!(slow.expect_err("late").kind, QueryErrorKind::Timeout { .. }));
    let running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)%' AND state = 'active' AND pid <> pg_backend_pid()";
    eventually("the server has stopped it", || async { domains[1].value(running, &[]).await == Value::Integer(0) })
        .await;
    for domain in domains {
        domain.drain().await;
    }
}

#[actix::test]
async fn the_service_decides_behind_a_pooler_as_it_does_without_one() {
    let databases = SampleDatabases::create().await;
    let server = shared_server();
    let pooler = Pooler::before(server);
    let directory = tempfile::tempdir().expect("a directory");
    let config = directory.path().join("service.yaml");
    std::fs::write(&config, "domains: { defaults: { pool: { statements: unprepared } } }\n").expect("written");
    let through = |url: String| url.replace(&format!(":{}/", server.port()), &format!(":{}/", pooler.port.number()));
    let setup = DOMAINS.iter().fold(Setup { config: Some(config), ..Setup::shipped() }, |setup, domain| {
        setup.domain(domain, &through(databases.url(domain)))
    });
    let mut expected = Vec::new();
    let direct = TestApp::start(Setup::shipped().on(&databases));
    direct.wait_for("/health", 200).await;
    for product in ["PROD-001", "PROD-002", "PROD-003", "PROD-404"] {
        let answer = direct.purchasing(product).await;
        assert_eq!(answer.status, if product == "PROD-404" { 404 } else { 200 });
        expected.push((product, answer));
    }
    drop(direct);
    let app = TestApp::start(setup);
    app.wait_for("/health", 200).await;
    for _ in 0..5 {
        let asked = expected.iter().cycle().take(80).map(async |(product, expected)| {
            let answer = app.purchasing(product).await;
            assert_eq!(answer.status, expected.status, "{product}: {}", answer.text);
            if expected.status == 200 {
                assert_eq!(answer.text, expected.text);
            } else {
                assert_eq!(answer.code(), expected.code());
            }
        });
        join_all(asked).await;
    }
    // All queries used the few sessions of the pooler.
    for domain in DOMAINS {
        let found = sessions(server, databases.database(domain).name()).await;
        assert!((1..=i64::from(SESSIONS)).contains(&found), "{domain} has {found}");
    }
}

#[actix::test]
async fn the_documented_role_settings_prevent_writes_and_limit_statements() {
    let server = server_with_a_role().await;
    let slow = "SELECT 1 AS n FROM pg_sleep(1.5)";
    let pooler = Pooler::before(&server);
    let domain = Domain::ready(pooler.config_of_the_role(&server, "postgres", Statements::Unprepared)).await;
    assert_eq!(
        domain.value("SELECT note(1) AS n", &[]).await,
        Value::Integer(1),
        "without the settings the role may write"
    );
    assert_eq!(domain.value(slow, &[]).await, Value::Integer(1));
    domain.drain().await;
    drop(pooler);

    run(&server, "postgres", &advice()).await;
    let pooler = Pooler::before(&server);
    let domain = Domain::ready(pooler.config_of_the_role(&server, "postgres", Statements::Unprepared)).await;
    let refused = domain.refused("SELECT note(2) AS n", &[]).await;
    assert!(matches!(&refused, QueryErrorKind::Sql { sqlstate, .. } if sqlstate == "25006"), "{refused:?}");
    let late = domain.refused(slow, &[]).await;
    assert!(matches!(late, QueryErrorKind::Timeout { .. }), "{late:?}");
    assert_eq!(domain.value("SELECT count(*) FROM notes", &[]).await, Value::Integer(1));
    domain.drain().await;
}

/// Asks `domain` until it reports a pooler, and then again. Answers before that are right, and there are none after it.
async fn detects_pooler(domain: &Domain) {
    // Those of one text share a connection, which may have the same session of the server each time.
    let queries = ["", " ", "  ", "   "].map(|end| query(&format!("SELECT n, twice FROM t WHERE n = $1{end}")));
    let remedy = |error: &QueryError| error.to_string().contains("statements: unprepared");
    let ask_some = || async {
        let asked = (1..=20_i64)
            .zip(queries.iter().cycle())
            .map(|(n, query)| async move { (n, ask(&domain.handle, query, &[Value::Integer(n)], LONG, None).await) });
        let mut is_detected = true;
        for (n, answer) in join_all(asked).await {
            match answer {
                Ok(answer) => {
                    assert_eq!(answer.rows[0].to_string(), format!(r#"{{"n":{n},"twice":{}}}"#, 2 * n));
                    is_detected = false;
                }
                Err(error) => is_detected &= remedy(&error),
            }
        }
        is_detected
    };
    eventually("every query fails with the remedy", ask_some).await;
    for _ in 0..10 {
        assert!(ask_some().await, "no query is answered any more");
    }
    eventually("the health reports it, too", || async {
        let State::Down { why, .. } = domain.handle.health().state else { return false };
        why.contains("statements: unprepared")
    })
    .await;
}

#[actix::test]
async fn an_unconfigured_pooler_is_detected() {
    let server = server_with_a_role().await;
    let ignoring =
        format!("pool_mode = transaction\ndefault_pool_size = {SESSIONS}\nignore_startup_parameters = options");
    // A pooler that rejects the session settings, and one that ignores them. Below, one that ignores them with a role that has them.
    for (pooler, role) in [(Pooler::before(&server), "postgres"), (Pooler::with(&server, &ignoring), "tributary")] {
        let mut config = pooler.config(&server, "postgres", Statements::Prepared);
        config.connection.user = role.to_owned();
        let domain = Domain::start(config);
        detects_pooler(&domain).await;
        domain.drain().await;
    }
    run(&server, "postgres", &advice()).await;
    let pooler = Pooler::with(&server, &ignoring);
    let domain = Domain::start(pooler.config_of_the_role(&server, "postgres", Statements::Prepared));
    detects_pooler(&domain).await;
    domain.drain().await;
    // The remedy of the message works.
    let domain = Domain::ready(pooler.config_of_the_role(&server, "postgres", Statements::Unprepared)).await;
    assert_eq!(domain.value("SELECT twice FROM t WHERE n = 7", &[]).await, Value::Integer(14));
    domain.drain().await;
}

#[actix::test]
async fn in_session_mode_statements_are_prepared_and_sessions_are_read_only() {
    let server = server_with_a_role().await;
    run(&server, "postgres", &advice()).await;
    let settings = "pool_mode = session\ndefault_pool_size = 30\nignore_startup_parameters = options";
    let pooler = Pooler::with(&server, settings);
    let domain = Domain::ready(pooler.config_of_the_role(&server, "postgres", Statements::Prepared)).await;
    let query = query("SELECT n, twice FROM t WHERE n = $1");
    for round in 0..10 {
        let asked = (1..=40_i64).map(|n| {
            let (domain, query) = (&domain, &query);
            async move { (n, ask(&domain.handle, query, &[Value::Integer(n)], LONG, None).await) }
        });
        for (n, answer) in join_all(asked).await {
            let answer = answer.unwrap_or_else(|error| panic!("round {round}: {error}"));
            assert_eq!(answer.rows[0].to_string(), format!(r#"{{"n":{n},"twice":{}}}"#, 2 * n));
        }
        // New connections get the sessions of closed ones, which is not detected as transaction mode.
        domain.handle.recycle();
    }
    let prepared = domain.value("SELECT count(*) FROM pg_prepared_statements", &[]).await;
    assert_ne!(prepared, Value::Integer(0));
    let refused = domain.refused("SELECT note(2) AS n", &[]).await;
    assert!(matches!(&refused, QueryErrorKind::Sql { sqlstate, .. } if sqlstate == "25006"), "{refused:?}");
    assert_eq!(domain.handle.health().state, State::Ready);
    domain.drain().await;
}

#[actix::test]
async fn a_write_role_whose_settings_a_pooler_ignores_is_refused_unless_it_has_them() {
    let server = server_with_a_role().await;
    run(&server, "postgres", &advice()).await;
    let settings = "pool_mode = session\ndefault_pool_size = 30\nignore_startup_parameters = options";
    let pooler = Pooler::with(&server, settings);
    let mut config = pooler.config_of_the_role(&server, "postgres", Statements::Prepared);
    for (user, refused) in
        [("postgres", Some("ALTER ROLE ... SET default_transaction_read_only = on")), ("tributary", None)]
    {
        config.write = Some(WriteRole { user: user.to_owned(), password: Password::None });
        let domain = Domain::ready(config.clone()).await;
        let writer = domain.handle.writer().expect("a write role");
        let acquired = writer.pool().acquire(Deadline::after(LONG)).await.map(drop);
        let why = acquired.err().map(|kind| format!("{kind:?}"));
        match (&why, refused) {
            (Some(why), Some(refused)) => assert!(why.contains(refused), "{why}"),
            _ => assert_eq!(why.as_deref(), refused, "{user}"),
        }
        drop(writer);
        domain.drain().await;
    }
}

#[actix::test]
async fn a_pooler_that_is_switched_to_session_mode_is_used_without_a_restart() {
    let server = server_with_a_role().await;
    run(&server, "postgres", &advice()).await;
    let settings =
        |mode: &str| format!("pool_mode = {mode}\ndefault_pool_size = 30\nignore_startup_parameters = options");
    let pooler = Pooler::with(&server, &settings("transaction"));
    let domain = Domain::start(pooler.config_of_the_role(&server, "postgres", Statements::Prepared));
    for _ in 0..2 {
        detects_pooler(&domain).await;
        pooler.reload(&server, &settings("session"));
        eventually("the domain is ready", || async { domain.handle.health().state == State::Ready }).await;
        let query = query("SELECT n, twice FROM t WHERE n = $1");
        for _ in 0..5 {
            let asked = (1..=40_i64).map(|n| {
                let (domain, query) = (&domain, &query);
                async move { (n, ask(&domain.handle, query, &[Value::Integer(n)], LONG, None).await) }
            });
            for (n, answer) in join_all(asked).await {
                let answer = answer.unwrap_or_else(|error| panic!("{error}"));
                assert_eq!(answer.rows[0].to_string(), format!(r#"{{"n":{n},"twice":{}}}"#, 2 * n));
            }
        }
        assert_eq!(domain.handle.health().state, State::Ready);
        pooler.reload(&server, &settings("transaction"));
        // Open connections keep their sessions. New ones do not.
        domain.handle.recycle();
    }
    domain.drain().await;
}
