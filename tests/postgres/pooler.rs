//! Behind PgBouncer: in transaction mode, which gives each transaction whatever session is free, and in session mode.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures_util::future::join_all;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid, User};
use tributary::actors::domain::State;
use tributary::config::{DomainConfig, Statements};
use tributary::flow::{QueryError, QueryErrorKind};
use tributary::types::{Deadline, Value};

use crate::fixture::{Domain, LONG, ask, config, eventually, query, run, sessions, shared_server};
use crate::support::{DOMAINS, Port, SampleDatabases, Server, Setup, TestApp, repository};

/// Sessions that the pooler has for all clients of a database.
const SESSIONS: u16 = 3;
/// The `statement_timeout` of these tests, in place of the document's.
const SOON: &str = "'400ms'";

/// A PgBouncer before a server.
pub(crate) struct Pooler {
    child: Child,
    port: Port,
    directory: tempfile::TempDir,
}

impl Drop for Pooler {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
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
        // It refuses to run as root; the server's own account will do.
        let owner = std::fs::metadata(server.data_dir()).expect("the server's directory");
        if owner.uid() != std::fs::metadata(directory.path()).expect("the directory").uid() {
            let user = User::from_uid(Uid::from_raw(owner.uid())).expect("the accounts").expect("an account");
            command.args(["-u", &user.name]);
        }
        command.arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self { child: command.spawn().expect("PgBouncer starts"), port, directory }
    }

    /// Has it read these settings.
    fn reload(&self, server: &Server, settings: &str) {
        let users = self.directory.path().join("users");
        let text = file_text(server, &self.port, &users, settings);
        std::fs::write(self.directory.path().join("pgbouncer.ini"), text).expect("written");
        let process = Pid::from_raw(i32::try_from(self.child.id()).expect("a process"));
        kill(process, Signal::SIGHUP).expect("it runs");
    }

    pub(crate) fn config(&self, server: &Server, database: &str, statements: Statements) -> DomainConfig {
        let mut config = config(server, database);
        config.connection.hosts = vec![("127.0.0.1".to_owned(), self.port.number())];
        config.pool.statements = statements;
        config.pool.max = 10;
        config
    }

    /// For the role of `config/README.md`.
    fn config_of_the_role(&self, server: &Server, database: &str, statements: Statements) -> DomainConfig {
        let mut config = self.config(server, database, statements);
        config.connection.user = String::from("tributary");
        config
    }
}

/// The settings that `config/README.md` gives a role behind a pooler.
fn advice() -> String {
    let readme = std::fs::read_to_string(repository().join("config/README.md")).expect("readable");
    let advice = readme.split('`').find(|text| text.starts_with("ALTER ROLE tributary SET")).expect("the advice");
    assert!(advice.contains("'5s'"), "{advice}");
    advice.replace("'5s'", SOON)
}

/// A server with the role `tributary`, which may do much, and something to read and to write.
async fn server_with_a_role() -> Server {
    let server = Server::disposable(&[]).expect("a server");
    let setup = "CREATE ROLE tributary LOGIN; CREATE TABLE notes (n int); GRANT ALL ON notes TO tributary;
        CREATE FUNCTION note(int) RETURNS int LANGUAGE sql AS 'INSERT INTO notes VALUES ($1) RETURNING n';
        CREATE TABLE t AS SELECT n, n * 2 AS twice FROM generate_series(1, 500) n; GRANT SELECT ON t TO tributary";
    run(&server, "postgres", setup).await;
    server
}

