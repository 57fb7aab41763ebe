//! Servers under load, each a process of its own whose memory and processor time can be told.

use std::collections::HashMap;
use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::databases::Databases;
use crate::pinned::{self, Waiting};
use crate::rival::{self, Prepares, Writes};

/// A service written by hand, which is this program, started once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rival {
    /// Over a pool for each database.
    Pooled(Prepares),
    /// Over connections that belong to a worker.
    Pinned(Waiting),
    /// The growing flow over any number of databases, each with a pool.
    Stock,
    /// Over a pool for each database, with each order inserted.
    Writing(Writes),
}

impl Rival {
    const ALL: [(&'static str, Self); 7] = [
        ("--rival", Self::Pooled(Prepares::Once)),
        ("--rival-preparing", Self::Pooled(Prepares::Always)),
        ("--rival-pinned", Self::Pinned(Waiting::Apart)),
        ("--rival-pinned-coalescing", Self::Pinned(Waiting::Together)),
        ("--rival-stock", Self::Stock),
        ("--rival-writing", Self::Writing(Writes::Order)),
        ("--rival-writing-once", Self::Writing(Writes::OrderOnce)),
    ];

    /// Serves if these arguments, which [`Process::rival`] gave, say so; whether they do.
    pub fn serves(arguments: &[String]) -> bool {
        let Some((argument, rest)) = arguments.get(1..).and_then(<[String]>::split_first) else { return false };
        let Some((_, rival)) = Self::ALL.into_iter().find(|(given, _)| given == argument) else { return false };
        let (address, urls) = rest.split_first().expect("an address");
        match rival {
            Self::Pooled(prepares) => rival::serve(address, urls, (prepares, Writes::Nothing)),
            Self::Writing(writes) => rival::serve(address, urls, (Prepares::Once, writes)),
            Self::Pinned(waiting) => pinned::serve(address, urls, waiting),
            Self::Stock => rival::serve_stock(address, urls),
        }
        true
    }

    fn argument(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, rival)| *rival == self).map_or("", |(argument, _)| argument)
    }
}

/// What a server has used so far, or between two times.
pub struct Usage {
    /// Processor time.
    pub cpu: Duration,
    /// Context switches, voluntary and involuntary.
    pub switches: f64,
    /// The switches of each thread.
    by_thread: HashMap<OsString, f64>,
}

impl Usage {
    /// What has been used since `before`. Threads that have ended in between do not count.
    pub fn since(&self, before: &Self) -> Self {
        let cpu = self.cpu.saturating_sub(before.cpu);
        let more = |(thread, now): (&OsString, &f64)| {
            (thread.clone(), now - before.by_thread.get(thread).copied().unwrap_or(0.0))
        };
        let by_thread: HashMap<_, _> = self.by_thread.iter().map(more).collect();
        Self { cpu, switches: by_thread.values().sum(), by_thread }
    }
}

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
        Self::start(&["serve"], graph, settings, environment)
    }

    /// `tributary domain` for one domain of the shipped flow.
    pub fn domain(domain: &str, environment: &[(String, String)]) -> Self {
        Self::start(&["domain", domain], None, "", environment)
    }

    fn start(command_line: &[&str], graph: Option<&Path>, settings: &str, environment: &[(String, String)]) -> Self {
        let address = free_address();
        let file = NamedTempFile::with_suffix(".yaml").expect("a file");
        std::fs::write(&file, settings).expect("written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
        command.current_dir(env!("CARGO_MANIFEST_DIR")).args(command_line).args(["--bind", &address.to_string()]);
        command.arg("--config").arg(file.path()).env("RUST_LOG", "error").stdin(Stdio::null());
        if let Some(graph) = graph {
            command.arg("--graph").arg(graph);
        }
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        Self { child: command.spawn().expect("the service starts"), address, _settings: Some(file) }
    }

    /// A service written by hand, on the databases at these URLs, whose servers have this certificate if they have TLS.
    pub fn rival(rival: Rival, urls: &[String], certificate: Option<&Path>) -> Self {
        let address = free_address();
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.arg(rival.argument()).arg(address.to_string()).args(urls).stdin(Stdio::null());
        command.envs(certificate.map(|file| (rival::CERTIFICATE, file)));
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

    /// What it has used so far.
    pub fn usage(&self) -> Usage {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).into_iter().flatten().flatten();
        let by_thread: HashMap<_, _> = threads
            .map(|thread| {
                // A thread may end while it is looked at.
                let status = std::fs::read_to_string(thread.path().join("status")).unwrap_or_default();
                let switches = status.lines().filter_map(|line| line.split_once("voluntary_ctxt_switches:"));
                (thread.file_name(), switches.filter_map(|(_, count)| count.trim().parse::<f64>().ok()).sum())
            })
            .collect();
        Usage { cpu: self.cpu(), switches: by_thread.values().sum(), by_thread }
    }

    /// Processor time used so far, at the kernel's 100 ticks a second.
    fn cpu(&self) -> Duration {
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
