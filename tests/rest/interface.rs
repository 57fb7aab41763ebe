//! A REST interface that answers as a test says, also wrongly: the bytes of its answers are the test's.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request as it arrived.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// `GET` or `POST`.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in small letters, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Seen {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What is written in reply; nothing closes the connection.
type Reply = Box<dyn Fn(&Seen) -> Option<String> + Send>;

/// The interface. It ends with the test process.
#[derive(Clone)]
pub struct Interface {
    port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
    reply: Arc<Mutex<Reply>>,
}

impl Interface {
    /// Answers each request with what `reply` makes of it.
    pub fn start(reply: impl Fn(&Seen) -> Option<String> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let reply: Reply = Box::new(reply);
        let interface = Self { port, seen: Arc::default(), reply: Arc::new(Mutex::new(reply)) };
        let serving = interface.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = serving.clone();
                std::thread::spawn(move || serving.serve(&stream));
            }
        });
        interface
    }

    /// Its URL.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Answers differently from now on.
    pub fn change(&self, reply: impl Fn(&Seen) -> Option<String> + Send + 'static) {
        *self.reply.lock().expect("no panic") = Box::new(reply);
        self.seen.lock().expect("no panic").clear();
    }

    /// The requests since the last change, but for those of probes.
    pub fn seen(&self) -> Vec<Seen> {
        let seen = self.seen.lock().expect("no panic");
        seen.iter().filter(|seen| !is_probe(seen)).cloned().collect()
    }

    fn serve(&self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        while let Some(seen) = read(&mut reader) {
            let reply = if is_probe(&seen) {
                Some(with_status(404, ""))
            } else {
                self.seen.lock().expect("no panic").push(seen.clone());
                self.reply.lock().expect("no panic")(&seen)
            };
            let mut writer = stream;
            if reply.is_none_or(|reply| writer.write_all(reply.as_bytes()).is_err()) {
                return;
            }
        }
    }
}

/// A probe asks for the description of a domain that is served by the contract; this interface has none.
fn is_probe(seen: &Seen) -> bool {
    seen.target == "/v1/"
}

fn read(reader: &mut BufReader<&TcpStream>) -> Option<Seen> {
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
        Some(line.trim_end().to_owned())
    };
    let first = line()?;
    let mut parts = first.split(' ').map(str::to_owned);
    let mut seen = Seen { method: parts.next()?, target: parts.next()?, ..Seen::default() };
    loop {
        let header = line()?;
        let Some((name, value)) = header.split_once(": ") else { break };
        seen.headers.push((name.to_lowercase(), value.to_owned()));
    }
    let length = seen.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    seen.body = String::from_utf8(body).expect("text");
    Some(seen)
}

/// An answer of this JSON.
pub fn json(body: &str) -> String {
    with_status(200, body)
}

/// An answer of this status.
pub fn with_status(status: u16, body: &str) -> String {
    with_headers(status, "Content-Type: application/json\r\n", body)
}

/// An answer with these headers, each with its line break.
pub fn with_headers(status: u16, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} Some\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}
