//! Temporary states have no lasting effect: connection limits and settings of roles.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use actix::clock::sleep;
use tributary::actors::domain::{DomainHandle, State};
use tributary::config::DomainConfig;
use tributary::types::{Deadline, Value};

use crate::fixture::{
    Domain, LONG, ask, config, database, eventually, first, json, query, run, sessions, shared_server,
};
use crate::load::Load;
use crate::support::{Server, connect};

/// The pause between two queries of a client.
const PAUSE: Duration = Duration::from_millis(5);

/// A domain whose role may have `limit` connections.
async fn limited(server: &Server, name: &str, limit: usize) -> DomainConfig {
    let setup = format!("DROP ROLE IF EXISTS {name}; CREATE ROLE {name} LOGIN CONNECTION LIMIT {limit}");
    let mut config = config(server, &database(server, name, &setup).await);
    name.clone_into(&mut config.connection.user);
    config
}

/// Probes `domain` several times. It has to be ready after each probe.
async fn stays_ready(domain: &Domain) {
    for _ in 0..5 {
        let health = domain.handle.probe(Deadline::after(LONG)).await;
        assert_eq!(health.state, State::Ready, "{:?}", health.last_error);
    }
}

#[actix::test]
async fn a_role_needs_no_more_connections_than_the_pool() {
    for limit in [1, 2, 4] {
        let name = format!("limit_is_max_{limit}");
        let mut config = limited(shared_server(), &name, limit).await;
        (config.pool.min, config.pool.max) = (limit, limit);
        let domain = Domain::ready(config).await;
        stays_ready(&domain).await;
        let load = Load::start(&domain.handle, 8);
        let most = i64::try_from(limit).expect("few");
        let until = Instant::now() + Duration::from_secs(1);
        while Instant::now() < until {
            let found = sessions(shared_server(), &name).await;
            assert!((1..=most).contains(&found), "{found} of {limit}");
            assert_eq!(domain.handle.health().state, State::Ready);
            sleep(PAUSE).await;
        }
        let tally = load.finish().await;
        assert_eq!(tally.errors, [], "{limit}");
        assert!(tally.answers > 20, "{tally:?}");
        domain.drain().await;
    }
}

#[actix::test]
async fn a_probe_without_a_server_slot_does_not_make_the_domain_down() {
    let server = shared_server();
    let mut config = limited(server, "no_slot", 4).await;
    (config.pool.min, config.pool.max) = (3, 4);
    let domain = Domain::ready(config).await;
    // Another client takes the slot as soon as the probe's session has ended.
    let url = server.url("no_slot").replace("postgres@", "no_slot@").replace("user=postgres", "user=no_slot");
    let admin = connect(&server.url("no_slot")).await;
    let mut taken = None;
    eventually("the slot of the probe is taken", async || {
        let end = "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE usename = 'no_slot' AND query = 'SELECT 1'";
        admin.query(end, &[]).await.expect("ended");
        let Ok((client, connection)) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await else { return false };
        actix::spawn(async move { drop(connection.await) });
        taken = Some(client);
        true
    })
    .await;
    stays_ready(&domain).await;
    assert_eq!(domain.value("SELECT 1 AS n", &[]).await, json("1"));
    drop(taken);
    stays_ready(&domain).await;
    domain.drain().await;
}

/// Queries the current schema until it is stopped. Returns the number of answers and the sequence of schemas.
async fn watch(handle: DomainHandle, stop: Arc<AtomicBool>) -> (usize, Vec<Value>) {
    let query = query("SELECT name FROM which WHERE n = $1");
    let (mut answers, mut seen) = (0, Vec::new());
    while !stop.load(Ordering::Relaxed) {
        let answer = ask(&handle, &query, &[json("1")], LONG, None).await;
        let name = first(&answer.expect("no query fails").rows[0]);
        if seen.last() != Some(&name) {
            seen.push(name);
        }
        answers += 1;
        sleep(PAUSE).await;
    }
    (answers, seen)
}

#[actix::test]
async fn a_changed_setting_of_the_role_takes_effect_within_the_lifetime_and_fails_no_query() {
    let server = shared_server();
    let setup = "DROP ROLE IF EXISTS aged; CREATE ROLE aged LOGIN; ALTER ROLE aged SET search_path = old;
        CREATE SCHEMA old; CREATE TABLE old.which AS SELECT 1 AS n, 'old' AS name;
        CREATE SCHEMA new; CREATE TABLE new.which AS SELECT 1 AS n, 'new' AS name;
        GRANT USAGE ON SCHEMA old, new TO aged; GRANT SELECT ON old.which, new.which TO aged";
    let database = database(server, "aged", setup).await;
    let mut config = config(server, &database);
    config.connection.user = "aged".to_owned();
    config.pool.max_lifetime = Duration::from_millis(500);
    let domain = Domain::ready(config).await;
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..16).map(|_| actix::spawn(watch(domain.handle.clone(), Arc::clone(&stop)))).collect();
    let admin = connect(&server.url("postgres")).await;
    let older = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'aged' AND backend_start < $1";
    for path in ["new", "old", "new"] {
        run(server, &database, &format!("ALTER ROLE aged SET search_path = {path}")).await;
        let changed: SystemTime = admin.query_one("SELECT now()", &[]).await.expect("a time").get(0);
        eventually("every connection, the probe's included, is newer than the change", async || {
            admin.query_one(older, &[&changed]).await.expect("a count").get::<_, i64>(0) == 0
        })
        .await;
        assert_eq!(domain.value("SELECT name FROM which", &[]).await, Value::text(path));
    }
    stop.store(true, Ordering::Relaxed);
    let mut all = 0;
    for client in clients {
        let (answers, seen) = client.await.expect("no client panics: no query failed");
        all += answers;
        assert!(seen.len() > 1, "{seen:?}");
    }
    assert!(all > 200, "{all} answers");
    assert_eq!(domain.handle.health().state, State::Ready);
    domain.drain().await;
}
