//! Servers under load, each a process of its own whose memory and processor time can be told.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::databases::Databases;
use crate::rival::Prepares;

/// How this program is started as a service written by hand, by how often that prepares its statements.
pub const RIVALS: [(&str, Prepares); 2] = [("--rival", Prepares::Once), ("--rival-preparing", Prepares::Always)];

/// A server under load. It ends when this is dropped.
pub struct Process {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// What it was configured with, for as long as it runs.
    _settings: Option<NamedTempFile>,
}

impl Process {
    /// The service with the shipped flow.
    pub fn service(databases: &Databases, coalesce: &str) -> Self {
        let settings = format!("domains: {{ defaults: {{ pool: {{ coalesce: {coalesce} }} }} }}\n");
        Self::serve(None, &settings, &databases.environment())
    }

    /// The service with a flow file or a directory of them (none: the shipped one), settings and variables.
    pub fn serve(graph: Option<&Path>, settings: &str, environment: &[(String, String)]) -> Self {
        let address = free_address();
        let file = NamedTempFile::with_suffix(".yaml").expect("a file");
        std::fs::write(&file, settings).expect("written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
        command.current_dir(env!("CARGO_MANIFEST_DIR")).args(["serve", "--bind", &address.to_string()]);
        command.arg("--config").arg(file.path()).env("RUST_LOG", "error").stdin(Stdio::null());
        if let Some(graph) = graph {
            command.arg("--graph").arg(graph);
        }
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        Self { child: command.spawn().expect("the service starts"), address, _settings: Some(file) }
    }

    /// The service written by hand.
    pub fn rival(urls: &[String], argument: &str) -> Self {
        let address = free_address();
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.arg(argument).arg(address.to_string()).args(urls).stdin(Stdio::null());
        Self { child: command.spawn().expect("the rival starts"), address, _settings: None }
    }

    /// Resident memory.
    pub fn memory_mb(&self) -> f64 {
        self.status("VmRSS:")
    }

    /// The most resident memory it ever had.
    pub fn peak_mb(&self) -> f64 {
        self.status("VmHWM:")
    }

    fn status(&self, field: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or("0");
        line.split_whitespace().next().and_then(|kb| kb.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
    }

    /// Processor time used so far, at the kernel's 100 ticks a second.
    pub fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
        let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        Duration::from_millis((ticks(11) + ticks(12)) * 10)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address")
}

/// Waits until `path` is answered with 200.
pub async fn wait_ready(address: SocketAddr, path: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    for _ in 0..20_000 {
        if let Ok(mut stream) = TcpStream::connect(address).await {
            let mut answer = String::new();
            let asked = stream.write_all(request.as_bytes()).await;
            if asked.is_ok() && stream.read_to_string(&mut answer).await.is_ok() && answer.starts_with("HTTP/1.1 200") {
                return;
            }
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("the service does not become ready");
}

/// Waits until somebody listens.
pub async fn wait_listening(address: SocketAddr) {
    for _ in 0..20_000 {
        if TcpStream::connect(address).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("nothing listens at {address}");
}
