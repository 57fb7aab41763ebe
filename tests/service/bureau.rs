//! A service that answers for one domain, and says whatever a test has it say, byte by byte.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value as Json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::support::{Answer, Setup, TestApp};

/// What it describes.
pub const DESCRIPTION: &str = r#"{"version": "1", "nodes": {"score": {"params": ["text"], "columns": [
    {"name": "score", "type": "integer"}, {"name": "limit", "type": "decimal"}, {"name": "day", "type": "date"}]}}}"#;
/// The right row.
pub const ROW: &str = r#"{"score": 700, "limit": "15.50", "day": "2026-01-15"}"#;

const GRAPH: &str = r#"
flow: score
path: /score
input: { id: { type: text } }
nodes:
  score: { type: DBNode, database: bureau_db, query: "SELECT score, \"limit\", day FROM scores WHERE id = $1" }
outcomes:
  - { status: good, when: "score.score >= 600", message: "good", body: { limit: score.limit, day: score.day } }
  - { status: bad, when: "score.score < 600", message: "bad" }
"#;
/// The configuration of the service that decides.
pub const CONFIG: &str = "domains: { defaults: { timeouts:
    { query_ms: 1000, acquire_ms: 500, connect_ms: 1000, probe_ms: 500, probe_interval_ms: 100 } } }\n";
/// The right decision.
pub const DECISION: &str = r#"{"status":"good","message":"good","limit":15.50,"day":"2026-01-15"}"#;

/// What is said, and what happens to the connection then.
#[derive(Debug, Clone)]
pub enum Say {
    /// These bytes. The connection stays.
    Keep(String),
    /// These bytes, and the end of the connection.
    Close(String),
    /// These bytes, and nothing more.
    Hold(String),
    /// These bytes, and the last of them again without end.
    Endless(String, String),
}

/// A request.
#[derive(Debug, Clone)]
pub struct Heard {
    /// Its line and headers.
    pub head: String,
    /// How many asks its body has.
    pub asks: usize,
}

impl Heard {
    /// Whether the description is asked for.
    pub fn is_description(&self) -> bool {
        self.head.starts_with("GET ")
    }
}

type Script = Box<dyn Fn(&Heard) -> Say + Send>;

/// The service. It ends with the runtime of its test.
pub struct Bureau {
    port: u16,
    state: Arc<State>,
}

struct State {
    script: Mutex<Script>,
    tls: Mutex<Option<TlsAcceptor>>,
    connections: AtomicUsize,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Bureau {
    /// One that tells the truth.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (script, tls, connections) = (Mutex::new(Box::new(truth) as Script), Mutex::default(), AtomicUsize::new(0));
        let state = Arc::new(State { script, tls, connections });
        let serving = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                serving.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, Arc::clone(&serving)));
            }
        });
        Self { port, state }
    }

    /// What it says from now on.
    pub fn says(&self, script: impl Fn(&Heard) -> Say + Send + 'static) {
        *held(&self.state.script) = Box::new(script);
    }

    /// New connections use TLS.
    pub fn secure(&self, acceptor: TlsAcceptor) {
        *held(&self.state.tls) = Some(acceptor);
    }

    /// The connections so far.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// Its URL.
    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://127.0.0.1:{}", self.port)
    }
}

/// The right answer.
pub fn truth(heard: &Heard) -> Say {
    let body = if heard.is_description() { DESCRIPTION.to_owned() } else { rows(heard, ROW) };
    Say::Keep(ok(&body))
}

/// The body of an answer with this row to each ask.
pub fn rows(heard: &Heard, row: &str) -> String {
    answers("1", "score", heard.asks, row)
}

/// The body of an answer.
pub fn answers(version: &str, node: &str, asks: usize, row: &str) -> String {
    let one = format!(r#"{{"rows": [{row}]}}"#);
    format!(r#"{{"version": "{version}", "node": "{node}", "answers": [{}]}}"#, vec![one; asks].join(","))
}

/// An answer with status 200 and this body.
pub fn ok(body: &str) -> String {
    status("200 OK", "Content-Type: application/json\r\n", body)
}

/// An answer.
pub fn status(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

async fn serve(stream: TcpStream, state: Arc<State>) {
    stream.set_nodelay(true).expect("the option is known");
    let acceptor = held(&state.tls).clone();
    match acceptor {
        None => talk(stream, &state).await,
        Some(acceptor) => {
            if let Ok(stream) = acceptor.accept(stream).await {
                talk(stream, &state).await;
            }
        }
    }
}

/// Answers requests until either side closes the connection.
async fn talk(mut stream: impl AsyncRead + AsyncWrite + Unpin, state: &State) {
    let mut bytes = Vec::new();
    loop {
        let heard = loop {
            if let Some((heard, length)) = read(&bytes) {
                bytes.drain(..length);
                break heard;
            }
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
        };
        let say = held(&state.script)(&heard);
        let (Say::Keep(text) | Say::Close(text) | Say::Hold(text) | Say::Endless(text, _)) = &say;
        if stream.write_all(text.as_bytes()).await.is_err() {
            return;
        }
        match say {
            Say::Keep(_) => {}
            Say::Close(_) => return stream.shutdown().await.unwrap_or(()),
            Say::Hold(_) => {
                // The other side gives up.
                while stream.read(&mut [0; 64]).await.is_ok_and(|count| count > 0) {}
                return;
            }
            Say::Endless(_, again) => {
                let many = again.repeat(64);
                while stream.write_all(many.as_bytes()).await.is_ok() {}
                return;
            }
        }
    }
}

/// The first request in `bytes`, and its length.
fn read(bytes: &[u8]) -> Option<(Heard, usize)> {
    let text = std::str::from_utf8(bytes).expect("requests are text");
    let end = text.find("\r\n\r\n")? + 4;
    let head = text[..end].to_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().expect("a length"))
    });
    let body = text.get(end..end + length.unwrap_or(0))?;
    let asks = serde_json::from_str::<Json>(body).map_or(0, |body| body["asks"].as_array().map_or(0, Vec::len));
    Some((Heard { head, asks }, end + body.len()))
}

/// Files of a flow whose only domain is a bureau.
pub struct Flow {
    directory: tempfile::TempDir,
}

impl Flow {
    pub fn write() -> Self {
        let flow = Self { directory: tempfile::tempdir().expect("a directory") };
        for (name, text) in [("graph.yaml", GRAPH), ("service.yaml", CONFIG)] {
            std::fs::write(flow.file(name), text).expect("written");
        }
        flow
    }

    /// A file of its directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A service that decides by it.
    pub fn setup(&self, url: &str) -> Setup {
        let (graphs, config) = (vec![self.file("graph.yaml")], Some(self.file("service.yaml")));
        Setup { graphs, config, ..Setup::default() }.domain("bureau_db", url)
    }
}

/// Asks for the decision.
pub async fn decide(app: &TestApp) -> Answer {
    app.post("/score", r#"{"id": "planted-id"}"#).await
}

/// Asks for the decision and expects the right one.
pub async fn decides(app: &TestApp, when: &str) {
    let answer = decide(app).await;
    assert_eq!((answer.status, answer.text.as_str()), (200, DECISION), "{when}");
}

/// Waits for the right decision.
pub async fn recovers(app: &TestApp, when: &str) {
    let start = std::time::Instant::now();
    loop {
        let answer = decide(app).await;
        if answer.status == 200 {
            assert_eq!(answer.text, DECISION, "{when}");
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(1), "{when}: {}", answer.text);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
