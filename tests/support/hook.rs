//! A webhook that notes what it receives, and answers as a test says. It has its own thread.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value as Json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use super::server::Port;

/// An event as its receiver sees it: its id, its event key, and its number within that where a test writes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    pub id: String,
    pub key: String,
    pub number: u64,
}

/// A request.
#[derive(Debug, Clone)]
pub struct Heard {
    pub line: String,
    pub headers: BTreeMap<String, String>,
    pub body: Json,
}

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// It is noted as received, and answered with this status.
    Status(u16),
    /// It is noted, and answered with 204 after this time.
    Late(Duration),
    /// It is noted, and the connection is closed without an answer.
    Lost,
    /// Nothing happens.
    Hang,
}

type Script = Box<dyn FnMut(&Heard) -> Reply + Send>;

struct State {
    script: Mutex<Script>,
    /// Every request that was acknowledged, or noted without an answer.
    heard: Mutex<Vec<(Heard, Reply)>>,
}

fn held<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The webhook.
pub struct Hook {
    port: Port,
    state: Arc<State>,
    runtime: Mutex<Option<Runtime>>,
}

impl Hook {
    /// One that acknowledges everything.
    pub fn start() -> Self {
        let script: Script = Box::new(|_| Reply::Status(204));
        let state = Arc::new(State { script: Mutex::new(script), heard: Mutex::default() });
        let hook = Self { port: Port::any(), state, runtime: Mutex::default() };
        hook.restart();
        hook
    }

    /// Ends it with all its connections.
    pub fn stop(&self) {
        if let Some(runtime) = held(&self.runtime).take() {
            runtime.shutdown_background();
        }
    }

    /// Starts it again at its port.
    pub fn restart(&self) {
        self.stop();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let (port, state) = (self.port.number(), Arc::clone(&self.state));
        runtime.spawn(async move {
            let listener = loop {
                match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
                    Ok(listener) => break listener,
                    Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            };
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&state);
                tokio::spawn(async move { drop(serve(stream, &state).await) });
            }
        });
        *held(&self.runtime) = Some(runtime);
    }

    /// What it does from now on.
    pub fn replies(&self, script: impl FnMut(&Heard) -> Reply + Send + 'static) {
        *held(&self.state.script) = Box::new(script);
    }

    /// The section of the configuration for it.
    pub fn section(&self) -> String {
        format!("to: webhook, url: 'http://127.0.0.1:{}/hook'", self.port.number())
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<(Heard, Reply)> {
        held(&self.state.heard).clone()
    }

    /// What was received: acknowledged, or noted before the connection was lost.
    pub fn received(&self) -> Vec<Received> {
        let is_received = |reply: &Reply| !matches!(reply, Reply::Status(300..) | Reply::Hang);
        let requests = held(&self.state.heard);
        let received = requests.iter().filter(|(_, reply)| is_received(reply)).map(|(heard, _)| heard);
        received.map(Heard::event).collect()
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Heard {
    /// The event in it.
    pub fn event(&self) -> Received {
        Received {
            id: self.headers["ce-id"].clone(),
            key: format!("{} {}", self.headers["ce-source"], self.headers["ce-subject"]),
            number: self.body["n"].as_u64().unwrap_or_default(),
        }
    }
}

async fn serve(stream: TcpStream, state: &State) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut lines: Vec<String> = Vec::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            if line == "\r\n" {
                break;
            }
            lines.push(line.trim_end().to_owned());
        }
        let line = lines.remove(0);
        let pairs = lines.iter().filter_map(|line| line.split_once(": "));
        let headers: BTreeMap<_, _> = pairs.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
        let length = headers.get("content-length").map_or(0, |length| length.parse().expect("a length"));
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        let body = if body.is_empty() { Json::Null } else { serde_json::from_slice(&body).expect("JSON") };
        let heard = Heard { line, headers, body };
        let reply = {
            let mut script = held(&state.script);
            let reply = script(&heard);
            held(&state.heard).push((heard, reply));
            reply
        };
        let status = match reply {
            Reply::Status(status) => status,
            Reply::Late(pause) => {
                tokio::time::sleep(pause).await;
                204
            }
            Reply::Lost => return Ok(()),
            Reply::Hang => std::future::pending().await,
        };
        let length = if status == 204 { "" } else { "content-length: 0\r\n" };
        stream.write_all(format!("HTTP/1.1 {status} Reply\r\n{length}\r\n").as_bytes()).await?;
    }
}
