//! `max_staleness_ms`: rows of replicas that are behind, cut off, or of another timeline.

use std::time::{Duration, Instant};

use actix::clock::sleep;
use tributary::actors::domain::State;
use tributary::config::{Connection, DomainConfig, SessionAttrs};
use tributary::flow::{QueryAnswer, QueryError, QueryErrorKind};
use tributary::pool::Verdict;
use tributary::postgres::examination::examine;
use tributary::types::{DomainName, Value};

use crate::fixture::{Domain, config, eventually, run};
use crate::support::server::PRIMARY;
use crate::support::{Fault, Proxy, Server, Setup, TestApp};

const LIMIT: Duration = Duration::from_millis(600);
/// How long each test watches the answers.
const WATCHED: Duration = Duration::from_secs(2);
const TABLE: &str = "CREATE TABLE versions (version bigint); INSERT INTO versions VALUES (0);
    CREATE ROLE reader LOGIN; GRANT SELECT ON versions TO reader";
/// The version, and the port of the server that has it.
const QUERY: &str = "SELECT version, inet_server_port()::int8 AS port FROM versions";

/// A primary, and a replica that reaches it over a proxy.
struct Pair {
    primary: Server,
    replica: Server,
    link: Proxy,
}

impl Pair {
    async fn start() -> Self {
        let primary = Server::disposable(&PRIMARY).expect("a server");
        run(&primary, "postgres", TABLE).await;
        let link = Proxy::to(primary.port());
        let replica = primary.replica(link.port()).expect("a replica");
        Self { primary, replica, link }
    }

    /// A domain on the replica and the primary, by a role without privileges.
    fn config(&self, attrs: SessionAttrs) -> DomainConfig {
        self.config_of(&[self.replica.port(), self.primary.port()], attrs)
    }

    fn config_of(&self, ports: &[u16], attrs: SessionAttrs) -> DomainConfig {
        let mut config = config(&self.primary, "postgres");
        config.connection.hosts = ports.iter().map(|port| ("127.0.0.1".to_owned(), *port)).collect();
        "reader".clone_into(&mut config.connection.user);
        config.connection.session_attrs = attrs;
        config.max_staleness = Some(LIMIT);
        config
    }
}

async fn write(server: &Server, version: i64) {
    run(server, "postgres", &format!("UPDATE versions SET version = {version}")).await;
}

/// The version of an answer, and the port of its server.
fn read(answer: &QueryAnswer) -> (i64, u16) {
    let Value::Map(row) = &answer.rows[0] else { panic!("no row") };
    let number = |place: usize| match row.iter().nth(place) {
        Some((_, Value::Integer(number))) => *number,
        other => panic!("{other:?}"),
    };
    (number(0), u16::try_from(number(1)).expect("a port"))
}

/// Asks until `until`. Each answer has at least the version that is `due` at its time, and says how old it may be.
async fn watch(domain: &Domain, until: Duration, due: impl Fn(Instant) -> i64) -> Vec<Result<u16, QueryError>> {
    let (start, mut seen) = (Instant::now(), Vec::new());
    while start.elapsed() < until {
        let asked = Instant::now();
        let answer = domain.ask(QUERY, &[]).await;
        seen.push(answer.map(|answer| {
            let staleness = answer.staleness.expect("the domain limits it");
            let (version, port) = read(&answer);
            assert!(staleness <= LIMIT, "{staleness:?}");
            assert!(version >= due(asked), "version {version} of {port}, {staleness:?} old");
            assert!(
                version >= due(asked + LIMIT.saturating_sub(staleness)),
                "version {version} is not {staleness:?} old"
            );
            port
        }));
        sleep(Duration::from_millis(10)).await;
    }
    seen
}

/// The version that is due at a time, where `version` was committed at `committed`.
fn due_after(committed: Instant, version: i64) -> impl Fn(Instant) -> i64 {
    move |asked| if asked >= committed + LIMIT { version } else { 0 }
}

