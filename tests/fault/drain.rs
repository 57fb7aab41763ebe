//! The shutdown of the program under load.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::{Database, Process, connect, eventually, eventually_async};
use crate::trial::exclusive;

const CLIENTS: usize = 8;

/// The running program, which serves one flow.
pub struct Program {
    child: Process,
    /// The address of its server.
    pub address: SocketAddr,
    database: Database,
    _files: tempfile::TempDir,
}

impl Program {
    /// Serves a flow whose query takes this number of seconds.
    async fn start(seconds: &str) -> Self {
        Self::start_by(Command::new(env!("CARGO_BIN_EXE_tributary")), seconds).await
    }

    /// As [`Self::start`], with another command.
    pub async fn start_by(mut command: Command, seconds: &str) -> Self {
        let database = Database::empty().await;
        let files = tempfile::tempdir().expect("a directory");
        let graph = format!(
            r#"{{flow: slow, input: {{id: {{type: integer}}}}, nodes: {{nap: {{type: DBNode, database: slow_db,
            query: "SELECT $1::int AS id FROM pg_sleep({seconds})", params: [id], timeout_ms: 30000}}}},
            outcomes: [{{status: rested, when: "nap.id == input.id", message: rested}}]}}"#
        );
        std::fs::write(files.path().join("graph.yaml"), graph).expect("the file is written");
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr()).expect("a port");
        let child = command
            .args(["serve", "--bind", &address.to_string()])
            .current_dir(files.path())
            .env_clear()
            .env("SLOW_DB_URL", database.url())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let program = Self { child: Process(child), address, database, _files: files };
        let ready = format!("http://{address}/readyz");
        eventually_async("the program is ready", async || {
            reqwest::get(&ready).await.is_ok_and(|answer| answer.status() == 200)
        })
        .await;
        program
    }

    /// Sends requests, and returns when all their queries run.
    async fn busy(&self) -> Vec<tokio::task::JoinHandle<reqwest::Result<u16>>> {
        let url = format!("http://{}/flows/slow", self.address);
        let ask = |_| {
            let asked = reqwest::Client::new().post(&url).json(&json!({ "id": 1 })).send();
            tokio::spawn(async move { Ok(asked.await?.status().as_u16()) })
        };
        let asked = (0..CLIENTS).map(ask).collect();
        let running = format!("datname = '{}' AND query LIKE '%pg_sleep%' AND state = 'active'", self.database.name());
        eventually_async("every query runs", async || self.sessions(&running).await == 8).await;
        asked
    }

    async fn sessions(&self, which: &str) -> i64 {
        let count = format!("SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND {which}");
        connect(&self.database.url().replace(self.database.name(), "postgres"))
            .await
            .query_one(&count, &[])
            .await
            .expect("the server counts")
            .get(0)
    }

    async fn no_session_is_left(&self) {
        let its = format!("datname = '{}'", self.database.name());
        eventually_async("no session is left", async || self.sessions(&its).await == 0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_lets_requests_in_flight_finish_and_closes_connections() {
    let _exclusive = exclusive().await;
    let mut program = Program::start("1.5").await;
    let asked = program.busy().await;
    program.child.signal(Signal::SIGTERM);
    eventually("nothing new is accepted", || TcpStream::connect(program.address).is_err());
    for asked in asked {
        assert_eq!(asked.await.expect("no panic").expect("requests in flight are answered"), 200);
    }
    assert_eq!(program.child.ended().code(), Some(0));
    program.no_session_is_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_stops_at_once() {
    let _exclusive = exclusive().await;
    let mut program = Program::start("20").await;
    let asked = program.busy().await;
    program.child.signal(Signal::SIGTERM);
    eventually("nothing new is accepted", || TcpStream::connect(program.address).is_err());
    assert!(program.child.try_wait().expect("its status is known").is_none(), "it did not wait for requests in flight");
    let signalled = Instant::now();
    program.child.signal(Signal::SIGTERM);
    program.child.ended();
    // Less than each limit of a graceful stop: the query's 20 s, the 10 s of `drain_timeout_ms`, and the 2 s that a domain waits for
    // its connections to close.
    assert!(signalled.elapsed() < Duration::from_secs(2), "it took {:?}", signalled.elapsed());
    for asked in asked {
        let answer = asked.await.expect("no panic");
        assert!(answer.as_ref().is_err_and(|error| !error.is_timeout()), "the request is cut off: {answer:?}");
    }
    program.no_session_is_left().await;
}
