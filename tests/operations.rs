//! What operators rely on: signals, supervision by systemd, reloads that say what they could not change.

#![expect(clippy::unwrap_used, reason = "clippy lets test functions unwrap, but not what they share")]

mod support;

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use tempfile::TempDir;

use crate::support::{Process, Setup, TestApp, eventually, repository};

const GRAPH: &str = "nodes: { n: { type: RuleNode, condition: \"a > 0\" } }\n\
                     outcomes: [ { status: yes, when: n.result }, { status: no, when: \"n.result == false\" } ]\n";

fn flow(directory: &Path, name: &str) {
    let text = format!("flow: {name}\ninput: {{ a: {{ type: integer }} }}\n{GRAPH}");
    std::fs::write(directory.join(format!("{name}.yaml")), text).unwrap();
}

/// A running program.
struct Program(Process);

impl Program {
    fn start(command: &mut Command) -> Self {
        Self(Process(command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()))
    }

    /// Reads standard output up to the line that holds `text`.
    fn wait_for(&mut self, text: &str) {
        let stdout = self.0.stdout.take().unwrap();
        let mut lines = BufReader::new(stdout).lines();
        assert!(lines.any(|line| line.unwrap().contains(text)), "`{text}` is not printed");
        // Who prints to a closed pipe would end.
        std::thread::spawn(move || lines.count());
    }
}

fn tributary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
    command.current_dir(repository()).stdout(Stdio::piped());
    command
}

#[test]
fn systemd_is_notified_when_the_service_is_ready_and_when_it_stops() {
    let directory = TempDir::new().unwrap();
    flow(directory.path(), "one");
    let socket = UnixDatagram::bind(directory.path().join("notify")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let received = || {
        let mut bytes = [0; 256];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    };
    let mut serve = tributary();
    serve.args(["serve", "--bind", "127.0.0.1:0", "--graph"]).arg(directory.path());
    let mut program = Program::start(serve.env("NOTIFY_SOCKET", directory.path().join("notify")));
    assert!(received().contains("READY=1"));
    program.0.signal(Signal::SIGTERM);
    assert!(received().contains("STOPPING=1"));
    assert_eq!(program.0.ended().code(), Some(0));
}

#[test]
fn closing_the_terminal_stops_the_demo_unless_it_was_started_with_nohup() {
    let directory = TempDir::new().unwrap();
    let mut demo = tributary();
    demo.args(["demo", "--bind", "127.0.0.1:0", "--state-dir"]).arg(directory.path().join("state"));
    let mut program = Program::start(&mut demo);
    program.wait_for("Tributary is deciding");
    program.0.signal(Signal::SIGHUP);
    assert_eq!(program.0.ended().code(), Some(0));
    let pid = directory.path().join("state");
    assert!(!pid.join("data/postmaster.pid").exists(), "its database has stopped");

    let mut shell = Command::new("sh");
    shell.current_dir(repository()).stdout(Stdio::piped());
    shell.args(["-c", "trap '' HUP; exec \"$0\" demo --bind 127.0.0.1:0 --state-dir \"$1\""]);
    shell.arg(env!("CARGO_BIN_EXE_tributary")).arg(directory.path().join("state"));
    let mut program = Program::start(&mut shell);
    program.wait_for("Tributary is deciding");
    program.0.signal(Signal::SIGHUP);
    program.0.signal(Signal::SIGTERM);
    assert_eq!(program.0.ended().code(), Some(0));
}

#[test]
fn a_hangup_before_the_service_listens_does_not_end_it() {
    let directory = TempDir::new().unwrap();
    (0..200).for_each(|number| flow(directory.path(), &format!("flow_{number}")));
    let socket = UnixDatagram::bind(directory.path().join("notify")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut serve = tributary();
    serve.args(["serve", "--bind", "127.0.0.1:0", "--graph"]).arg(directory.path());
    let mut program = Program::start(serve.env("NOTIFY_SOCKET", directory.path().join("notify")));
    // As soon as the process takes SIGHUP itself (proc(5), `SigCgt`).
    let status = format!("/proc/{}/status", program.0.id());
    eventually("SIGHUP is caught", || {
        let status = std::fs::read_to_string(&status).unwrap_or_default();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
    });
    program.0.signal(Signal::SIGHUP);
    let mut bytes = [0; 256];
    assert!(socket.recv(&mut bytes).is_ok(), "the service became ready");
    program.0.signal(Signal::SIGTERM);
    assert_eq!(program.0.ended().code(), Some(0));
}

#[actix_web::test]
async fn a_reload_names_flows_that_are_gone_and_settings_that_need_a_restart() {
    let directory = TempDir::new().unwrap();
    flow(directory.path(), "one");
    flow(directory.path(), "two");
    let config = directory.path().join("service.cfg");
    std::fs::write(&config, "http: { max_in_flight: 10 }\n").unwrap();
    let graphs = vec![directory.path().to_owned()];
    let setup =
        Setup { graphs, config: Some(config.clone()), ..Setup::default() }.set("ADMIN_TOKEN", "a-token-for-tests");
    let app = TestApp::start(setup);
    std::fs::write(&config, "http: { max_in_flight: 20, request_timeout_ms: 900 }\nlog: { filter: warn }\n").unwrap();
    std::fs::remove_file(directory.path().join("two.yaml")).unwrap();
    let reload = app.client.post(app.url("/admin/reload")).bearer_auth("a-token-for-tests");
    let answer = TestApp::answer(reload).await.json();
    assert_eq!(answer["removed_flows"], json!(["two"]));
    assert_eq!(answer["needs_restart"], json!(["http.max_in_flight", "log.filter"]));
}

#[test]
fn a_link_that_leads_nowhere_and_a_flow_that_cannot_be_read_are_errors() {
    let directory = TempDir::new().unwrap();
    flow(directory.path(), "one");
    std::os::unix::fs::symlink("gone/elsewhere.yaml", directory.path().join("two.yaml")).unwrap();
    let output = tributary().args(["check", "--graph"]).arg(directory.path()).output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("two.yaml") && text.contains("a link to `gone/elsewhere.yaml`"), "{text}");
}

#[actix_web::test]
async fn what_is_in_flight_is_cut_off_exactly_when_the_drain_timeout_is_over() {
    let directory = TempDir::new().unwrap();
    let database = support::Database::empty().await;
    let slow = "flow: slow\nnodes: { s: { type: DBNode, database: slow_db, query: \"SELECT 1 AS one FROM pg_sleep(30)\", params: [] } }\n\
                outcomes: [ { status: ok, when: \"s.one == 1\" } ]\n";
    std::fs::write(directory.path().join("slow.yaml"), slow).unwrap();
    let config = directory.path().join("service.cfg");
    std::fs::write(
        &config,
        "http: { drain_timeout_ms: 1300 }\ndomains: { defaults: { timeouts: { query_ms: 60000 } } }\n",
    )
    .unwrap();
    let graphs = vec![directory.path().to_owned()];
    let app =
        TestApp::start(Setup { graphs, config: Some(config), ..Setup::default() }.domain("slow_db", &database.url()));
    app.wait_for("/readyz", 200).await;
    let asked = app.client.post(app.url("/flows/slow")).json(&json!({})).send();
    let asked = tokio::spawn(asked);
    let client = support::connect(&database.url()).await;
    support::eventually_async("the query runs", async || {
        let running =
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)%' AND pid <> pg_backend_pid()";
        client.query_one(running, &[]).await.unwrap().get::<_, i64>(0) == 1
    })
    .await;
    let begun = Instant::now();
    kill(Pid::this(), Signal::SIGTERM).unwrap();
    assert!(asked.await.unwrap().is_err(), "the request is cut off");
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(1_250) && took < Duration::from_secs(3), "it took {took:?}");
}

