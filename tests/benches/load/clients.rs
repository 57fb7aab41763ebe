//! Clients that ask one request after the other, each on a connection of its own.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What came of a load.
pub struct Run {
    /// Of each answer, in order of size.
    pub latencies: Vec<Duration>,
    /// Requests that were not answered 200.
    pub errors: usize,
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

/// So many clients at once for so long.
pub async fn load(address: SocketAddr, clients: usize, products: usize, time: Duration) -> Run {
    let started = Instant::now();
    let until = started + time;
    let tasks: Vec<_> = (0..clients).map(|number| tokio::spawn(client(address, number, products, until))).collect();
    let (mut latencies, mut errors) = (Vec::new(), 0);
    for task in tasks {
        let (own, failed) = task.await.expect("a client");
        latencies.extend(own);
        errors += failed;
    }
    let took = started.elapsed();
    latencies.sort_unstable();
    Run { latencies, errors, took }
}

/// One client on one connection, a request after the other.
async fn client(address: SocketAddr, number: usize, products: usize, until: Instant) -> (Vec<Duration>, usize) {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.set_nodelay(true).expect("a socket");
    let (mut latencies, mut errors, mut product, mut buffer) = (Vec::new(), 0, number * 37, Vec::with_capacity(4096));
    while Instant::now() < until {
        product = product % products + 1;
        let body = format!("{{\"product_id\":\"B-{product:06}\"}}");
        let length = body.len();
        let request = format!(
            "POST /purchasing/flow HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        let asked = Instant::now();
        stream.write_all(request.as_bytes()).await.expect("a request is sent");
        if read_answer(&mut stream, &mut buffer).await {
            latencies.push(asked.elapsed());
        } else {
            errors += 1;
        }
    }
    (latencies, errors)
}

/// Reads one answer; whether its status is 200.
async fn read_answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> bool {
    buffer.clear();
    loop {
        stream.read_buf(buffer).await.expect("an answer");
        let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&buffer[..end]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
        let length: usize = length.trim().parse().expect("a length");
        while buffer.len() < end + 4 + length {
            stream.read_buf(buffer).await.expect("an answer");
        }
        return head.starts_with("http/1.1 200");
    }
}

/// Decisions a second of one batch of so many products.
pub async fn batch(address: SocketAddr, products: usize, size: usize) -> f64 {
    let body: String =
        (0..size).map(|number| format!("{{\"product_id\":\"B-{:06}\"}}\n", number % products + 1)).collect();
    let started = Instant::now();
    let client = reqwest::Client::new();
    let request = client.post(format!("http://{address}/purchasing/flow/batch"));
    let request = request.header("Content-Type", "application/x-ndjson").body(body);
    let text = request.send().await.expect("an answer").text().await.expect("its lines");
    let lines = text.lines().filter(|line| line.contains("\"status\":")).count();
    assert_eq!(lines, size, "every input has a line");
    count(size) / started.elapsed().as_secs_f64()
}
