//! Events arrive in order, once where nothing fails, and soon.

use std::time::{Duration, Instant};

use crate::fixture::{
    Relay, assert_in_order, assert_once, distinct, environment, id_of, make_tables, waiting, write, write_one,
};
use crate::support::{Database, Hook, Reply, connect, eventually, eventually_async, run};

#[tokio::test(flavor = "multi_thread")]
async fn events_of_each_key_arrive_once_and_in_order_from_several_writers() {
    let (database, hook) = (Database::empty().await, Hook::start());
    make_tables(&database.url()).await;
    let relay = Relay::start(&database.url(), &hook.section());
    write(&database.url(), 1_000, 20, 5).await;
    eventually("every event is received", || distinct(&hook.received()) == 1_000);
    relay.stop();
    assert_in_order(&hook.received(), 1_000, 20);
    assert_once(&hook.received());
    assert_eq!(waiting(&database.url()).await, 0, "every event is marked as sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_relays_send_each_event_once_and_in_order() {
    let (database, hook) = (Database::empty().await, Hook::start());
    make_tables(&database.url()).await;
    let section = format!("{}, batch: 3", hook.section());
    let relays = [0, 1].map(|_| Relay::start(&database.url(), &section));
    write(&database.url(), 1_000, 20, 5).await;
    eventually("every event is received", || distinct(&hook.received()) == 1_000);
    relays.into_iter().for_each(Relay::stop);
    assert_in_order(&hook.received(), 1_000, 20);
    assert_once(&hook.received());
    assert_eq!(waiting(&database.url()).await, 0, "every event is marked as sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_wakes_the_relay_long_before_the_poll_does() {
    let (database, hook) = (Database::empty().await, Hook::start());
    make_tables(&database.url()).await;
    let _relay = Relay::start(&database.url(), &format!("{}, poll_ms: 3600000", hook.section()));
    let mut client = connect(&database.url()).await;
    write_one(&mut client, 0, "order", "null").await;
    eventually("the first event is received", || hook.received().len() == 1);
    for number in 2..=10 {
        let written = Instant::now();
        write_one(&mut client, 0, "order", "null").await;
        eventually("the event is received", || hook.received().len() == number);
        assert!(written.elapsed() < Duration::from_secs(5), "{:?}", written.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_whose_notification_was_lost_is_found_by_the_poll() {
    let (database, hook) = (Database::empty().await, Hook::start());
    make_tables(&database.url()).await;
    let _relay = Relay::start(&database.url(), &format!("{}, poll_ms: 100", hook.section()));
    let mut client = connect(&database.url()).await;
    write_one(&mut client, 0, "order", "null").await;
    eventually("the first event is received", || hook.received().len() == 1);
    let insert = "INSERT INTO tributary_outbox (id, aggregatetype, aggregateid, type, payload) \
        VALUES ('00000000-0000-4000-0000-000000000001', 'order', 'key-0', 'placed', '{\"n\": 1}')";
    client.batch_execute(insert).await.expect("an event");
    eventually("the second event is received", || hook.received().len() == 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_has_the_headers_of_cloudevents_the_key_of_the_event_and_the_token() {
    let (database, hook) = (Database::empty().await, Hook::start());
    make_tables(&database.url()).await;
    let relay = Relay::start_with(&database.url(), &hook.section(), &[("RELAY_TOKEN", "hook-token")]);
    let mut client = connect(&database.url()).await;
    write_one(&mut client, 7, "purchase order", r#"{"price": 1.10, "big": 12345678901234567890.5}"#).await;
    eventually("the event is received", || hook.requests().len() == 1);
    let (heard, _) = hook.requests().remove(0);
    assert_eq!(heard.line, "POST /hook HTTP/1.1");
    for (name, value) in [
        ("ce-id", &*id_of(7, 0)),
        ("idempotency-key", &*id_of(7, 0)),
        ("ce-specversion", "1.0"),
        ("ce-type", "purchase%20order.placed"),
        ("ce-source", "oms_db/purchase%20order"),
        ("ce-subject", "key-7"),
        ("content-type", "application/json"),
        ("authorization", "Bearer hook-token"),
    ] {
        assert_eq!(heard.headers.get(name).map(String::as_str), Some(value), "{name}");
    }
    let time: jiff::Timestamp = heard.headers["ce-time"].parse().expect("RFC 3339");
    assert!((jiff::Timestamp::now() - time).get_seconds().abs() < 60, "{time}");
    assert_eq!(heard.body["more"].to_string(), r#"{"big":12345678901234567890.5,"price":1.10}"#);
    assert!(!relay.log().contains("hook-token"), "{}", relay.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_event_of_an_effect_arrives() {
    let database = Database::with("CREATE TABLE stock AS SELECT 'PROD-1'::text AS id, 7 AS qty").await;
    let (url, hook) = (database.url(), Hook::start());
    make_tables(&url).await;
    let relay = Relay::start(&url, &hook.section());
    let decision = ["run", "--input", "product_id=PROD-1", "--key", "k-1"];
    let (code, _, errors) = run(relay.directory(), &environment(&url), &decision);
    assert_eq!(code, 0, "{errors}");
    eventually("the event is received", || hook.requests().len() == 1);
    let (heard, _) = hook.requests().remove(0);
    for (name, value) in
        [("ce-type", "purchase_order.placed"), ("ce-source", "oms_db/purchase_order"), ("ce-subject", "PROD-1")]
    {
        assert_eq!(heard.headers.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert_eq!(heard.body["status"], "done", "the payload is the answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_stops_finishes_the_event_in_flight_and_marks_it() {
    let (database, hook) = (Database::empty().await, Hook::start());
    make_tables(&database.url()).await;
    hook.replies(|_| Reply::Late(Duration::from_millis(700)));
    let relay = Relay::start(&database.url(), &hook.section());
    write(&database.url(), 3, 1, 1).await;
    eventually("the first event is in flight", || hook.requests().len() == 1);
    relay.begin_to_stop();
    relay.ended();
    assert_eq!(hook.requests().len(), 1, "no other event is sent");
    assert_eq!(waiting(&database.url()).await, 2, "the event in flight is marked");
}

#[tokio::test(flavor = "multi_thread")]
async fn sent_events_are_deleted_after_their_time_or_at_once() {
    for (keep, wait) in [(0, 0), (1, 1)] {
        let (database, hook) = (Database::empty().await, Hook::start());
        make_tables(&database.url()).await;
        let mut client = connect(&database.url()).await;
        let old = "INSERT INTO tributary_outbox (id, aggregatetype, aggregateid, type, payload, sent_at) \
            SELECT gen_random_uuid(), 'order', 'key-99', 'placed', '{}', now() - interval '1 h' FROM generate_series(1, 20)";
        if wait > 0 {
            client.batch_execute(old).await.expect("old events");
        }
        let _relay = Relay::start(&database.url(), &format!("{}, keep_sent_s: {keep}", hook.section()));
        write_one(&mut client, 0, "order", "null").await;
        eventually("the event is received", || hook.received().len() == 1);
        eventually_async("sent events are deleted", async || {
            let row = client.query_one("SELECT count(*) FROM tributary_outbox", &[]).await.expect("a count");
            row.get::<_, i64>(0) == 0
        })
        .await;
    }
}