/// The service at a free port, with this section `http` of its settings, once it is ready.
fn serving(directory: &Path, http: &str) -> (Program, support::Port) {
    flow(directory, "one");
    std::fs::write(directory.join("service.cfg"), format!("http: {http}\n")).unwrap();
    let port = support::Port::any();
    let mut serve = tributary();
    serve.args(["serve", "--bind", &format!("127.0.0.1:{}", port.number()), "--graph"]).arg(directory);
    (Program::start(serve.arg("--config").arg(directory.join("service.cfg")).stdout(Stdio::null())), port)
}

#[actix_web::test]
async fn a_service_that_stops_is_not_ready_before_it_closes() {
    let directory = TempDir::new().unwrap();
    let (mut program, port) = serving(directory.path(), "{ drain_delay_ms: 1500 }");
    let url = |path: &str| format!("http://127.0.0.1:{}{path}", port.number());
    let status = async |path: &str| reqwest::get(url(path)).await.map_or(0, |answer| answer.status().as_u16());
    support::eventually_async("it is ready", async || status("/readyz").await == 200).await;
    program.0.signal(Signal::SIGTERM);
    let begun = Instant::now();
    support::eventually_async("it is not ready", async || status("/readyz").await == 503).await;
    // Each of these is a new connection.
    while begun.elapsed() < Duration::from_millis(1_200) {
        let answer = reqwest::Client::new().post(url("/flows/one")).json(&json!({ "a": 1 })).send().await;
        assert_eq!(answer.unwrap().status(), 200, "after {:?}", begun.elapsed());
        assert_eq!((status("/readyz").await, status("/livez").await), (503, 200));
    }
    assert_eq!(program.0.ended().code(), Some(0));
    assert!(begun.elapsed() >= Duration::from_millis(1_500) && status("/livez").await == 0);
}

#[actix_web::test]
async fn a_second_signal_does_not_wait_until_balancers_have_left() {
    let directory = TempDir::new().unwrap();
    let (mut program, port) = serving(directory.path(), "{ drain_delay_ms: 60000 }");
    let url = format!("http://127.0.0.1:{}/readyz", port.number());
    let status = async || reqwest::get(&url).await.map_or(0, |answer| answer.status().as_u16());
    support::eventually_async("it is ready", async || status().await == 200).await;
    program.0.signal(Signal::SIGTERM);
    support::eventually_async("it is not ready", async || status().await == 503).await;
    program.0.signal(Signal::SIGTERM);
    let begun = Instant::now();
    program.0.ended();
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}
