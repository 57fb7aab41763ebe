//! What the databases have, compared with what the clients have seen.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Instant;

use serde_json::Value as Json;
use tokio_postgres::Client;
use tributary::demo::WRITER;

use super::clients::{Notes, Seen};
use super::site::{STOCK, Site, WRITTEN};
use crate::support::{Received, connect, eventually_async};

/// How many of a kind of mistake are shown.
const SHOWN: usize = 3;

/// A row of `tributary_keys`.
struct Claimed {
    key: String,
    status: Option<i32>,
    answer: Option<String>,
    effect: Option<String>,
    approval: Option<String>,
}

/// A row of `tributary_outbox`, in the order of their positions.
struct Event {
    id: String,
    aggregate: String,
    order: Option<String>,
    /// When its transaction was committed, in microseconds.
    committed: Option<i64>,
}

/// What the databases have.
pub struct Ledger {
    keys: HashMap<String, Claimed>,
    orders: Vec<String>,
    events: Vec<Event>,
    stock: HashMap<String, i64>,
    /// The sessions of the role that writes, by their state.
    sessions: BTreeMap<String, i64>,
}

impl Ledger {
    /// Reads the primary, once no transaction that writes is open any more.
    pub async fn read(site: &Site) -> Self {
        let client = connect(&site.roles().0.url()).await;
        let open = format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{WRITER}' AND state <> 'idle'");
        eventually_async("no transaction is left open", async || {
            client.query_one(&open, &[]).await.expect("the sessions").get::<_, i64>(0) == 0
        })
        .await;
        let sessions =
            format!("SELECT state, count(*) FROM pg_stat_activity WHERE usename = '{WRITER}' GROUP BY state");
        let keys = read_keys(&client).await.into_iter().map(|key| (key.key.clone(), key)).collect();
        let orders = "SELECT po_number FROM purchase_orders";
        Self {
            keys,
            orders: rows(&client, orders).await.iter().map(|row| row.get(0)).collect(),
            events: read_events(&client).await,
            stock: rows(&client, "SELECT item, qty FROM stock")
                .await
                .iter()
                .map(|row| (row.get(0), row.get(1)))
                .collect(),
            sessions: rows(&client, &sessions).await.iter().map(|row| (row.get(0), row.get(1))).collect(),
        }
    }

    /// What was counted.
    pub fn summary(&self) -> String {
        let (keys, orders, events) = (self.keys.len(), self.orders.len(), self.events.len());
        let waiting = self.keys.values().filter(|key| key.approval.is_some()).count();
        let (stock, sessions) = (&self.stock, &self.sessions);
        format!(
            "databases: {keys} keys, {orders} orders, {events} events, {waiting} approvals, stock {stock:?}, sessions of the writer {sessions:?}"
        )
    }

    /// What is wrong.
    pub fn judge(&self, notes: &Notes) -> Vec<String> {
        let mut wrong = Wrong(notes.wrong.iter().take(10).cloned().collect());
        wrong.all("keys without an answer", self.keys.values().filter(|key| key.answer.is_none()).map(|key| &key.key));
        self.judge_orders(&mut wrong);
        self.judge_events(&mut wrong, notes);
        self.judge_answers(&mut wrong, notes);
        self.judge_stock(&mut wrong);
        wrong.0
    }

    /// Each order belongs to exactly one key, and has exactly one event.
    fn judge_orders(&self, wrong: &mut Wrong) {
        let mut keys: HashMap<&str, Vec<&str>> = HashMap::new();
        let mut answered = HashMap::new();
        for key in self.keys.values() {
            let order = key.answer.as_deref().and_then(order_of);
            let is_placed = key.effect.as_deref() == Some("place_order") && key.approval.is_none();
            if is_placed != order.is_some() {
                wrong.add(format!("key {}: effect {:?}, order {order:?}", key.key, key.effect));
            }
            answered.extend(order.map(|order| (order, key.key.as_str())));
        }
        for (order, key) in &answered {
            keys.entry(order).or_default().push(key);
        }
        let orders: HashSet<&str> = self.orders.iter().map(String::as_str).collect();
        wrong.all("orders of several keys", keys.iter().filter(|(_, keys)| keys.len() > 1));
        wrong.all("orders of no key", orders.iter().filter(|order| !keys.contains_key(*order)));
        wrong.all("orders that do not exist", keys.iter().filter(|(order, _)| !orders.contains(*order)));
        let mut events: HashMap<&str, usize> = orders.iter().map(|order| (*order, 0)).collect();
        for event in &self.events {
            *events.entry(event.order.as_deref().unwrap_or("none")).or_default() += 1;
        }
        wrong.all(
            "orders without one event",
            events.iter().filter(|(order, count)| **count != 1 || !orders.contains(*order)),
        );
    }

