//! The actor of a domain is replaced, restarted and drained. Its database fails and recovers.

use std::time::{Duration, Instant};

use actix::clock::sleep;
use tributary::actors::domain::{Fault, LifecycleError, State};
use tributary::actors::supervision::SupervisionError;
use tributary::config::Timeouts;
use tributary::demo::Binaries;
use tributary::flow::QueryErrorKind;
use tributary::types::{Deadline, DomainName};

use crate::fixture::{
    AT_ONCE, Domain, LONG, RECOVERY, ask, config, database, eventually, json, query, quickest_refusal, run, sessions,
    shared_server,
};
use crate::load::Load;
use crate::support::Server;

const TERMINATE: &str = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() \
                         AND pid <> pg_backend_pid()";

/// Waits until the domain is ready, and returns how long that took.
async fn recovered(domain: &Domain) -> Duration {
    let started = Instant::now();
    domain.handle.wait_ready(Deadline::after(LONG)).await.expect("a ready domain");
    started.elapsed()
}

async fn down(domain: &Domain) {
    eventually("the domain is down", async || matches!(domain.handle.health().state, State::Down { .. })).await;
}

/// Injects `fault` repeatedly under load. No query fails. Returns the number of restarts.
async fn fails_no_query(name: &str, fault: Fault) -> u64 {
    let server = shared_server();
    let database = database(server, name, "").await;
    let domain = Domain::ready(config(server, &database)).await;
    let load = Load::start(&domain.handle, 10);
    for _ in 0..15 {
        domain.handle.wait_ready(Deadline::after(LONG)).await.expect("a ready domain");
        sleep(Duration::from_millis(50)).await;
        let before = domain.handle.health().restarts;
        domain.handle.inject(fault);
        // A dead actor looks ready for a moment, and a fault injected then has no effect.
        eventually("the actor is replaced", async || domain.handle.health().restarts > before).await;
    }
    let tally = load.finish().await;
    assert_eq!(tally.errors, []);
    assert!(tally.answers > 20, "{tally:?}");
    let restarts = domain.handle.health().restarts;
    domain.drain().await;
    eventually("every connection is closed", async || sessions(server, &database).await == 0).await;
    restarts
}

#[actix::test]
async fn a_panicking_domain_actor_is_replaced_within_the_deadline() {
    assert!(fails_no_query("panics", Fault::PanicInActor).await >= 10);
}

#[actix::test]
async fn a_panicking_worker_is_replaced_and_its_queries_are_retried() {
    assert!(fails_no_query("panicking_workers", Fault::PanicInWorkers).await >= 10);
}

#[actix::test]
async fn a_restart_under_load_fails_no_request_and_leaves_no_connection_behind() {
    let server = shared_server();
    let database = database(server, "restarts", "").await;
    let config = config(server, &database);
    let domain = Domain::ready(config.clone()).await;
    let load = Load::start(&domain.handle, 10);
    let mut renamed = config.clone();
    renamed.connection.application_name = "renamed".to_owned();
    for round in 0..6 {
        sleep(Duration::from_millis(50)).await;
        let config = (round == 3).then(|| renamed.clone());
        domain
            .set
            .restart(&config.as_ref().map_or(domain.handle.name().clone(), |c| c.name.clone()), config)
            .await
            .expect("restarted");
    }
    let tally = load.finish().await;
    assert_eq!(tally.errors, []);
    assert!(tally.answers > 20, "{tally:?}");
    assert_eq!(domain.handle.health().restarts, 6);
    // The new configuration stays.
    assert_eq!(domain.value("SHOW application_name", &[]).await, json("\"renamed\""));
    let most = i64::try_from(config.pool.max + 1).expect("few");
    eventually("the old connections are closed", async || sessions(server, &database).await <= most).await;
    domain.drain().await;
}