async fn all_from(domain: &Domain, server: &Server) {
    let seen = watch(domain, WATCHED, |_| 0).await;
    assert!(seen.iter().all(|port| port.as_ref().is_ok_and(|port| *port == server.port())), "{seen:?}");
}

#[actix::test]
async fn a_replica_of_an_idle_primary_answers_even_where_it_is_cut_off() {
    let pair = Pair::start().await;
    let domain = Domain::ready(pair.config(SessionAttrs::PreferStandby)).await;
    all_from(&domain, &pair.replica).await;
    pair.link.set(Fault::Stall);
    all_from(&domain, &pair.replica).await;
    let health = domain.handle.health().staleness.expect("the domain limits it");
    assert!(health.rows_may_be_older_by_ms.is_some_and(|age| age < 3_000) && health.primary_error.is_none());

    // Now it lacks something.
    write(&pair.primary, 1).await;
    let seen = watch(&domain, WATCHED, due_after(Instant::now(), 1)).await;
    assert!(seen.iter().all(Result::is_ok), "{seen:?}");
    assert_eq!(seen.last(), Some(&Ok(pair.primary.port())));
    domain.drain().await;
}

#[actix::test]
async fn queries_leave_a_replica_that_does_not_replay_for_the_primary() {
    let pair = Pair::start().await;
    for attrs in [SessionAttrs::PreferStandby, SessionAttrs::Any] {
        let domain = Domain::ready(pair.config(attrs)).await;
        all_from(&domain, &pair.replica).await;
        run(&pair.replica, "postgres", "SELECT pg_wal_replay_pause()").await;
        write(&pair.primary, 1).await;
        let seen = watch(&domain, WATCHED, due_after(Instant::now(), 1)).await;
        assert!(seen.iter().all(Result::is_ok), "{seen:?}");
        assert_eq!(seen.last(), Some(&Ok(pair.primary.port())), "{attrs:?}");
        run(&pair.replica, "postgres", "SELECT pg_wal_replay_resume()").await;
        write(&pair.primary, 0).await;
        eventually("it has caught up", async || {
            let behind = "SELECT 1 / (pg_last_wal_replay_lsn() = pg_last_wal_receive_lsn())::int";
            crate::support::connect(&pair.replica.url("postgres")).await.batch_execute(behind).await.is_ok()
        })
        .await;
        domain.handle.recycle();
        eventually("the replica answers again", async || {
            domain.handle.recycle();
            domain.ask(QUERY, &[]).await.is_ok_and(|answer| read(&answer) == (0, pair.replica.port()))
        })
        .await;
        domain.drain().await;
    }
}

#[actix::test]
async fn where_every_replica_is_too_old_queries_fail_with_the_reason() {
    let pair = Pair::start().await;
    let domain = Domain::ready(pair.config(SessionAttrs::Standby)).await;
    run(&pair.replica, "postgres", "SELECT pg_wal_replay_pause()").await;
    write(&pair.primary, 1).await;
    let seen = watch(&domain, WATCHED, due_after(Instant::now(), 1)).await;
    let Some(Err(error)) = seen.last() else { panic!("{seen:?}") };
    let QueryErrorKind::Unavailable { why, retry_after } = &error.kind else { panic!("{error:?}") };
    assert!(why.starts_with("the replica may be ") && why.contains("max_staleness_ms (600)"), "{why}");
    assert!(*retry_after <= Duration::from_secs(1));
    let health = domain.handle.health();
    assert!(matches!(&health.state, State::Down { why, .. } if why.contains("max_staleness_ms")), "{health:?}");
    run(&pair.replica, "postgres", "SELECT pg_wal_replay_resume()").await;
    eventually("the replica answers again", async || {
        domain.ask(QUERY, &[]).await.is_ok_and(|answer| read(&answer) == (1, pair.replica.port()))
    })
    .await;
    domain.drain().await;
}

