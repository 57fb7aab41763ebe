//! Clients that ask one request after the other, each on a connection of its own.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Answers that are not right, by the code of the problem, or by the status where there is none.
#[derive(Debug, Clone, Default)]
pub struct Failures(BTreeMap<String, usize>);

impl Failures {
    /// How many there are.
    pub fn total(&self) -> usize {
        self.0.values().sum()
    }

    /// How many there are with this code.
    pub fn with_code(&self, code: &str) -> usize {
        self.0.get(code).copied().unwrap_or(0)
    }

    /// Adds those of another load.
    pub fn add(&mut self, other: &Self) {
        for (code, count) in &other.0 {
            *self.0.entry(code.clone()).or_default() += count;
        }
    }

    fn count(&mut self, head: &str, body: &[u8]) {
        let problem: Option<serde_json::Value> = serde_json::from_slice(body).ok();
        let code = problem.as_ref().and_then(|problem| problem.get("code")).and_then(|code| code.as_str());
        let code = code.unwrap_or_else(|| head.lines().next().unwrap_or_default());
        *self.0.entry(code.to_owned()).or_default() += 1;
    }
}

impl fmt::Display for Failures {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.0.iter().map(|(code, count)| format!("{count} {code}")).collect();
        formatter.write_str(&all.join(", "))
    }
}

/// What came of a load.
pub struct Run {
    /// Of each answer, in order of size.
    pub latencies: Vec<Duration>,
    /// Requests that were not answered as is right.
    pub failures: Failures,
    /// How long it lasted.
    pub took: Duration,
}

impl Run {
    /// Answers a second.
    pub fn rate(&self) -> f64 {
        count(self.latencies.len()) / self.took.as_secs_f64()
    }

    /// A quantile of the latencies, in milliseconds.
    pub fn quantile(&self, quantile: f64) -> f64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index below the length")]
        let index = ((count(self.latencies.len()) * quantile) as usize).min(self.latencies.len().saturating_sub(1));
        self.latencies.get(index).map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
    }
}

/// A count as a number to compute with.
#[expect(clippy::cast_precision_loss, reason = "counts of requests")]
pub fn count(count: usize) -> f64 {
    count as f64
}

/// What clients ask for, in turn.
#[derive(Clone)]
pub struct Target {
    /// Of the service.
    pub address: SocketAddr,
    /// Of the flow.
    pub path: &'static str,
    /// The numbers of the products.
    pub products: Range<usize>,
    /// The status that is right.
    pub status: u16,
    /// How they ask.
    pub method: Method,
    /// Whether each request has a new `Idempotency-Key`.
    pub has_keys: bool,
}

/// How clients ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Without a body.
    Get,
    /// With a product as the body.
    Post,
}

impl Target {
    /// Products that there are, of the flow at `path`.
    pub fn new(address: SocketAddr, path: &'static str, products: usize) -> Self {
        Self { address, path, products: 1..products + 1, status: 200, method: Method::Post, has_keys: false }
    }
}

/// So many clients at once for so long.
pub async fn ask(target: &Target, clients: usize, time: Duration) -> Run {
    let started = Instant::now();
    let until = started + time;
    let tasks: Vec<_> = (0..clients).map(|number| tokio::spawn(client(target.clone(), number, until))).collect();
    let (mut latencies, mut failures) = (Vec::new(), Failures::default());
    for task in tasks {
        let (own, failed) = task.await.expect("a client");
        latencies.extend(own);
        failures.add(&failed);
    }
    let took = started.elapsed();
    latencies.sort_unstable();
    Run { latencies, failures, took }
}

/// One client on one connection, a request after the other.
async fn client(target: Target, number: usize, until: Instant) -> (Vec<Duration>, Failures) {
    let Target { address, path, products, status, method, has_keys } = target;
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.set_nodelay(true).expect("a socket");
    let right = format!("http/1.1 {status}");
    let (mut latencies, mut failures) = (Vec::new(), Failures::default());
    let (mut at, mut buffer) = (number * 37, Vec::with_capacity(4096));
    while Instant::now() < until {
        let product = products.start + at % products.len();
        at += 1;
        let body = format!("{{\"product_id\":\"B-{product:06}\"}}");
        let length = body.len();
        let key =
            if has_keys { format!("Idempotency-Key: {:032x}\r\n", rand::random::<u128>()) } else { String::new() };
        let request = match method {
            Method::Get => format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n"),
            Method::Post => format!(
                "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n{key}Content-Length: {length}\r\n\r\n{body}"
            ),
        };
        let asked = Instant::now();
        stream.write_all(request.as_bytes()).await.expect("a request is sent");
        let (head, body) = read_answer(&mut stream, &mut buffer).await;
        if head.starts_with(&right) {
            latencies.push(asked.elapsed());
        } else {
            failures.count(&head, body);
        }
    }
    (latencies, failures)
}

/// Reads one answer: its head, in small letters, and its body.
async fn read_answer<'a>(stream: &mut TcpStream, buffer: &'a mut Vec<u8>) -> (String, &'a [u8]) {
    buffer.clear();
    loop {
        read_more(stream, buffer).await;
        let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&buffer[..end]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
        let length: usize = length.trim().parse().expect("a length");
        while buffer.len() < end + 4 + length {
            read_more(stream, buffer).await;
        }
        return (head, &buffer[end + 4..]);
    }
}

async fn read_more(stream: &mut TcpStream, buffer: &mut Vec<u8>) {
    let read = stream.read_buf(buffer).await.expect("an answer");
    assert!(read > 0, "the server closed the connection before its answer was complete");
}

/// The lines of a batch of so many products.
pub fn lines(products: usize, size: usize) -> String {
    (0..size).map(|number| format!("{{\"product_id\":\"B-{:06}\"}}\n", number % products + 1)).collect()
}

/// Decisions a second of one batch of so many products.
pub async fn batch(address: SocketAddr, products: usize, size: usize) -> f64 {
    let body = lines(products, size);
    // The service stops reading while much waits to be decided: by default that would count as a dead connection after 30 s.
    let client = reqwest::Client::builder().tcp_user_timeout(None).build().expect("a client");
    let started = Instant::now();
    let request = client.post(format!("http://{address}/purchasing/flow/batch"));
    let request = request.header("Content-Type", "application/x-ndjson").body(body);
    let text = request.send().await.expect("an answer").text().await.expect("its lines");
    let lines = text.lines().filter(|line| line.contains("\"status\":")).count();
    assert_eq!(lines, size, "every input has a line");
    count(size) / started.elapsed().as_secs_f64()
}

/// Checks that these services answer alike about many products at once, and about one that there is not.
pub async fn agree(addresses: &[SocketAddr], products: usize) {
    let client = reqwest::Client::new();
    let ask = async |address: &SocketAddr, product: usize| {
        let body = serde_json::json!({ "product_id": format!("B-{product:06}") });
        let request = client.post(format!("http://{address}/purchasing/flow")).json(&body);
        let answer = request.send().await.expect("an answer");
        (answer.status().is_success(), answer.text().await.expect("a body"))
    };
    let mut first = None;
    for address in addresses {
        let asked = (1..=products.min(200)).map(|product| ask(address, product));
        let answers = futures_util::future::join_all(asked).await;
        assert!(answers.iter().all(|(found, _)| *found), "{address} finds all products");
        assert!(!ask(address, products + 1).await.0, "{address} finds no product that there is not");
        assert_eq!(*first.get_or_insert_with(|| answers.clone()), answers, "{address} answers as the first one");
    }
}
