//! A raw connection, and a service with a flow that needs no database.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::{Setup, TestApp};

/// Longer than any operation may take.
pub const LONG: Duration = Duration::from_secs(60);

const ECHO: &str = "flow: echo\ninput: { v: { type: text, required: false } }\nnodes:\n  \
                    known: { type: RuleNode, condition: \"1 == 1\" }\n\
                    outcomes:\n- { status: done, message: said, body: { said: v } }\n";

/// A service with the flow `echo`.
pub struct Echo {
    pub app: TestApp,
    _files: tempfile::TempDir,
}

impl Echo {
    pub fn start(http: &str, files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |file: &str| directory.path().join(file);
        for (file, text) in
            [("echo.yaml", ECHO), ("service.yaml", &format!("http: {{ {http} }}\n"))].iter().chain(files)
        {
            std::fs::write(path(file), text).expect("written");
        }
        let setup = Setup { graphs: vec![path("echo.yaml")], config: Some(path("service.yaml")), ..Setup::default() };
        Self { app: TestApp::start(setup), _files: directory }
    }

    pub async fn connect(&self) -> Wire {
        Wire::connect(self.app.address).await
    }
}

/// A raw connection.
pub struct Wire {
    stream: TcpStream,
    read: Vec<u8>,
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    /// In lower case.
    pub head: String,
    pub body: String,
}

impl Wire {
    pub async fn connect(address: std::net::SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.expect("a connection"), read: Vec::new() }
    }

    /// A connection with a small receive buffer, so that unread answers soon block the sender.
    pub async fn connect_narrow(address: std::net::SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4_096).expect("a small buffer");
        Self { stream: socket.connect(address).await.expect("a connection"), read: Vec::new() }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.expect("sent");
    }

    /// The next answer, by its Content-Length or up to the end of the connection.
    pub async fn reply(&mut self) -> Reply {
        let end = loop {
            if let Some(end) = self.read.windows(4).position(|part| part == b"\r\n\r\n") {
                break end + 4;
            }
            assert!(self.more(LONG).await, "no answer, but: {}", String::from_utf8_lossy(&self.read));
        };
        let head = String::from_utf8(self.read.drain(..end).collect()).expect("text").to_ascii_lowercase();
        let status: u16 = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: Option<usize> = length.map(|length| length.parse().expect("a length"));
        // An interim answer has no body.
        let length = if status < 200 { Some(0) } else { length };
        while length.is_none_or(|length| self.read.len() < length) && self.more(LONG).await {}
        let body = self.read.drain(..length.unwrap_or(self.read.len())).collect();
        Reply { status, head, body: String::from_utf8(body).expect("text") }
    }

    /// Reads more. Returns whether anything arrived within this time.
    pub async fn more(&mut self, within: Duration) -> bool {
        let mut part = vec![0; 16 * 1024];
        match tokio::time::timeout(within, self.stream.read(&mut part)).await {
            Ok(Ok(count)) => {
                self.read.extend_from_slice(&part[..count]);
                count > 0
            }
            Ok(Err(_)) | Err(_) => false,
        }
    }

    /// What was read beyond the last answer.
    pub fn unread(&self) -> String {
        String::from_utf8_lossy(&self.read).into_owned()
    }

    /// Reads until the connection is closed, and returns how long that took.
    pub async fn until_closed(&mut self) -> Duration {
        let since = Instant::now();
        let mut part = vec![0; 16 * 1024];
        while let Ok(Ok(count)) = tokio::time::timeout(LONG, self.stream.read(&mut part)).await {
            if count == 0 {
                return since.elapsed();
            }
            self.read.extend_from_slice(&part[..count]);
        }
        since.elapsed()
    }

    /// Sends repeatedly without reading until the connection is closed, and returns how long that took.
    pub async fn send_until_closed(&mut self, bytes: &[u8]) -> Duration {
        let since = Instant::now();
        while since.elapsed() < LONG {
            // The socket buffers fill up. A later attempt fails once the other end has closed the connection.
            if let Ok(Err(_)) = tokio::time::timeout(Duration::from_millis(20), self.stream.write_all(bytes)).await {
                return since.elapsed();
            }
        }
        since.elapsed()
    }

    /// Sends every 50 milliseconds and reads answers until the connection is closed, and returns how long that took.
    pub async fn send_until_closed_slowly(&mut self, bytes: &[u8]) -> Duration {
        let since = Instant::now();
        let mut part = vec![0; 16 * 1024];
        while since.elapsed() < LONG {
            match tokio::time::timeout(Duration::from_millis(50), self.stream.read(&mut part)).await {
                Ok(Ok(count)) if count > 0 => self.read.extend_from_slice(&part[..count]),
                Ok(_) => break,
                Err(_) if self.stream.write_all(bytes).await.is_err() => break,
                Err(_) => {}
            }
        }
        since.elapsed()
    }
}
