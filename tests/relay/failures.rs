//! Webhooks, databases and relays that fail: every event arrives, in order, and what arrives again has the same id.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::fixture::{Relay, assert_in_order, distinct, make_tables, waiting, write, write_one};
use crate::support::server::PRIMARY;
use crate::support::{Database, Heard, Hook, Reply, Server, connect, eventually, eventually_async, require_replica};

/// Waits until all events are received, and checks their order.
async fn all_received(url: &str, hook: &Hook, events: usize, keys: usize) {
    eventually_async("every event is received and marked", async || {
        distinct(&hook.received()) == events && waiting(url).await == 0
    })
    .await;
    assert_in_order(&hook.received(), events, keys);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_arrive_in_order_from_a_webhook_that_fails_hangs_and_loses_answers() {
    let (database, hook) = (Database::empty().await, Hook::start());
    make_tables(&database.url()).await;
    let calls = AtomicUsize::new(0);
    hook.replies(move |_| match calls.fetch_add(1, Ordering::Relaxed) {
        n if n % 41 == 7 => Reply::Hang,
        n if n % 13 == 5 => Reply::Lost,
        n if n % 11 == 3 => Reply::Status(500),
        n if n % 17 == 9 => Reply::Status(429),
        _ => Reply::Status(200),
    });
    let _relay = Relay::start(&database.url(), &format!("{}, timeout_ms: 300, batch: 10", hook.section()));
    write(&database.url(), 500, 20, 5).await;
    all_received(&database.url(), &hook, 500, 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_arrive_in_order_at_a_webhook_that_is_restarted() {
    let (database, hook) = (Database::empty().await, Hook::start());
    make_tables(&database.url()).await;
    hook.replies(|_| Reply::Late(Duration::from_millis(2)));
    let relay = Relay::start(&database.url(), &hook.section());
    let url = database.url();
    let writing = tokio::spawn(async move { write(&url, 1_000, 20, 5).await });
    for round in 1..=3 {
        eventually("events arrive", || distinct(&hook.received()) >= 100 * round);
        hook.stop();
        eventually("the relay notices", || relay.log().matches("relay.destination.unreachable").count() >= round);
        hook.restart();
    }
    writing.await.expect("the writers end");
    all_received(&database.url(), &hook, 1_000, 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_arrive_in_order_from_a_database_that_is_killed_and_restarted() {
    let server = Server::disposable(&[]).expect("a server");
    let (url, hook) = (server.url("postgres"), Hook::start());
    make_tables(&url).await;
    write(&url, 1_000, 20, 5).await;
    hook.replies(|_| Reply::Late(Duration::from_millis(20)));
    let relay = Relay::start(&url, &format!("{}, batch: 5, max_in_flight: 8", hook.section()));
    for round in 1..=2 {
        let before = distinct(&hook.received());
        eventually("events arrive", || distinct(&hook.received()) >= before + 50);
        server.kill_family();
        eventually("the relay notices", || relay.log().matches("relay.domain.unavailable").count() >= round);
        server.restart().expect("the server starts");
    }
    all_received(&url, &hook, 1_000, 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_a_required_replica_does_not_have_is_not_sent() {
    let server = Server::disposable(&PRIMARY).expect("a server");
    let (url, hook) = (server.url("postgres"), Hook::start());
    make_tables(&url).await;
    let client = connect(&url).await;
    let sessions = async |query: &str| client.query_one(query, &[]).await.expect("a count").get::<_, i64>(0);
    let waiting_sessions = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    let interrupted = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";

    require_replica(&url, "absent").await;
    let mut writer = connect(&url).await;
    let write = tokio::spawn(async move { write_one(&mut writer, 0, "order", "null").await });
    eventually_async("COMMIT waits", async || sessions(waiting_sessions).await == 1).await;
    assert_eq!(sessions(interrupted).await, 1);
    assert!(write.await.is_err(), "the writer has lost its session");
    eventually_async("the event is visible", async || waiting(&url).await == 1).await;

    let _relay = Relay::start(&url, &hook.section());
    eventually_async("the relay waits for the replica", async || sessions(waiting_sessions).await == 1).await;
    assert_eq!(hook.requests().len(), 0, "nothing is sent");
    require_replica(&url, "").await;
    all_received(&url, &hook, 1, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_frozen_only_delays_events() {
    let server = Server::disposable(&[]).expect("a server");
    let (url, hook) = (server.url("postgres"), Hook::start());
    make_tables(&url).await;
    write(&url, 300, 10, 5).await;
    hook.replies(|_| Reply::Late(Duration::from_millis(20)));
    let relay = Relay::start(&url, &format!("{}, batch: 5, max_in_flight: 4", hook.section()));
    eventually("events arrive", || distinct(&hook.received()) >= 50);
    server.freeze();
    eventually("the relay notices", || relay.log().contains("relay.domain.unavailable"));
    server.thaw();
    all_received(&url, &hook, 300, 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_killed_relay_are_sent_by_another_in_order() {
    let (database, hook) = (Database::empty().await, Hook::start());
    make_tables(&database.url()).await;
    hook.replies(|_| Reply::Late(Duration::from_millis(5)));
    let section = format!("{}, batch: 20, max_in_flight: 10", hook.section());
    let mut relays = [0, 1].map(|_| Relay::start(&database.url(), &section));
    let url = database.url();
    let writing = tokio::spawn(async move { write(&url, 1_000, 20, 5).await });
    for round in 1..=3 {
        eventually("events arrive", || distinct(&hook.received()) >= 150 * round);
        let killed = std::mem::replace(&mut relays[round % 2], Relay::start(&database.url(), &section));
        killed.kill();
    }
    writing.await.expect("the writers end");
    all_received(&database.url(), &hook, 1_000, 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_event_keeps_its_key_in_order_and_delays_no_other() {
    let (database, hook) = (Database::empty().await, Hook::start());
    make_tables(&database.url()).await;
    let is_of = |heard: &Heard, keys: &[&str]| keys.contains(&&*heard.headers["ce-subject"]);
    hook.replies(move |heard| match heard {
        heard if is_of(heard, &["key-0"]) && heard.body["n"] == 1 => Reply::Status(422),
        heard if is_of(heard, &["key-1", "key-2", "key-3"]) => Reply::Hang,
        heard if is_of(heard, &["key-4"]) => Reply::Lost,
        _ => Reply::Status(204),
    });
    let relay = Relay::start(&database.url(), &format!("{}, max_in_flight: 4, timeout_ms: 1000", hook.section()));
    write(&database.url(), 400, 20, 5).await;
    let of_others =
        || hook.received().iter().filter(|event| !(0..=4).any(|n| event.key.ends_with(&format!("key-{n}")))).count();
    eventually("the events of the other event keys are received", || of_others() == 300);
    eventually("the refusal is logged", || relay.log().contains("relay.event.refused"));
    let log = relay.log();
    let line = log.lines().find(|line| line.contains("relay.event.refused")).expect("a line");
    for part in ["ERROR", "oms_db", "order.placed", "00000000-0000-4000-0000-000000000001", "status 422"] {
        assert!(line.contains(part), "`{part}` is in {line}");
    }
    let numbers: Vec<u64> =
        hook.received().iter().filter(|event| event.key.ends_with("key-0")).map(|event| event.number).collect();
    assert_eq!(numbers, [0], "nothing of the event key overtakes the refused event");
}

#[tokio::test(flavor = "multi_thread")]
async fn pauses_grow_while_one_event_fails_and_each_is_logged_once() {
    let (database, hook) = (Database::empty().await, Hook::start());
    make_tables(&database.url()).await;
    hook.replies(|_| Reply::Status(503));
    let relay = Relay::start(&database.url(), &hook.section());
    let mut client = connect(&database.url()).await;
    write_one(&mut client, 0, "order", "null").await;
    eventually("several attempts are made", || hook.requests().len() >= 5);
    let log = relay.log();
    let pauses: Vec<&str> = log.lines().filter(|line| line.contains("relay.event.failed")).collect();
    for (line, pause) in pauses.iter().zip([100, 200, 400, 800]) {
        assert!(line.contains("WARN") && line.contains(&format!("retry_ms={pause}")), "{line}");
    }
    assert!((4..=5).contains(&pauses.len()), "one line for each pause: {log}");
    hook.replies(|_| Reply::Status(200));
    eventually("the event is received", || hook.received().len() == 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_the_tables_is_tried_again_and_the_log_has_the_remedy() {
    let (database, hook) = (Database::empty().await, Hook::start());
    let relay = Relay::start(&database.url(), &hook.section());
    eventually("the error is logged", || relay.log().contains("`tributary schema effects` prints the table"));
    make_tables(&database.url()).await;
    write(&database.url(), 10, 2, 1).await;
    all_received(&database.url(), &hook, 10, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_row_delays_no_other_event_key() {
    let (database, hook) = (Database::empty().await, Hook::start());
    make_tables(&database.url()).await;
    let mut client = connect(&database.url()).await;
    write(&database.url(), 20, 2, 1).await;
    let transaction = client.transaction().await.expect("a transaction");
    let lock = "SELECT FROM tributary_outbox WHERE aggregateid = 'key-0' FOR UPDATE";
    transaction.execute(lock, &[]).await.expect("the rows are locked");
    let _relay = Relay::start(&database.url(), &hook.section());
    let of = |key: &str| hook.received().iter().filter(|event| event.key.ends_with(key)).count();
    eventually("the other event key is received", || of("key-1") == 10);
    transaction.commit().await.expect("the lock ends");
    all_received(&database.url(), &hook, 20, 2).await;
}