#[actix::test]
async fn where_no_primary_can_be_asked_queries_fail_once_the_limit_has_passed() {
    let pair = Pair::start().await;
    let proxy = Proxy::to(pair.primary.port());
    let config = pair.config_of(&[pair.replica.port(), proxy.port()], SessionAttrs::PreferStandby);
    let domain = Domain::ready(config).await;
    all_from(&domain, &pair.replica).await;
    proxy.set(Fault::Refuse);
    proxy.cut();
    let cut = Instant::now();
    write(&pair.primary, 1).await;
    run(&pair.replica, "postgres", "SELECT pg_wal_replay_pause()").await;
    while cut.elapsed() < LIMIT {
        sleep(Duration::from_millis(10)).await;
    }
    let seen = watch(&domain, WATCHED, |_| 0).await;
    for refused in &seen {
        let Err(QueryError { kind: QueryErrorKind::Unavailable { why, .. }, .. }) = refused else { panic!("{seen:?}") };
        assert!(why.contains("of the hosts, none could be asked as the primary: "), "{why}");
    }
    proxy.set(Fault::None);
    eventually("it answers again", async || domain.ask(QUERY, &[]).await.is_ok()).await;
    domain.drain().await;

    let only_replica = Domain::start(pair.config_of(&[pair.replica.port()], SessionAttrs::Any));
    eventually("it says what is missing", async || {
        let state = only_replica.handle.health().state;
        matches!(state, State::Down { why, .. } if why.contains("of the hosts, none could be asked as the primary"))
    })
    .await;
    only_replica.drain().await;
}

#[actix::test]
async fn a_replica_is_trusted_again_once_it_follows_the_new_timeline() {
    let pair = Pair::start().await;
    let following = pair.replica.replica(pair.replica.port()).expect("a replica of the replica");
    let config =
        pair.config_of(&[following.port(), pair.replica.port(), pair.primary.port()], SessionAttrs::PreferStandby);
    let monitoring = DomainConfig {
        name: DomainName::parse("inventory_db").expect("a name"),
        connection: Connection { user: "monitor".to_owned(), ..config.connection.clone() },
        ..config.clone()
    };
    let role = "CREATE ROLE monitor LOGIN; GRANT SELECT ON versions TO monitor; GRANT pg_read_all_stats TO monitor";
    run(&pair.primary, "postgres", role).await;
    eventually("the replica has the role", async || {
        tokio_postgres::connect(&following.url("postgres").replace("//postgres@", "//monitor@"), tokio_postgres::NoTls)
            .await
            .is_ok()
    })
    .await;
    let (plain, monitor) = (Domain::ready(config).await, Domain::ready(monitoring).await);
    all_from(&plain, &following).await;
    all_from(&monitor, &following).await;

    pair.primary.kill_family();
    run(&pair.replica, "postgres", "SELECT pg_promote()").await;
    write(&pair.replica, 1).await;
    let is_asked = async |domain: &Domain, server: &Server| {
        domain.handle.recycle();
        domain.ask(QUERY, &[]).await.is_ok_and(|answer| read(&answer) == (1, server.port()))
    };
    eventually("the primary is asked", async || is_asked(&plain, &pair.replica).await).await;
    eventually("the replica is asked", async || is_asked(&monitor, &following).await).await;
    assert!(is_asked(&plain, &pair.replica).await);
    eventually("its control file has the new timeline", async || {
        run(&pair.replica, "postgres", "CHECKPOINT").await;
        run(&following, "postgres", "CHECKPOINT").await;
        is_asked(&plain, &following).await
    })
    .await;
    plain.drain().await;
    monitor.drain().await;
}