#[actix::test]
async fn a_replacement_that_cannot_connect_is_not_put_in_service() {
    let server = shared_server();
    let database = database(server, "bad_replacement", "").await;
    let config = config(server, &database);
    let domain = Domain::ready(config.clone()).await;
    let mut wrong = config;
    wrong.connection.database = "nowhere".to_owned();
    let refused = domain.set.restart(&wrong.name.clone(), Some(wrong)).await.expect_err("a refusal");
    assert!(matches!(refused, SupervisionError::Lifecycle(LifecycleError::NotReady { .. })), "{refused:?}");
    assert!(refused.to_string().contains("there is no such database"), "{refused}");
    assert_eq!(domain.value("SELECT 1 AS n", &[]).await, json("1"));
    assert_eq!(domain.handle.health().restarts, 0);
    domain.drain().await;
}

#[actix::test]
async fn a_drained_domain_finishes_its_queries_and_closes_every_connection() {
    let server = shared_server();
    let database = database(server, "drains", "").await;
    let domain = Domain::ready(config(server, &database)).await;
    let handle = domain.handle.clone();
    let slow = query("SELECT 7 AS n FROM pg_sleep(0.4)");
    let asked = actix::spawn(async move { ask(&handle, &slow, &[], LONG, None).await });
    eventually("the query is in flight", async || domain.handle.health().in_flight == 1).await;
    let draining = Instant::now();
    domain.set.drain(LONG).await;
    // It waits for the query and not until the limit.
    assert!(draining.elapsed() < LONG / 2, "drained after {:?}", draining.elapsed());
    assert!(asked.await.expect("no panic").is_ok());
    let error = domain.ask("SELECT 1 AS n", &[]).await.expect_err("a refusal");
    assert!(matches!(error.kind, QueryErrorKind::Unavailable { .. }), "{error}");
    assert_eq!(domain.handle.health().state, State::Stopped);
    eventually("every connection is closed", async || sessions(server, &database).await == 0).await;
}

#[actix::test]
async fn domains_are_added_and_removed_while_others_serve() {
    let server = shared_server();
    let database = database(server, "comings_and_goings", "").await;
    let domain = Domain::ready(config(server, &database)).await;
    let mut other = config(server, &database);
    other.name = DomainName::parse("uom_db").expect("a name");
    domain.set.add(other.clone()).await.expect("added");
    let added = domain.set.get(&other.name).expect("its handle");
    added.wait_ready(Deadline::after(LONG)).await.expect("a ready domain");
    assert!(matches!(domain.set.add(other.clone()).await, Err(SupervisionError::Exists { .. })));
    domain.set.remove(&other.name, LONG).await.expect("removed");
    assert!(domain.set.get(&other.name).is_none());
    let error = ask(&added, &query("SELECT 1 AS n"), &[], LONG, None).await.expect_err("a refusal");
    assert_eq!(error.domain, other.name);
    assert!(matches!(domain.set.remove(&other.name, LONG).await, Err(SupervisionError::Unknown { .. })));
    assert_eq!(domain.value("SELECT 1 AS n", &[]).await, json("1"));
    domain.drain().await;
}

#[actix::test]
async fn a_domain_starts_while_its_server_is_down_and_serves_soon_after_it_is_up() {
    let server = Server::disposable(&[]).expect("a server");
    let mut quickest = Duration::MAX;
    for _ in 0..3 {
        server.stop().expect("stopped");
        let domain = Domain::start(config(&server, "postgres"));
        let error = domain.ask("SELECT 1 AS n", &[]).await.expect_err("a refusal");
        assert!(matches!(error.kind, QueryErrorKind::Unavailable { .. }), "{error:?}");
        assert!(error.to_string().contains("oms_db"), "{error}");
        let after = quickest_refusal(&domain).await;
        assert!(after < AT_ONCE, "refused after {after:?}");
        server.restart().expect("started");
        quickest = quickest.min(recovered(&domain).await);
        assert_eq!(domain.value("SELECT 1 AS n", &[]).await, json("1"));
        domain.drain().await;
    }
    assert!(quickest < RECOVERY, "recovered after {quickest:?}");
}

