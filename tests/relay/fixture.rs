//! An outbox with writers, as the contract of effects has them, and the relay as a process.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sys::signal::Signal;
use tributary::postgres::EFFECT_TABLES;

use crate::support::{Process, Received, connect, program, sql};

/// A flow whose effect has an event.
const GRAPH: &str = r#"
flow: order
path: /order
input: { product_id: { type: text } }
nodes:
  stock: { type: DBNode, database: oms_db, query: "SELECT qty FROM stock WHERE id = $1" }
effects:
  place:
    database: oms_db
    statements: [{ query: "UPDATE stock SET qty = 0 WHERE id = $1", params: [input.product_id] }]
    event: { type: purchase_order.placed, key: input.product_id }
outcomes:
  - { status: none, when: "stock.qty <= 0", message: "none" }
  - { status: done, when: "stock.qty > 0", message: "done", effect: place }
"#;

/// What no log may show.
pub const SECRET: &str = "xyzzy-payload";

/// The id of an event, from its event key and its number within that.
pub fn id_of(key: usize, number: u64) -> String {
    format!("00000000-0000-4000-{key:04}-{number:012}")
}

/// Makes the tables of effects in the database of `url`.
pub async fn make_tables(url: &str) {
    sql::run(url, "the tables of effects", EFFECT_TABLES).await.expect("the tables are made");
}

/// Writes `events` events of `keys` event keys over several connections, each in a transaction of its own, as effects do.
pub async fn write(url: &str, events: usize, keys: usize, connections: usize) {
    let next = AtomicUsize::new(0);
    let writers = (0..connections).map(|_| async {
        let mut client = connect(url).await;
        loop {
            let event = next.fetch_add(1, Ordering::Relaxed);
            if event >= events {
                return;
            }
            write_one(&mut client, event % keys, "order", "null").await;
        }
    });
    futures_util::future::join_all(writers).await;
}

/// Writes the next event of an event key.
pub async fn write_one(client: &mut tokio_postgres::Client, key: usize, aggregate: &str, more: &str) {
    let transaction = client.transaction().await.expect("a transaction");
    let id = format!("key-{key}");
    let lock = "SELECT pg_advisory_xact_lock(hashtextextended($1::text || ' ' || $2::text, 1))";
    transaction.execute(lock, &[&aggregate, &id]).await.expect("the lock of the event key");
    let insert = "INSERT INTO tributary_outbox (id, aggregatetype, aggregateid, type, payload) \
        SELECT ('00000000-0000-4000-' || lpad($3::int::text, 4, '0') || '-' || lpad(count(*)::text, 12, '0'))::uuid, \
        $1, $2, $1 || '.placed', jsonb_build_object('n', count(*), 'secret', 'xyzzy-payload', 'more', $4::text::jsonb) \
        FROM tributary_outbox WHERE aggregatetype = $1 AND aggregateid = $2";
    let number = i32::try_from(key).expect("a small number");
    transaction.execute(insert, &[&aggregate, &id, &number, &more]).await.expect("an event");
    transaction.commit().await.expect("the transaction is committed");
    client.batch_execute("NOTIFY tributary_outbox").await.expect("the relays are notified");
}

/// The number of events that wait.
pub async fn waiting(url: &str) -> i64 {
    let client = connect(url).await;
    let row = client.query_one("SELECT count(*) FROM tributary_outbox WHERE sent_at IS NULL", &[]).await;
    row.expect("a count").get(0)
}

/// A directory with a flow and a configuration of the relay.
pub fn directory(relay: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("graph.yaml"), GRAPH).expect("written");
    std::fs::create_dir(directory.path().join("config")).expect("a directory");
    let config = format!(
        "relay: {{ {relay} }}\ndomains: {{ defaults: {{ timeouts: {{ query_ms: 2000, connect_ms: 1000 }} }} }}\n"
    );
    std::fs::write(directory.path().join("config/service.yaml"), config).expect("written");
    directory
}

/// The variables of the database of `url`.
pub fn environment(url: &str) -> Vec<(String, String)> {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    vec![pair("OMS_DB_URL", url), pair("OMS_DB_WRITE_USER", "postgres"), pair("RUST_LOG", "info,async_nats=off")]
}

/// `tributary relay`. It is killed with this value, and its log checked for payloads.
pub struct Relay {
    process: Process,
    log: PathBuf,
    directory: tempfile::TempDir,
}

impl Relay {
    /// Starts one for the database of `url`, with this section of the configuration.
    pub fn start(url: &str, relay: &str) -> Self {
        Self::start_with(url, relay, &[])
    }

    /// Starts one with more variables.
    pub fn start_with(url: &str, relay: &str, more: &[(&str, &str)]) -> Self {
        let directory = directory(relay);
        let log = directory.path().join("log");
        let mut variables = environment(url);
        variables.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let mut command = program(directory.path(), &variables);
        let file = std::fs::File::create(&log).expect("the log");
        command.arg("relay").stdout(Stdio::null()).stderr(file);
        Self { process: Process(command.spawn().expect("the program starts")), log, directory }
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.process.kill().expect("it is killed");
        self.process.ended();
    }

    /// SIGTERM, and its end.
    pub fn stop(mut self) {
        self.process.signal(Signal::SIGTERM);
        assert!(self.process.ended().success(), "{}", self.log());
    }

    /// SIGTERM.
    pub fn begin_to_stop(&self) {
        self.process.signal(Signal::SIGTERM);
    }

    /// Waits for its end.
    pub fn ended(mut self) {
        assert!(self.process.ended().success(), "{}", self.log());
    }

    /// The directory of its files.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).expect("the log")
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the log of a relay:\n{}", self.log());
        } else {
            assert!(!self.log().contains(SECRET), "a payload is in the log: {}", self.log());
        }
    }
}

/// Asserts that every event was received, and that the first delivery of each is behind that of the event before it.
pub fn assert_in_order(received: &[Received], events: usize, keys: usize) {
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for event in received {
        assert!(event.id.ends_with(&format!("{:012}", event.number)), "the same id for the same event: {event:?}");
        if !seen.insert(&event.id) {
            continue;
        }
        let next = last.get(&*event.key).map_or(0, |last| last + 1);
        assert_eq!(event.number, next, "`{}` is out of order", event.key);
        last.insert(&event.key, event.number);
    }
    assert_eq!(seen.len(), events, "every event is received");
    assert_eq!(last.len(), keys.min(events), "of every event key");
}

/// Asserts that no event was received twice.
pub fn assert_once(received: &[Received]) {
    let ids: BTreeSet<&String> = received.iter().map(|event| &event.id).collect();
    assert_eq!(ids.len(), received.len(), "no event is received twice");
}

/// The number of distinct events.
pub fn distinct(received: &[Received]) -> usize {
    received.iter().map(|event| &event.id).collect::<BTreeSet<_>>().len()
}
