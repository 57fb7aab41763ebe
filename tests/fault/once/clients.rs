//! Clients that repeat each request until it has an answer, and note what they have seen.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rand::Rng;
use rand::seq::IndexedRandom;
use serde_json::{Value as Json, json};
use tokio::task::JoinHandle;

use super::site::{ITEMS, STOCK, Site};

/// How long a client repeats a request.
const PATIENCE: Duration = Duration::from_secs(90);
/// The longest pause between two attempts. Shorter than `Retry-After` says, so that more attempts meet.
const LONGEST_PAUSE: Duration = Duration::from_millis(300);

/// A request with a key.
#[derive(Debug, Clone)]
pub struct Request {
    pub key: String,
    pub path: &'static str,
    pub body: Json,
}

impl Request {
    fn nth(number: usize) -> Self {
        let mut random = rand::rng();
        let key = format!("key-{number}-{:08x}", random.random::<u32>());
        if random.random_bool(0.2) {
            let item = STOCK[usize::from(random.random_bool(0.7))].0;
            let body = json!({ "item": item, "qty": random.random_range(1..=9) });
            return Self { key, path: "/reserve", body };
        }
        let product = match random.random_range(0..20) {
            // Waits for an approval.
            0 => "PROD-002".to_owned(),
            // Nothing is ordered.
            1 => "FULL".to_owned(),
            2 => "UNKNOWN".to_owned(),
            _ => format!("ITEM-{}", random.random_range(1..=ITEMS)),
        };
        Self { key, path: "/purchasing/flow", body: json!({ "product_id": product }) }
    }

    /// Another request under the same key.
    fn changed(&self) -> Self {
        let body = match self.path {
            "/reserve" => json!({ "item": "plenty", "qty": 99 }),
            _ => json!({ "product_id": "PROD-001" }),
        };
        Self { body, ..self.clone() }
    }
}

/// A final answer to a request.
#[derive(Debug, Clone)]
pub struct Seen {
    pub request: Request,
    pub status: u16,
    pub body: String,
    /// When the key was first sent.
    pub sent: Instant,
    pub answered: Instant,
}

/// Answers that are not final, and what came in their place, by code.
#[derive(Debug, Clone, Default)]
pub struct Problems(BTreeMap<String, usize>);

impl Problems {
    /// What was added since `before`.
    pub fn since(&self, before: &Self) -> Self {
        let more = |(code, count): (&String, &usize)| (code.clone(), count - before.0.get(code).copied().unwrap_or(0));
        Self(self.0.iter().map(more).filter(|(_, count)| *count > 0).collect())
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.0.iter().map(|(code, count)| format!("{code}={count}")).collect();
        formatter.write_str(&all.join(" "))
    }
}

/// What all clients have seen.
#[derive(Debug, Default)]
pub struct Notes {
    pub seen: Vec<Seen>,
    /// What no answer may be.
    pub wrong: Vec<String>,
    problems: Problems,
    replayed: usize,
}

impl Notes {
    /// What was counted.
    pub fn summary(&self) -> String {
        let (answers, replayed) = (self.seen.len(), self.replayed);
        format!("clients: {answers} final answers, {replayed} of them replayed; others: {}", self.problems)
    }
}

/// Clients that send one key after the other.
pub struct Crowd {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

struct Shared {
    addresses: Vec<String>,
    notes: Mutex<Notes>,
    next: AtomicUsize,
    ended: AtomicUsize,
    is_over: AtomicBool,
}

impl Shared {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn problem(&self, code: impl Into<String>) {
        *self.notes().problems.0.entry(code.into()).or_default() += 1;
    }

    fn wrong(&self, what: String) {
        self.notes().wrong.push(what);
    }
}

impl Crowd {
    /// Starts so many clients.
    pub fn start(site: &Site, clients: usize) -> Self {
        let shared = Arc::new(Shared {
            addresses: site.addresses(),
            notes: Mutex::default(),
            next: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
        });
        let client = || {
            let client = Client { http: reqwest::Client::new(), shared: Arc::clone(&shared) };
            tokio::spawn(async move {
                while !client.shared.is_over.load(Ordering::SeqCst) {
                    let request = Request::nth(client.shared.next.fetch_add(1, Ordering::SeqCst));
                    client.send(&request).await;
                    client.shared.ended.fetch_add(1, Ordering::SeqCst);
                }
            })
        };
        let clients = (0..clients).map(|_| client()).collect();
        Self { shared, clients }
    }

    /// The keys that have their answer.
    pub fn ended(&self) -> usize {
        self.shared.ended.load(Ordering::SeqCst)
    }

    /// What was not final so far.
    pub fn problems(&self) -> Problems {
        self.shared.notes().problems.clone()
    }

