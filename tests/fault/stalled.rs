//! Stalled clients, far more than the program may have open files.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::drain::Program;
use crate::trial::exclusive;

const STALLED: usize = 2_000;
/// The program's limit of open files. The test itself needs more than one for each client.
const FILES: u64 = 1_024;
/// The longest response time of clients that do not stall.
const MAX_RESPONSE_TIME: Duration = Duration::from_secs(1);
/// The time within which every stalled client is disconnected: the default timeouts of a request and a head, and a margin.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(25);

/// What a client sends before it stalls.
const STALLS: [(&str, &str); 4] = [
    ("the first byte of a head", "P"),
    ("nothing", ""),
    (
        "the first byte of a body",
        "POST /flows/slow HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{",
    ),
    ("a body that is not read", "POST /nowhere HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_stalled_clients_delay_neither_probes_nor_decisions_and_are_all_disconnected() {
    let _exclusive = exclusive().await;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("the limit is known");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("the limit is raised");
    assert!(hard > FILES * 3, "this test needs more than {hard} open files");
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &format!("ulimit -n {FILES}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_tributary")]);
    let program = Program::start_by(shell, "0").await;
    // A client with a pool of persistent connections.
    let kept = reqwest::Client::new();
    decide(&kept, program.address).await;
    for (what, bytes) in STALLS {
        let connected = Arc::new(AtomicUsize::new(0));
        let stalled: Vec<_> = (0..STALLED)
            .map(|_| tokio::spawn(stall(program.address, bytes.as_bytes(), Arc::clone(&connected))))
            .collect();
        let (started, mut asked, mut slowest) = (Instant::now(), 0, Duration::ZERO);
        // The duration of an exchange without the service. An answer passes through several threads and processes, each of which a
        // busy machine can delay as long.
        let (byte_server, mut usual) = (byte_server(), Duration::ZERO);
        while !stalled.iter().all(|client| client.is_finished()) {
            assert!(started.elapsed() < DISCONNECT_TIMEOUT, "{what}: clients are still connected");
            for client in [&kept, &reqwest::Client::new()] {
                slowest = slowest.max(live(client, program.address).await).max(decide(client, program.address).await);
                asked += 2;
            }
            usual = usual.max(exchange(byte_server).await);
        }
        assert!(slowest < MAX_RESPONSE_TIME + usual * 16, "{what}: an answer took {slowest:?}, an exchange {usual:?}");
        assert_eq!(connected.load(Ordering::Relaxed), STALLED, "{what}");
        assert!(asked > 20, "{what}: only {asked} answers");
    }
}

/// A server that answers a byte with a byte, on its own thread.
fn byte_server() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut byte = [0];
            stream.read_exact(&mut byte).and_then(|()| stream.write_all(&byte)).expect("an exchange");
        }
    });
    address
}

async fn exchange(address: SocketAddr) -> Duration {
    let started = Instant::now();
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(b"a").await.expect("sent");
    stream.read_u8().await.expect("an answer");
    started.elapsed()
}

/// Connects, sends `bytes`, and waits to be disconnected.
async fn stall(address: SocketAddr, bytes: &'static [u8], connected: Arc<AtomicUsize>) {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    connected.fetch_add(1, Ordering::Relaxed);
    // It may be disconnected already, to make room for others.
    if stream.write_all(bytes).await.is_ok() {
        drop(stream.read_to_end(&mut Vec::new()).await);
    }
}

async fn live(client: &reqwest::Client, address: SocketAddr) -> Duration {
    let started = Instant::now();
    let answer = client.get(format!("http://{address}/livez")).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    started.elapsed()
}

async fn decide(client: &reqwest::Client, address: SocketAddr) -> Duration {
    let started = Instant::now();
    let request = client.post(format!("http://{address}/flows/slow")).json(&json!({ "id": 1 }));
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    started.elapsed()
}
