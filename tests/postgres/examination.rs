//! What `doctor` finds: which step it was that failed, and what to do about it.

use futures_util::future::join_all;
use tributary::config::{ChannelBinding, DomainConfig, SslMode, Statements, Tls};
use tributary::graph::Query;
use tributary::pool::{Finding, Verdict};
use tributary::postgres::examination::examine;

use crate::fixture::{config, database, query, run, shared_server};
use crate::pooler::Pooler;
use crate::support::{Authority, Server, connect, names};
use crate::tls::{server, server_of, tls, with};

/// The only finding of a step.
fn of<'a>(findings: &'a [Finding], step: &str) -> &'a Finding {
    let found: Vec<_> = findings.iter().filter(|finding| finding.step == step).collect();
    assert_eq!(found.len(), 1, "{step} in {findings:#?}");
    found[0]
}

fn fails(findings: &[Finding], step: &str, remedy: &str) {
    let finding = of(findings, step);
    let found = finding.remedy.as_deref().unwrap_or_default();
    assert!(
        finding.verdict == Verdict::Failure && found.contains(remedy),
        "the remedy of {finding:?} is not `{remedy}`"
    );
}

#[actix::test]
async fn failures_of_tls_and_of_the_login_are_reported_as_different_steps() {
    let (right, wrong) = (Authority::new(), Authority::new());
    let here = server(&right, &names(&["127.0.0.1"]), "hostssl all scram all scram-sha-256").await;
    let config = |host: &str, tls: Tls, password: &str| {
        let mut config = with(&here, "scram", tls);
        config.connection.hosts = vec![(host.to_owned(), here.port())];
        config.connection.password = tributary::config::Password::Given(password.to_owned().into());
        config
    };
    let full = |authority: &Authority| tls(SslMode::VerifyFull, authority.trusted().into());
    let well = examine(&config("127.0.0.1", full(&right), "planted"), &[]).await;
    assert_eq!((of(&well, "TLS").verdict, of(&well, "log in").verdict), (Verdict::Ok, Verdict::Ok));

    let of_unknown_authority = examine(&config("127.0.0.1", full(&wrong), "planted"), &[]).await;
    fails(&of_unknown_authority, "TLS", "set OMS_DB_SSLROOTCERT to the certificate of the authority");
    assert!(
        of_unknown_authority.iter().all(|finding| finding.step != "log in"),
        "there was no login: {of_unknown_authority:?}"
    );
    let for_another_name = examine(&config("localhost", full(&right), "planted"), &[]).await;
    fails(&for_another_name, "TLS", "set OMS_DB_HOST to a name");

    let by_a_wrong_password = examine(&config("127.0.0.1", full(&right), "wrong"), &[]).await;
    assert_eq!(of(&by_a_wrong_password, "TLS").verdict, Verdict::Ok);
    fails(&by_a_wrong_password, "log in", "check OMS_DB_PASSWORD: ");
    let bound = Tls { channel_binding: ChannelBinding::Require, ..full(&right) };
    let mut unbound = config("127.0.0.1", bound, "planted");
    "postgres".clone_into(&mut unbound.connection.user);
    fails(&examine(&unbound, &[]).await, "log in", "check OMS_DB_CHANNEL_BINDING");

    for (certificate, remedy) in [
        ("version_1", "give the server a certificate of version 3"),
        ("p521", "give the server a certificate with a key that can be used, such as P-256"),
    ] {
        let here = server_of(certificate).await;
        let unusable = with(&here, "postgres", tls(SslMode::Require, None));
        fails(&examine(&unusable, &[]).await, "TLS", remedy);
    }

    let mut without = crate::fixture::config(shared_server(), "postgres");
    without.connection.tls = tls(SslMode::Require, None);
    fails(&examine(&without, &[]).await, "TLS", "turn TLS on at the server");
    let mut nowhere = crate::fixture::config(shared_server(), "no_such_database");
    nowhere.connection.tls = tls(SslMode::Disable, None);
    fails(&examine(&nowhere, &[]).await, "log in", "create the database, or correct OMS_DB_NAME");
}

/// A database, and the configuration of a role that may read all of it.
async fn reader(server: &Server, name: &str, setup: &str) -> DomainConfig {
    let role = format!("reader_of_{name}");
    let grants = format!(
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC; CREATE ROLE {role} LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role};"
    );
    let name = database(server, name, &format!("{setup}; {grants}")).await;
    let mut config = config(server, &name);
    config.connection.user = role;
    config
}

