//! Failures of the network between a domain and its server.

use std::time::{Duration, Instant};

use actix::clock::sleep;
use tributary::actors::domain::State;
use tributary::config::{DomainConfig, SessionAttrs, Timeouts};
use tributary::flow::QueryErrorKind;
use tributary::types::{Deadline, Value};

use crate::fixture::{
    AT_ONCE, Domain, LONG, RECOVERY, config, database, eventually, json, quickest_refusal, shared_server,
};
use crate::load::{Load, Tally};
use crate::support::{Fault, Proxy};

/// A database behind a proxy.
async fn behind_a_proxy(name: &str) -> (Proxy, DomainConfig) {
    let server = shared_server();
    let database = database(server, name, "").await;
    let proxy = Proxy::to(server.port());
    let mut config = config(server, &database);
    config.connection.hosts = vec![("127.0.0.1".to_owned(), proxy.port())];
    config.timeouts = Timeouts {
        query: Duration::from_secs(1),
        connect: Duration::from_secs(2),
        probe: Duration::from_millis(500),
        ..config.timeouts
    };
    (proxy, config)
}

/// Waits until a probe is answered, so that two consecutive ones do not fail.
async fn wait_ready(domain: &Domain) {
    eventually("the domain is ready", async || domain.handle.probe(Deadline::after(LONG)).await.state == State::Ready)
        .await;
}

#[actix::test]
async fn a_host_that_does_not_answer_does_not_use_up_the_time_of_the_next() {
    let (proxy, mut config) = behind_a_proxy("beside_a_silent_host").await;
    proxy.set(Fault::DropSilently);
    let server = shared_server();
    config.connection.hosts.push((server.host().to_owned(), server.port()));
    config.timeouts.connect = Duration::from_millis(300);
    // PreferStandby takes a primary only after all hosts were asked whether they are a standby.
    for attrs in [SessionAttrs::Any, SessionAttrs::Primary, SessionAttrs::PreferStandby] {
        config.connection.session_attrs = attrs;
        let domain = Domain::ready(config.clone()).await;
        assert_eq!(domain.value("SELECT 1::int8", &[]).await, Value::Integer(1), "{attrs:?}");
        domain.drain().await;
    }
}

#[actix::test]
async fn a_host_that_does_not_answer_delays_only_the_first_connection() {
    let (proxy, mut config) = behind_a_proxy("after_a_silent_host").await;
    proxy.set(Fault::DropSilently);
    let server = shared_server();
    config.connection.hosts.push((server.host().to_owned(), server.port()));
    let connect = config.timeouts.connect;
    for attrs in [SessionAttrs::Any, SessionAttrs::PreferStandby] {
        config.connection.session_attrs = attrs;
        let domain = Domain::ready(config.clone()).await;
        for _ in 0..3 {
            domain.handle.recycle();
            let start = Instant::now();
            assert_eq!(domain.value("SELECT 1::int8", &[]).await, Value::Integer(1));
            assert!(start.elapsed() < connect, "{attrs:?}: {:?}", start.elapsed());
        }
        domain.drain().await;
    }
}

fn only_outages(tally: &Tally) {
    assert!(tally.answers > 0, "{tally:?}");
    for error in &tally.errors {
        let outage = matches!(
            error.kind,
            QueryErrorKind::Unavailable { .. }
                | QueryErrorKind::ConnectionLost { .. }
                | QueryErrorKind::Timeout { .. }
                | QueryErrorKind::Overloaded { .. }
        );
        assert!(outage, "{error:?}");
    }
}

/// `fault` makes the domain down, queries fail at once, and the domain recovers after its end.
async fn is_detected_with_its_end(name: &str, fault: Fault) {
    let (proxy, config) = behind_a_proxy(name).await;
    let domain = Domain::ready(config).await;
    let load = Load::start(&domain.handle, 5);
    let mut quickest = Duration::MAX;
    for _ in 0..3 {
        sleep(Duration::from_millis(100)).await;
        proxy.set(fault);
        if fault == Fault::Refuse {
            proxy.cut();
        }
        eventually("the domain is down", async || matches!(domain.handle.health().state, State::Down { .. })).await;
        let after = quickest_refusal(&domain).await;
        assert!(after < AT_ONCE, "refused after {after:?}");
        proxy.set(Fault::None);
        let healed = Instant::now();
        domain.handle.wait_ready(Deadline::after(LONG)).await.expect("a ready domain");
        quickest = quickest.min(healed.elapsed());
        assert_eq!(domain.value("SELECT 1 AS n", &[]).await, json("1"));
    }
    assert!(quickest < RECOVERY, "recovered after {quickest:?}");
    only_outages(&load.finish().await);
    domain.drain().await;
    if fault != Fault::DropSilently {
        // (The proxy does not see connections that were closed while it dropped packets.)
        eventually("every connection is closed", async || proxy.connections() == 0).await;
    }
}

#[actix::test]
async fn a_stalled_network_and_its_recovery_are_detected() {
    is_detected_with_its_end("stalls", Fault::Stall).await;
}

#[actix::test]
async fn a_network_that_drops_packets_and_its_recovery_are_detected() {
    is_detected_with_its_end("loses", Fault::DropSilently).await;
}

#[actix::test]
async fn a_network_that_refuses_connections_and_its_recovery_are_detected() {
    is_detected_with_its_end("refuses", Fault::Refuse).await;
}

#[actix::test]
async fn connections_that_are_cut_or_half_closed_fail_at_most_the_queries_in_flight() {
    for (name, end) in [("cuts", Proxy::cut as fn(&Proxy)), ("half_closes", Proxy::half_close)] {
        let (proxy, config) = behind_a_proxy(name).await;
        let domain = Domain::ready(config).await;
        // Idle connections: no query fails.
        for _ in 0..5 {
            end(&proxy);
            sleep(Duration::from_millis(20)).await;
            assert_eq!(domain.value("SELECT 1 AS n", &[]).await, json("1"));
            wait_ready(&domain).await;
        }
        let load = Load::start(&domain.handle, 5);
        for _ in 0..5 {
            sleep(Duration::from_millis(100)).await;
            end(&proxy);
            wait_ready(&domain).await;
        }
        let tally = load.finish().await;
        only_outages(&tally);
        let most_at_once = 5;
        assert!(tally.errors.len() <= 5 * most_at_once, "{:?}", tally.errors);
        domain.handle.wait_ready(Deadline::after(LONG)).await.expect("a ready domain");
        domain.drain().await;
    }
}

#[actix::test]
async fn a_slow_network_is_not_a_failure() {
    let (proxy, mut config) = behind_a_proxy("slow").await;
    config.timeouts.probe = Duration::from_secs(2);
    proxy.set(Fault::Delay(Duration::from_millis(30)));
    let domain = Domain::ready(config).await;
    let load = Load::start(&domain.handle, 5);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(load.finish().await.errors, []);
    assert_eq!(domain.handle.health().state, State::Ready);
    domain.drain().await;
}