    /// Of one aggregate, positions are in the order of commit: by the clock of the server, and as the clients have seen it.
    fn judge_events(&self, wrong: &mut Wrong, notes: &Notes) {
        let mut times: HashMap<String, (Instant, Instant)> = HashMap::new();
        for seen in &notes.seen {
            if let Some(order) = order_of(&seen.body) {
                let (sent, answered) = times.entry(order).or_insert((seen.sent, seen.answered));
                (*sent, *answered) = ((*sent).min(seen.sent), (*answered).min(seen.answered));
            }
        }
        let mut last: HashMap<&str, (Option<i64>, Option<Instant>)> = HashMap::new();
        for event in &self.events {
            let (committed, latest) = last.entry(&event.aggregate).or_default();
            if event.committed.is_none() || event.committed < *committed {
                wrong.add(format!(
                    "the event of {:?} was committed before the one of the position before it",
                    event.order
                ));
            }
            let seen = event.order.as_ref().and_then(|order| times.get(order));
            if seen.is_some_and(|(_, answered)| latest.is_some_and(|latest| *answered < latest)) {
                wrong.add(format!(
                    "{:?} was answered before an order was sent whose event is before its own",
                    event.order
                ));
            }
            (*committed, *latest) = (event.committed, (*latest).max(seen.map(|(sent, _)| *sent)));
        }
    }

    /// Each event was delivered at least once, for the first time in the order of its aggregate, and nothing else was delivered.
    pub fn judge_deliveries(&self, deliveries: &[Received]) -> Vec<String> {
        let mut wrong = Wrong(Vec::new());
        let mut seen = HashSet::new();
        let mut delivered: HashMap<String, Vec<&str>> = HashMap::new();
        for delivery in deliveries.iter().filter(|delivery| seen.insert(&delivery.id)) {
            delivered.entry(delivery.key.clone()).or_default().push(&delivery.id);
        }
        let mut written: HashMap<String, Vec<&str>> = HashMap::new();
        for event in &self.events {
            written.entry(format!("{WRITTEN}/{}", event.aggregate)).or_default().push(&event.id);
        }
        let ids: HashSet<&str> = self.events.iter().map(|event| &*event.id).collect();
        let seen: HashSet<&str> = seen.into_iter().map(String::as_str).collect();
        wrong.all("events that were not delivered", ids.difference(&seen));
        wrong.all("deliveries of no event", seen.difference(&ids));
        let others = written.keys().filter(|key| written.get(*key) != delivered.get(*key));
        wrong.all("aggregates whose events were not delivered in their order", others);
        wrong.0
    }

    /// Each answer that a client got is the one that is stored.
    fn judge_answers(&self, wrong: &mut Wrong, notes: &Notes) {
        let stored = |seen: &Seen| {
            let key = self.keys.get(&seen.request.key)?;
            Some((u16::try_from(key.status?).ok()?, key.answer.as_deref()?))
        };
        let others = notes.seen.iter().filter(|seen| stored(seen) != Some((seen.status, &seen.body)));
        wrong.all("answers that are not stored", others.map(|seen| (seen, stored(seen))));
    }

    /// What is left of each item is what was not reserved.
    fn judge_stock(&self, wrong: &mut Wrong) {
        let mut left: HashMap<&str, i64> = STOCK.into_iter().collect();
        for key in self.keys.values().filter(|key| key.effect.as_deref() == Some("take")) {
            let answer: Json = serde_json::from_str(key.answer.as_deref().unwrap_or_default()).unwrap_or_default();
            if let Some(left) = left.get_mut(answer["item"].as_str().unwrap_or_default()) {
                *left -= answer["qty"].as_i64().unwrap_or_default();
            }
        }
        for (item, qty) in left {
            if self.stock.get(item) != Some(&qty) {
                wrong.add(format!("of `{item}` there are {:?} and should be {qty}", self.stock.get(item)));
            }
        }
    }
}

/// Collects what is wrong.
struct Wrong(Vec<String>);

impl Wrong {
    fn add(&mut self, what: String) {
        self.0.push(what);
    }

    /// Adds the number of mistakes, if there are any, and some of them.
    fn all(&mut self, what: &str, found: impl IntoIterator<Item = impl std::fmt::Debug>) {
        let found: Vec<String> = found.into_iter().map(|one| format!("{one:?}")).collect();
        if !found.is_empty() {
            let shown = found.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("; ");
            self.add(format!("{} {what}: {shown}", found.len()));
        }
    }
}

/// The number of the order in an answer.
fn order_of(answer: &str) -> Option<String> {
    let answer: Json = serde_json::from_str(answer).ok()?;
    answer["purchase_order"]["po_number"].as_str().map(str::to_owned)
}

async fn rows(client: &Client, query: &str) -> Vec<tokio_postgres::Row> {
    client.query(query, &[]).await.expect("the rows")
}

async fn read_keys(client: &Client) -> Vec<Claimed> {
    let query = "SELECT key, status, answer, effect, approval FROM tributary_keys";
    let read = |row: &tokio_postgres::Row| Claimed {
        key: row.get(0),
        status: row.get(1),
        answer: row.get(2),
        effect: row.get(3),
        approval: row.get(4),
    };
    rows(client, query).await.iter().map(read).collect()
}

async fn read_events(client: &Client) -> Vec<Event> {
    let query = "SELECT id::text, aggregatetype || ' ' || aggregateid, payload->'purchase_order'->>'po_number',
        (extract(epoch FROM pg_xact_commit_timestamp(commits.xmin)) * 1000000)::bigint FROM tributary_outbox
        JOIN commits ON commits.event = tributary_outbox.id ORDER BY position";
    let read = |row: &tokio_postgres::Row| Event {
        id: row.get(0),
        aggregate: row.get(1),
        order: row.get(2),
        committed: row.get(3),
    };
    rows(client, query).await.iter().map(read).collect()
}