#[actix::test]
async fn a_role_that_may_create_is_reported_and_sessions_of_other_roles_are_counted() {
    let server = Server::disposable(&[]).expect("a server");
    let config = reader(&server, "created", "CREATE TABLE t AS SELECT 1 AS n").await;
    let asks = query("SELECT n FROM t WHERE n = $1");
    let queries: [&Query; 1] = [&asks];
    let url = server.url("postgres");
    let others = join_all((0..7).map(|_| connect(&url))).await;
    // The server counts a session shortly after its login.
    crate::fixture::eventually("all sessions are counted", || async {
        let findings = examine(&config, &queries).await;
        assert_eq!(of(&findings, "role").verdict, Verdict::Ok, "{findings:?}");
        let used = of(&findings, "room").saw.split(' ').next().and_then(|count| count.parse::<usize>().ok());
        used.expect("a count") > others.len()
    })
    .await;
    run(&server, "created", "GRANT CREATE ON SCHEMA public TO reader_of_created").await;
    let findings = examine(&config, &queries).await;
    let role = of(&findings, "role");
    assert_eq!(role.verdict, Verdict::Warning, "{role:?}");
    assert!(role.saw.contains("may create tables in \"public\""), "{role:?}");
    assert!(role.remedy.as_ref().is_some_and(|remedy| remedy.starts_with("REVOKE CREATE ON SCHEMA")), "{role:?}");
}

#[actix::test]
async fn a_large_table_that_was_never_analysed_is_not_considered_small() {
    let setup = "CREATE TABLE large AS SELECT n, repeat('x', 100) AS text FROM generate_series(1, 20000) n; \
                 CREATE TABLE small AS SELECT 1 AS n";
    let config = reader(shared_server(), "never_analysed", setup).await;
    for (table, verdict) in [("large", Verdict::Warning), ("small", Verdict::Ok)] {
        let asks = query(&format!("SELECT * FROM {table} WHERE n = $1"));
        let findings = examine(&config, &[&asks]).await;
        let query = of(&findings, "query");
        assert_eq!(query.verdict, verdict, "{query:?}");
        assert_eq!(query.saw.contains("never analysed"), table == "large", "{query:?}");
    }
}

#[actix::test]
async fn behind_a_pooler_the_findings_are_the_same_and_no_statements_are_left() {
    let server = Server::disposable(&[]).expect("a server");
    let setup = "CREATE TABLE large AS SELECT n, n AS m FROM generate_series(1, 20000) n; ANALYZE large;";
    run(&server, "postgres", setup).await;
    let asks = [query("SELECT m FROM large WHERE n = $1"), query("SELECT nothing FROM large")];
    let queries: Vec<&Query> = asks.iter().map(|query| &**query).collect();
    let settings =
        |findings: &[Finding]| findings.iter().filter(|finding| finding.step == "settings").cloned().collect();
    let pooler = Pooler::before(&server);
    let config = pooler.config(&server, "postgres", Statements::Unprepared);
    crate::fixture::eventually("the pooler listens", || async {
        examine(&config, &[]).await.iter().any(|finding| finding.step == "log in" && finding.verdict == Verdict::Ok)
    })
    .await;
    // Each transaction of each examination may get any session.
    for findings in join_all((0..6).map(|_| examine(&config, &queries))).await {
        let found: Vec<_> = findings.iter().filter(|finding| finding.step == "query").collect();
        assert!(found[0].saw.contains("reads all rows of"), "{findings:?}");
        assert!(found[1].saw.contains("42703"), "{findings:?}");
        let settings: Vec<Finding> = settings(&findings);
        let remedies: Vec<_> = settings.iter().filter_map(|finding| finding.remedy.as_deref()).collect();
        let expected = [
            "ALTER ROLE \"postgres\" SET default_transaction_read_only = on",
            "ALTER ROLE \"postgres\" SET statement_timeout = 5000",
        ];
        assert_eq!(remedies, expected, "{findings:?}");
    }
    let left = connect(&format!("postgres://postgres@127.0.0.1:{}/postgres", config.connection.hosts[0].1)).await;
    for _ in 0..6 {
        let rows = left.simple_query("SELECT name FROM pg_prepared_statements").await.expect("rows");
        let names = rows.iter().filter(|row| matches!(row, tokio_postgres::SimpleQueryMessage::Row(_))).count();
        assert_eq!(names, 0);
    }
    for setting in ["statement_timeout = '3s'", "default_transaction_read_only = on"] {
        run(&server, "postgres", &format!("ALTER ROLE postgres SET {setting}")).await;
    }
    let restarted = Pooler::before(&server);
    let config = restarted.config(&server, "postgres", Statements::Unprepared);
    crate::fixture::eventually("its sessions have the settings", || async {
        let settings: Vec<Finding> = settings(&examine(&config, &queries).await);
        settings.len() == 1 && settings[0].verdict == Verdict::Ok
    })
    .await;
}