    /// Waits for a decision to a request that was sent since `start`. Returns its time after `start`.
    pub async fn first_decision(&self, start: Instant) -> Option<Duration> {
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline {
            let answered =
                self.shared.notes().seen.iter().rev().find(|seen| seen.sent >= start).map(|seen| seen.answered);
            if let Some(answered) = answered {
                return Some(answered - start);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        None
    }

    /// Waits until each key that was sent has its answer.
    pub async fn end(self) -> Notes {
        self.shared.is_over.store(true, Ordering::SeqCst);
        for client in self.clients {
            client.await.expect("a client does not panic");
        }
        std::mem::take(&mut *self.shared.notes())
    }
}

/// How an attempt ended.
enum Answer {
    /// Status, body, and whether it says that it is replayed.
    Final(u16, String, bool),
    NotYet(String),
    Wrong(String),
}

struct Client {
    http: reqwest::Client,
    shared: Arc<Shared>,
}

impl Client {
    /// Sends a key: sometimes twice at once, sometimes again after its answer, sometimes with other inputs.
    async fn send(&self, request: &Request) {
        let [is_twice, is_again, is_changed] = [0.1, 0.15, 0.05].map(|chance| rand::rng().random_bool(chance));
        let sent = Instant::now();
        if is_twice {
            let (one, other) = tokio::join!(self.until_final(request), self.until_final(request));
            self.note(request, sent, [one, other].into_iter().flatten().collect());
        } else {
            let answer = self.until_final(request).await;
            self.note(request, sent, answer.into_iter().collect());
        }
        if is_again && let Some(answer) = self.until_final(request).await {
            if !answer.2 {
                self.shared.wrong(format!("{request:?} was answered before, and is not replayed"));
            }
            self.note(request, sent, vec![answer]);
        }
        if is_changed {
            match self.until_final(&request.changed()).await {
                Some((422, body, _)) if body.contains("key_reused") => {}
                answer => self.shared.wrong(format!("{request:?} with other inputs: {answer:?}")),
            }
        }
    }

    fn note(&self, request: &Request, sent: Instant, answers: Vec<(u16, String, bool)>) {
        let answered = Instant::now();
        let mut notes = self.shared.notes();
        for (status, body, is_replayed) in answers {
            notes.replayed += usize::from(is_replayed);
            notes.seen.push(Seen { request: request.clone(), status, body, sent, answered });
        }
    }

    /// Repeats the request until it has an answer.
    async fn until_final(&self, request: &Request) -> Option<(u16, String, bool)> {
        let start = Instant::now();
        let mut pause = Duration::from_millis(10);
        while start.elapsed() < PATIENCE {
            match self.attempt(request).await {
                Answer::Final(status, body, is_replayed) => return Some((status, body, is_replayed)),
                Answer::NotYet(code) => self.shared.problem(code),
                Answer::Wrong(what) => {
                    self.shared.wrong(format!("{request:?}: {what}"));
                    return None;
                }
            }
            let part = rand::rng().random_range(0.5..1.0);
            tokio::time::sleep(pause.mul_f64(part)).await;
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
        self.shared.wrong(format!("{request:?} has no answer"));
        None
    }

    /// Sends the request once. Sometimes it is given up, and the connection is closed.
    async fn attempt(&self, request: &Request) -> Answer {
        let address = self.shared.addresses.choose(&mut rand::rng()).expect("an address");
        let sending = self.http.post(format!("{address}{}", request.path)).header("Idempotency-Key", &request.key);
        let sending = sending.json(&request.body);
        let limit = if rand::rng().random_bool(0.08) {
            Duration::from_millis(rand::rng().random_range(1..60))
        } else {
            Duration::from_secs(10)
        };
        let answer = async {
            let answer = sending.send().await?;
            let replayed = answer.headers().get("idempotency-replayed").is_some_and(|replayed| replayed == "true");
            Ok::<_, reqwest::Error>((answer.status().as_u16(), answer.text().await?, replayed))
        };
        match tokio::time::timeout(limit, answer).await {
            Err(_) => Answer::NotYet("given_up".to_owned()),
            Ok(Err(_)) => Answer::NotYet("no_connection".to_owned()),
            Ok(Ok((status @ (200..=299 | 404 | 422), body, replayed))) => Answer::Final(status, body, replayed),
            Ok(Ok((status, body, _))) => {
                let problem: Json = serde_json::from_str(&body).unwrap_or_default();
                match (status, problem["code"].as_str()) {
                    (409 | 500.., Some(code)) => Answer::NotYet(format!("{status}_{code}")),
                    _ => Answer::Wrong(format!("{status} {body}")),
                }
            }
        }
    }
}
