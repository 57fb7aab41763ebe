//! Behind PgBouncer in transaction mode, which gives each transaction whatever session is free.

use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures_util::future::join_all;
use nix::unistd::{Uid, User};
use tributary::config::{DomainConfig, Statements};
use tributary::postgres::QueryErrorKind;
use tributary::server::Server;
use tributary::types::{Deadline, Value};

use crate::fixture::{Domain, LONG, ask, config, eventually, query, run};

/// Sessions that the pooler has for all its clients.
const SESSIONS: u16 = 3;

/// A PgBouncer before a server.
pub(crate) struct Pooler {
    child: Child,
    port: u16,
    _directory: tempfile::TempDir,
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
    let found = candidates.into_iter().find(|path| !path.is_empty() && std::path::Path::new(path).exists());
    found.expect("this test needs PgBouncer: run scripts/install_pgbouncer first")
}

impl Pooler {
    pub(crate) fn before(server: &Server) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).expect("permissions");
        let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
        let file = directory.path().join("pgbouncer.ini");
        let text = format!(
            "[databases]\n* = host={} port={} user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             auth_type = any\npool_mode = transaction\ndefault_pool_size = {SESSIONS}\nunix_socket_dir =\n",
            server.host(),
            server.port()
        );
        std::fs::write(&file, text).expect("written");
        let mut command = Command::new(program());
        // It refuses to run as root; the server's own account will do.
        let owner = std::fs::metadata(server.data_dir()).expect("the server's directory");
        if owner.uid() != std::fs::metadata(directory.path()).expect("the directory").uid() {
            let user = User::from_uid(Uid::from_raw(owner.uid())).expect("the accounts").expect("an account");
            command.args(["-u", &user.name]);
        }
        command.arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self { child: command.spawn().expect("PgBouncer starts"), port, _directory: directory }
    }

    pub(crate) fn config(&self, server: &Server) -> DomainConfig {
        let mut config = config(server, "postgres");
        config.connection.hosts = vec![("127.0.0.1".to_owned(), self.port)];
        config.pool.statements = Statements::Unprepared;
        (config.pool.max, config.pool.max_waiting) = (10, 500);
        config
    }
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
    // Two services behind one pooler, as replicas are: names of one would meet those of the other.
    let domains = [Domain::start(pooler.config(&server)), Domain::start(pooler.config(&server))];
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
