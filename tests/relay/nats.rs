//! Events in a stream of NATS `JetStream`, on a server that the test starts.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use async_nats::{Client, ConnectOptions};
use futures_util::StreamExt;
use serde_json::{Value as Json, json};

use crate::fixture::{Relay, assert_in_order, assert_once, distinct, id_of, make_tables, waiting, write, write_one};
use crate::support::{Database, Port, Process, Received, connect, eventually, eventually_async};

fn server_program() -> PathBuf {
    let home = std::env::var("HOME").unwrap_or_default();
    let unpacked = format!("{home}/.cache/tributary/tools/nats/nats-server");
    let candidates = [std::env::var("NATS_SERVER").unwrap_or_default(), "/usr/sbin/nats-server".to_owned(), unpacked];
    let found = candidates.into_iter().find(|path| !path.is_empty() && Path::new(path).exists());
    found.expect("this test needs the server of NATS: run scripts/install_nats first").into()
}

/// A server of NATS whose streams survive its end.
struct Nats {
    port: Port,
    directory: tempfile::TempDir,
    more: Vec<&'static str>,
    process: Option<Process>,
}

impl Nats {
    fn start(more: &[&'static str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut nats = Self { port: Port::any(), directory, more: more.to_vec(), process: None };
        nats.restart();
        nats
    }

    fn restart(&mut self) {
        let mut command = Command::new(server_program());
        command.args(["--addr", "127.0.0.1", "--port", &self.port.number().to_string(), "--jetstream", "--store_dir"]);
        command.arg(self.directory.path()).args(&self.more).stdout(Stdio::null()).stderr(Stdio::null());
        self.process = Some(Process(command.spawn().expect("the server starts")));
        let address = ("127.0.0.1", self.port.number());
        eventually("the server of NATS listens", || std::net::TcpStream::connect(address).is_ok());
    }

    fn kill(&mut self) {
        self.process = None;
    }

    fn section(&self) -> String {
        format!("to: nats, url: 'nats://127.0.0.1:{}'", self.port.number())
    }

    async fn client(&self) -> Client {
        let options = if self.more.is_empty() {
            ConnectOptions::new()
        } else {
            ConnectOptions::with_user_and_password("relay".to_owned(), "nats-password".to_owned())
        };
        options.connect(format!("127.0.0.1:{}", self.port.number())).await.expect("a client")
    }

    /// Makes a stream of all events. Repeated ones are dropped for two minutes.
    async fn make_stream(&self) {
        let stream = json!({ "name": "EVENTS", "subjects": ["events.>"], "storage": "file" });
        let answer = ask(&self.client().await, "STREAM.CREATE.EVENTS", &stream).await;
        assert_eq!(answer["config"]["name"], "EVENTS", "{answer}");
    }

    /// What the stream has stored: subject, headers and event.
    async fn stored(&self) -> Vec<(String, async_nats::HeaderMap, Received)> {
        let client = self.client().await;
        let count =
            ask(&client, "STREAM.INFO.EVENTS", &Json::Null).await["state"]["messages"].as_u64().expect("a number");
        let inbox = client.new_inbox();
        let messages = client.subscribe(inbox.clone()).await.expect("a subscription");
        let consumer = json!({ "stream_name": "EVENTS", "config": { "deliver_subject": inbox, "ack_policy": "none" } });
        ask(&client, "CONSUMER.CREATE.EVENTS", &consumer).await;
        let messages = messages.take(usize::try_from(count).expect("a number"));
        let read = messages.map(|message| {
            let headers = message.headers.unwrap_or_default();
            let header = |name: &str| headers.get(name).map(ToString::to_string).unwrap_or_default();
            let body: Json = serde_json::from_slice(&message.payload).expect("JSON");
            let key = format!("{} {}", header("ce-source"), header("ce-subject"));
            let event = Received { id: header("Nats-Msg-Id"), key, number: body["n"].as_u64().expect("a number") };
            (message.subject.to_string(), headers, event)
        });
        tokio::time::timeout(Duration::from_secs(10), read.collect()).await.expect("the stream is read")
    }

    async fn events(&self) -> Vec<Received> {
        self.stored().await.into_iter().map(|(_, _, event)| event).collect()
    }
}

async fn ask(client: &Client, subject: &str, body: &Json) -> Json {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer = client.request(format!("$JS.API.{subject}"), body.into()).await.expect("an answer of JetStream");
    serde_json::from_slice(&answer.payload).expect("JSON")
}

async fn all_marked(database: &Database) {
    eventually_async("every event is marked as sent", async || waiting(&database.url()).await == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_stored_once_and_in_order_with_their_headers_and_subject() {
    let (database, nats) = (Database::empty().await, Nats::start(&[]));
    make_tables(&database.url()).await;
    nats.make_stream().await;
    let section = format!("{}, subject: 'events.{{aggregatetype}}.{{aggregateid}}.{{type}}'", nats.section());
    let relay = Relay::start(&database.url(), &section);
    write(&database.url(), 1_000, 20, 5).await;
    all_marked(&database).await;
    let events = nats.events().await;
    assert_in_order(&events, 1_000, 20);
    assert_once(&events);
    let mut client = connect(&database.url()).await;
    write_one(&mut client, 77, "purchase order", "null").await;
    all_marked(&database).await;
    let (subject, headers, event) = nats.stored().await.pop().expect("a message");
    assert_eq!(event.id, id_of(77, 0));
    assert_eq!(subject, "events.purchase%20order.key-77.purchase%20order.placed");
    for (name, value) in [
        ("ce-id", &*id_of(77, 0)),
        ("ce-specversion", "1.0"),
        ("ce-type", "purchase%20order.placed"),
        ("ce-source", "oms_db/purchase%20order"),
        ("ce-subject", "key-77"),
        ("content-type", "application/json"),
    ] {
        assert_eq!(headers.get(name).map(|value| value.as_str()), Some(value), "{name}");
    }
    relay.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_stored_once_and_in_order_while_nats_is_killed_and_a_relay_too() {
    let (database, mut nats) = (Database::empty().await, Nats::start(&[]));
    make_tables(&database.url()).await;
    nats.make_stream().await;
    let section = format!("{}, batch: 10, timeout_ms: 1000", nats.section());
    let mut relays = [0, 1].map(|_| Relay::start(&database.url(), &section));
    let url = database.url();
    let writing = tokio::spawn(async move { write(&url, 2_000, 20, 5).await });
    for round in 0..3_usize {
        eventually_async("events are sent", async || {
            let client = connect(&database.url()).await;
            let row = client.query_one("SELECT count(*) FROM tributary_outbox WHERE sent_at IS NOT NULL", &[]).await;
            row.expect("a count").get::<_, i64>(0) >= 100 * (i64::try_from(round).expect("small") + 1)
        })
        .await;
        nats.kill();
        let killed = std::mem::replace(&mut relays[round % 2], Relay::start(&database.url(), &section));
        killed.kill();
        eventually("a relay notices", || {
            relays.iter().any(|relay| relay.log().contains("relay.destination.unreachable"))
        });
        nats.restart();
    }
    writing.await.expect("the writers end");
    all_marked(&database).await;
    let events = nats.events().await;
    assert_eq!(distinct(&events), 2_000);
    assert_in_order(&events, 2_000, 20);
    assert_once(&events);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_wait_until_a_stream_has_their_subject() {
    let (database, nats) = (Database::empty().await, Nats::start(&["--user", "relay", "--pass", "nats-password"]));
    make_tables(&database.url()).await;
    let login = [("RELAY_USER", "relay"), ("RELAY_PASSWORD", "nats-password")];
    write(&database.url(), 3, 1, 1).await;
    let relay = Relay::start_with(&database.url(), &nats.section(), &login);
    eventually("the error is logged", || relay.log().contains("no stream of NATS has the subject"));
    relay.stop();
    nats.make_stream().await;
    let relay = Relay::start_with(&database.url(), &nats.section(), &login);
    all_marked(&database).await;
    assert_in_order(&nats.events().await, 3, 1);
    assert!(!relay.log().contains("nats-password"), "{}", relay.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_nats_refuses_is_logged_and_tried_again() {
    let (database, nats) = (Database::empty().await, Nats::start(&["--user", "relay", "--pass", "nats-password"]));
    make_tables(&database.url()).await;
    nats.make_stream().await;
    write(&database.url(), 3, 1, 1).await;
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("password");
    std::fs::write(&file, "wrong-password").expect("written");
    let login = [("RELAY_USER", "relay"), ("RELAY_PASSWORD_FILE", file.to_str().expect("UTF-8"))];
    let relay = Relay::start_with(&database.url(), &nats.section(), &login);
    eventually("the refusal is logged", || relay.log().contains("authorization"));
    std::fs::write(&file, "nats-password").expect("written");
    all_marked(&database).await;
    assert_in_order(&nats.events().await, 3, 1);
    assert!(!relay.log().contains("-password"), "{}", relay.log());
}