#[actix::test]
async fn queries_of_a_killed_server_fail_at_once_and_its_recovery_is_detected() {
    let server = Server::disposable(&[]).expect("a server");
    let domain = Domain::ready(config(&server, "postgres")).await;
    let load = Load::start(&domain.handle, 10);
    let mut quickest = Duration::MAX;
    for _ in 0..3 {
        server.kill_family();
        down(&domain).await;
        let after = quickest_refusal(&domain).await;
        assert!(after < AT_ONCE, "refused after {after:?}");
        server.restart().expect("started");
        quickest = quickest.min(recovered(&domain).await);
        sleep(Duration::from_millis(100)).await;
    }
    assert!(quickest < RECOVERY, "recovered after {quickest:?}");
    let tally = load.finish().await;
    assert!(tally.answers > 0);
    for error in &tally.errors {
        let expected = matches!(error.kind, QueryErrorKind::Unavailable { .. } | QueryErrorKind::ConnectionLost { .. });
        assert!(expected, "{error:?}");
    }
    domain.drain().await;
}

#[actix::test]
async fn a_frozen_server_and_its_recovery_are_detected() {
    let server = Server::disposable(&[]).expect("a server");
    let mut config = config(&server, "postgres");
    config.timeouts = Timeouts {
        connect: Duration::from_secs(1),
        probe: Duration::from_millis(300),
        query: Duration::from_secs(1),
        ..config.timeouts
    };
    let domain = Domain::ready(config).await;
    let load = Load::start(&domain.handle, 10);
    let mut quickest = Duration::MAX;
    for _ in 0..3 {
        server.freeze();
        down(&domain).await;
        let after = quickest_refusal(&domain).await;
        assert!(after < AT_ONCE, "refused after {after:?}");
        server.thaw();
        quickest = quickest.min(recovered(&domain).await);
        sleep(Duration::from_millis(100)).await;
    }
    assert!(quickest < RECOVERY, "recovered after {quickest:?}");
    let tally = load.finish().await;
    assert!(tally.answers > 0);
    domain.drain().await;
}

#[actix::test]
async fn sessions_that_the_server_has_ended_are_never_used_for_a_query() {
    let server = shared_server();
    let database = database(server, "terminated", "").await;
    let domain = Domain::ready(config(server, &database)).await;
    // Idle ones: no query fails.
    for _ in 0..10 {
        run(server, &database, TERMINATE).await;
        assert_eq!(domain.value("SELECT 1 AS n", &[]).await, json("1"));
    }
    // Under load: queries that the server aborted are retried.
    let load = Load::start(&domain.handle, 10);
    for _ in 0..10 {
        sleep(Duration::from_millis(100)).await;
        run(server, &database, TERMINATE).await;
    }
    let tally = load.finish().await;
    assert!(tally.answers > 20, "{tally:?}");
    for error in &tally.errors {
        assert!(matches!(error.kind, QueryErrorKind::ConnectionLost { .. }), "{error:?}");
    }
    assert!(tally.errors.len() * 100 < tally.answers, "{} of {} failed", tally.errors.len(), tally.answers);
    domain.drain().await;
}

#[actix::test]
async fn health_describes_a_domain_and_sends_nothing_to_its_database() {
    let server = shared_server();
    let database = database(server, "health", "").await;
    let mut config = config(server, &database);
    config.timeouts.probe_interval = LONG;
    let domain = Domain::ready(config).await;
    let before = domain.handle.health();
    for _ in 0..100 {
        domain.handle.health();
    }
    let health = serde_json::to_value(domain.handle.health()).expect("JSON");
    assert_eq!(health["domain"], "oms_db");
    assert_eq!(health["state"], "ready");
    assert_eq!(health["restarts"], 0);
    assert_eq!(health["pool"], serde_json::json!({"max": 4, "size": 2, "idle": 2, "waiting": 0, "timeouts": 0}));
    assert_eq!(health["in_flight"], 0);
    let version = health["server_version"].as_str().expect("a version");
    assert!(version.starts_with(&Binaries::find().expect("PostgreSQL is installed").version().text), "{version}");
    assert!(health["last_probe"]["latency_us"].as_u64().is_some_and(|latency| latency > 0), "{health}");
    assert_eq!(domain.handle.health().last_probe, before.last_probe);
    // A requested probe is sent.
    let probed = domain.handle.probe(Deadline::after(LONG)).await;
    assert!(probed.last_probe.map(|probe| probe.at) > before.last_probe.map(|probe| probe.at));
    domain.drain().await;
}