#[actix::test]
async fn explanations_and_health_say_how_old_rows_may_be() {
    let pair = Pair::start().await;
    let files = tempfile::tempdir().expect("a directory");
    let flow = r#"{flow: versions, input: {id: {type: integer}}, nodes: {row: {type: DBNode, database: oms_db,
        query: "SELECT version FROM versions WHERE version = $1", params: [id]}},
        outcomes: [{status: found, when: "row.version == 0", message: found}]}"#;
    std::fs::write(files.path().join("graph.yaml"), flow).expect("written");
    std::fs::write(files.path().join("service.yaml"), "domains: {oms_db: {max_staleness_ms: 600}}").expect("written");
    let ports = format!("127.0.0.1:{},127.0.0.1:{}", pair.replica.port(), pair.primary.port());
    let url = format!("postgres://reader@{ports}/postgres?target_session_attrs=prefer-standby");
    let setup = Setup {
        graphs: vec![files.path().join("graph.yaml")],
        config: Some(files.path().join("service.yaml")),
        ..Setup::default()
    };
    let app = TestApp::start(setup.domain("oms_db", &url));
    app.wait_for("/readyz", 200).await;
    let answer = app.post("/flows/versions?explain=true", r#"{"id": 0}"#).await.json();
    let staleness = answer["explain"]["nodes"][0]["staleness_us"].as_u64().expect("it is limited");
    assert!((1..=600_000).contains(&staleness), "{answer}");
    let health = app.get("/health/oms_db").await.json();
    assert_eq!(health["staleness"]["max_ms"], 600);
    assert!(health["staleness"]["rows_may_be_older_by_ms"].is_u64(), "{health}");

    let environment = [("OMS_DB_URL".to_owned(), url)];
    let arguments = ["run", "--explain", "--graph", "graph.yaml", "--config", "service.yaml", "--input", "id=0"];
    let (code, shown, errors) = crate::support::run(files.path(), &environment, &arguments);
    assert!(code == 0 && shown.contains("rows older by at most "), "{shown} {errors}");
}

#[actix::test]
async fn doctor_says_that_the_primary_is_missing() {
    let pair = Pair::start().await;
    let found = examine(&pair.config_of(&[pair.replica.port()], SessionAttrs::Any), &[]).await;
    let failure = found.iter().find(|finding| finding.verdict == Verdict::Failure).expect("a failure");
    assert_eq!(failure.remedy.as_deref(), Some("add the primary to OMS_DB_HOST, behind the replicas"), "{failure:?}");
    let both = examine(&pair.config(SessionAttrs::PreferStandby), &[]).await;
    assert!(both.iter().all(|finding| finding.verdict != Verdict::Failure), "{both:?}");
}

#[actix::test]
async fn after_a_failover_nothing_of_the_old_timeline_is_answered() {
    let pair = Pair::start().await;
    let diverging = pair.primary.replica(pair.primary.port()).expect("a replica");
    // What only the second replica gets: it is further than the first one will be.
    pair.link.set(Fault::Stall);
    let filler = "CREATE TABLE filler AS SELECT repeat('x', 1000) FROM generate_series(1, 5000)";
    run(&pair.primary, "postgres", filler).await;
    write(&pair.primary, 1).await;
    eventually("the second replica has it", async || {
        let row = crate::support::connect(&diverging.url("postgres")).await;
        row.query_one("SELECT version FROM versions", &[]).await.is_ok_and(|row| row.get::<_, i64>(0) == 1)
    })
    .await;
    let ports = [diverging.port(), pair.primary.port(), pair.replica.port()];
    let domain = Domain::ready(pair.config_of(&ports, SessionAttrs::PreferStandby)).await;
    all_from(&domain, &diverging).await;

    pair.primary.kill_family();
    run(&pair.replica, "postgres", "SELECT pg_promote()").await;
    write(&pair.replica, 2).await;
    let promoted = Instant::now();
    let seen = watch(&domain, LIMIT + WATCHED, |asked| if asked >= promoted + LIMIT { 2 } else { 0 }).await;
    assert_eq!(seen.last(), Some(&Ok(pair.replica.port())));

    // The old primary comes back and does not know that it was replaced.
    pair.primary.restart().expect("restarted");
    domain.handle.recycle();
    let seen = watch(&domain, WATCHED, |_| 2).await;
    assert!(seen.iter().all(|port| *port == Ok(pair.replica.port())), "{seen:?}");
    domain.drain().await;
}