#[actix::test]
async fn queries_are_answered_whatever_session_each_transaction_gets() {
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
    // Two services behind one pooler, as replicas are: names of one would meet those of the other.
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
    // Nothing is left behind on the pooler's sessions.
    let left = domains[0].value("SELECT count(*) FROM pg_prepared_statements", &[]).await;
    assert_eq!(left, Value::Integer(0));

    // A refused query harms nobody else's; a table that changes is read as it is.
    assert!(matches!(domains[0].refused("SELECT nothing FROM t", &[]).await, QueryErrorKind::Sql { .. }));
    run(&server, "postgres", "ALTER TABLE t ALTER COLUMN price TYPE int8").await;
    eventually("the new type is read", || async {
        let answer = ask(&domains[0].handle, &query, &[Value::Integer(2)], LONG, None).await;
        answer.is_ok_and(|answer| answer.rows[0].to_string() == r#"{"n":2,"price":3,"name":"text 2"}"#)
    })
    .await;

    // So is one whose parameter's type changes: nothing has the old type any more that the query was described with.
    let id = "4d1e2f00-0000-4000-8000-000000000007";
    let by_id = crate::fixture::query("SELECT n FROM ids WHERE id = $1");
    run(&server, "postgres", &format!("CREATE TABLE ids AS SELECT 7 AS n, text '{id}' AS id")).await;
    for alteration in ["SELECT 1", "ALTER TABLE ids ALTER COLUMN id TYPE uuid USING id::uuid"] {
        run(&server, "postgres", alteration).await;
        let answer = ask(&domains[0].handle, &by_id, &[Value::text(id)], LONG, None).await;
        assert_eq!(answer.expect("a row").rows[0].to_string(), r#"{"n":7}"#, "after {alteration}");
    }

    // One that takes too long is left behind, the others go on, and the role's own limit ends it.
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
    // They went through the pooler: there are its few sessions, whatever was asked at once.
    for domain in DOMAINS {
        let found = sessions(server, databases.database(domain).name()).await;
        assert!((1..=i64::from(SESSIONS)).contains(&found), "{domain} has {found}");
    }
}

#[actix::test]
async fn the_role_of_the_readme_writes_nothing_and_ends_what_takes_too_long() {
    let server = server_with_a_role().await;
    let slow = "SELECT 1 AS n FROM pg_sleep(1.5)";
    let pooler = Pooler::before(&server);
    let domain = Domain::ready(pooler.config_of_the_role(&server, "postgres", Statements::Unprepared)).await;
    assert_eq!(
        domain.value("SELECT note(1) AS n", &[]).await,
        Value::Integer(1),
        "the role may write, and nothing forbids it"
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

/// Asks `domain` until it says that a pooler is in its way, and then some more: what it answers is right, and then nothing.
async fn is_found_out(domain: &Domain) {
    let query = query("SELECT n, twice FROM t WHERE n = $1");
    let remedy = |error: &QueryError| error.to_string().contains("statements: unprepared");
    let ask_some = || async {
        let asked = (1..=20_i64).map(|n| {
            let query = &query;
            async move { (n, ask(&domain.handle, query, &[Value::Integer(n)], LONG, None).await) }
        });
        let mut found_out = true;
        for (n, answer) in join_all(asked).await {
            match answer {
                Ok(answer) => {
                    assert_eq!(answer.rows[0].to_string(), format!(r#"{{"n":{n},"twice":{}}}"#, 2 * n));
                    found_out = false;
                }
                Err(error) => found_out &= remedy(&error),
            }
        }
        found_out
    };
    eventually("every query is refused with what to do", ask_some).await;
    for _ in 0..10 {
        assert!(ask_some().await, "it is found out once and for all");
    }
    eventually("its health says so, too", || async {
        let State::Down { why, .. } = domain.handle.health().state else { return false };
        why.contains("statements: unprepared")
    })
    .await;
}

#[actix::test]
async fn a_pooler_that_the_settings_know_nothing_of_is_found_out() {
    let server = server_with_a_role().await;
    let ignoring =
        format!("pool_mode = transaction\ndefault_pool_size = {SESSIONS}\nignore_startup_parameters = options");
    // It refuses our sessions' settings; it leaves them out; it leaves them out, and the role has them.
    for (pooler, role) in [(Pooler::before(&server), "postgres"), (Pooler::with(&server, &ignoring), "tributary")] {
        let mut config = pooler.config(&server, "postgres", Statements::Prepared);
        config.connection.user = role.to_owned();
        let domain = Domain::start(config);
        is_found_out(&domain).await;
        domain.drain().await;
    }
    run(&server, "postgres", &advice()).await;
    let pooler = Pooler::with(&server, &ignoring);
    let domain = Domain::start(pooler.config_of_the_role(&server, "postgres", Statements::Prepared));
    is_found_out(&domain).await;
    domain.drain().await;
    // What the message says to do helps.
    let domain = Domain::ready(pooler.config_of_the_role(&server, "postgres", Statements::Unprepared)).await;
    assert_eq!(domain.value("SELECT twice FROM t WHERE n = 7", &[]).await, Value::Integer(14));
    domain.drain().await;
}

#[actix::test]
async fn in_session_mode_statements_stay_prepared_and_sessions_read_only() {
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
        // Others get the sessions that these give up: nobody takes that for a pooler that hands them around.
        domain.handle.recycle().await;
    }
    let prepared = domain.value("SELECT count(*) FROM pg_prepared_statements", &[]).await;
    assert_ne!(prepared, Value::Integer(0));
    let refused = domain.refused("SELECT note(2) AS n", &[]).await;
    assert!(matches!(&refused, QueryErrorKind::Sql { sqlstate, .. } if sqlstate == "25006"), "{refused:?}");
    assert_eq!(domain.handle.health().state, State::Ready);
    domain.drain().await;
}

#[actix::test]
async fn a_pooler_that_is_set_to_session_mode_later_is_used_without_a_restart() {
    let server = server_with_a_role().await;
    run(&server, "postgres", &advice()).await;
    let settings =
        |mode: &str| format!("pool_mode = {mode}\ndefault_pool_size = 30\nignore_startup_parameters = options");
    let pooler = Pooler::with(&server, &settings("transaction"));
    let domain = Domain::start(pooler.config_of_the_role(&server, "postgres", Statements::Prepared));
    for _ in 0..2 {
        is_found_out(&domain).await;
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
        // What it has keeps its sessions; new connections do not.
        domain.handle.recycle().await;
    }
    domain.drain().await;
}
