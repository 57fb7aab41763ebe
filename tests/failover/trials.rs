//! Failover of a database under Patroni, under load, reached through HAProxy and directly. Run by `scripts/failover`.
//!
//! Exits with 1 where an answer was wrong or older than it may be, the unrelated flow was affected, or the service did not recover.
//! Everything is on loopback.

#![allow(
    dead_code,
    unused_imports,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "the harness fails by panicking, prints a table, and uses part of the tests' code"
)]

mod cluster;
mod history;
#[path = "../fault/load.rs"]
mod load;
#[path = "../support/mod.rs"]
mod support;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cluster::{Cluster, LOOP_WAIT, Member, TTL};
use history::History;
use load::{Judged, Load, UNRELATED, Verdict, problems, wrong};
use serde_json::{Value as Json, json};
use support::{Server, Setup, TestApp, sql};

const CLIENTS: usize = 6;
/// How long the load goes on after a trial.
const SETTLE: Duration = Duration::from_secs(2);
/// The longest outage that a trial may cause: the lock expires, the other server is promoted, and a slow machine.
const LONGEST_OUTAGE: Duration = Duration::from_secs(4 * TTL);
/// Through HAProxy, directly to the primary, and directly to a replica whose rows may be [`MAX_STALENESS`] old.
const WAYS: [&str; 3] = ["haproxy", "direct", "replica"];
const MAX_STALENESS: Duration = Duration::from_secs(1);

const SETTINGS: &str = "domains: { defaults: { timeouts: { query_ms: 1000, acquire_ms: 500 } }, \
                        replica_db: { max_staleness_ms: 1000 } }\n";

fn flow(way: &str) -> String {
    format!(
        r#"
flow: {way}
path: /{way}
input: {{ id: {{ type: integer }} }}
nodes:
  row: {{ type: DBNode, database: {way}_db, query: "SELECT version FROM versions WHERE id = $1" }}
outcomes: [{{ status: found, when: "row.version != null", message: "found", body: {{ version: row.version }} }}]
"#
    )
}

/// The service under load.
struct Trials {
    cluster: Cluster,
    history: History,
    loads: Vec<Load>,
    unrelated: Load,
    app: TestApp,
    _calm: Server,
    _files: tempfile::TempDir,
    failed: AtomicBool,
}

impl Trials {
    async fn start(programs: PathBuf) -> Self {
        let cluster = Cluster::start(&programs).await;
        sql::run(&cluster.primary_urls()[0], "the table", history::TABLE).await.expect("the table is made");
        let calm = Server::disposable(&[]).expect("a server");
        let things = "CREATE TABLE things (id integer PRIMARY KEY, name text); INSERT INTO things VALUES (1, 'calm')";
        sql::run(&calm.url("postgres"), "things", things).await.expect("the calm server is filled");

        let files = tempfile::tempdir().expect("a directory");
        let file = |name: &str, text: &str| {
            std::fs::write(files.path().join(name), text).expect("the file is written");
            files.path().join(name)
        };
        let mut graphs = vec![file("unrelated.yaml", UNRELATED)];
        graphs.extend(WAYS.map(|way| file(&format!("{way}.yaml"), &flow(way))));
        let setup = Setup { graphs, config: Some(file("service.yaml", SETTINGS)), ..Setup::default() };
        let [a, b] = &cluster.members;
        let url = |hosts: &str| format!("postgres://postgres@{hosts}/postgres");
        let both = url(&format!("127.0.0.1:{},127.0.0.1:{}", a.postgres.number(), b.postgres.number()));
        let app = TestApp::start(
            setup
                .domain("calm_db", &calm.url("postgres"))
                .domain("haproxy_db", &url(&format!("127.0.0.1:{}", cluster.haproxy.number())))
                .domain("direct_db", &format!("{both}?target_session_attrs=primary"))
                .domain("replica_db", &format!("{both}?target_session_attrs=prefer-standby")),
        );
        app.wait_for("/readyz", 200).await;

        let history = History::default();
        tokio::spawn(history.clone().write(cluster.primary_urls()));
        let loads = WAYS.map(|way| {
            let history = history.clone();
            Load::start(CLIENTS, &app.client, app.address, &format!("/{way}?explain=true"), move |_| {
                let (history, sent) = (history.clone(), Instant::now());
                (json!({ "id": 1 }), Box::new(move |status, text| judge(way, &history, sent, status, text)))
            })
        });
        let (loads, unrelated) = (loads.into(), Load::unrelated(&app.client, app.address));
        let failed = AtomicBool::new(false);
        let trials = Self { cluster, history, loads, unrelated, app, _calm: calm, _files: files, failed };
        trials.recovered(Instant::now()).await;
        trials
    }

    /// Waits until every way has a right answer to a request since `start`. Returns whether all have.
    async fn recovered(&self, start: Instant) -> bool {
        let mut all = true;
        for load in &self.loads {
            all &= load.first_right(start).await.is_some();
        }
        all
    }

    /// Breaks something, waits until every way works again, and prints a line for each.
    async fn run(&self, name: &str, broken: impl Future<Output = ()>) {
        let (started, writes) = (Instant::now(), self.history.confirmed());
        broken.await;
        let is_recovered = self.recovered(Instant::now()).await;
        tokio::time::sleep(SETTLE).await;
        for (way, load) in WAYS.iter().zip(&self.loads) {
            let answers = load.since(started);
            let (wrong, outage) = (wrong(&answers), longest_outage(&answers, started));
            let errors = problems(&answers).into_iter().map(|((code, _), count)| format!("{code}={count}"));
            let (errors, outage_ms) = (errors.collect::<Vec<_>>().join(" "), outage.as_millis());
            println!("{name:<28} {way:<10} {:>8} {:>6} {outage_ms:>9}  {errors}", answers.len(), wrong.len());
            for answer in wrong.iter().take(3) {
                println!("    wrong: {answer}");
            }
            self.require(wrong.is_empty() && outage < LONGEST_OUTAGE, "wrong answers, or too long an outage");
        }
        self.require(is_recovered, &format!("not recovered: {}", self.app.get("/health").await.text));
        self.require(self.history.confirmed() > writes, "nothing was written");
        let unrelated = self.unrelated.since(started);
        let failed = wrong(&unrelated);
        self.require(!unrelated.is_empty() && failed.is_empty(), &format!("the unrelated flow: {failed:?}"));
    }

    fn require(&self, holds: bool, message: &str) {
        if !holds {
            println!("    FAILED: {message}");
            self.failed.store(true, Ordering::Relaxed);
        }
    }

    async fn switch_over(&self) {
        let (from, to) = self.cluster.roles().await;
        self.run("switchover", async {
            self.cluster.switch_over(from, to).await;
            self.cluster.wait_for_role(to, "primary").await;
        })
        .await;
        self.cluster.wait_for_both().await;
    }

    /// Keeps the replica from replaying what it receives.
    async fn lag(&self) {
        let (_, replica) = self.cluster.roles().await;
        let client = support::connect(&replica.url()).await;
        self.run("replica does not replay", async {
            client.batch_execute("SELECT pg_wal_replay_pause()").await.expect("it pauses");
            tokio::time::sleep(4 * MAX_STALENESS).await;
        })
        .await;
        self.run("replays again", async {
            client.batch_execute("SELECT pg_wal_replay_resume()").await.expect("it continues");
        })
        .await;
    }

    /// Breaks the primary until the other server is the primary, and then undoes it.
    async fn fail_over(&self, names: [&str; 2], breaks: impl FnOnce(&Member), undoes: impl FnOnce(&Member)) {
        let (from, to) = self.cluster.roles().await;
        self.run(names[0], async {
            breaks(from);
            self.cluster.wait_for_role(to, "primary").await;
        })
        .await;
        self.run(names[1], async {
            undoes(from);
            self.cluster.wait_for_both().await;
        })
        .await;
    }
}

/// Judges an answer of a way to a request that was sent at `sent`, by the age that its explanation admits.
fn judge(way: &str, history: &History, sent: Instant, status: u16, text: &str) -> Verdict {
    let wrong = || Verdict::Wrong(format!("{status} {text}"));
    let Ok(answer) = serde_json::from_str::<Json>(text) else { return wrong() };
    if status != 200 {
        let field = |name: &str| answer[name].as_str().map(ToOwned::to_owned);
        let problem = field("code").zip(field("domain"));
        return problem.map_or_else(wrong, |(code, blames)| Verdict::Problem { code, blames });
    }
    let version = answer["version"].as_u64().and_then(|version| usize::try_from(version).ok());
    let staleness = match (way, answer["explain"]["nodes"][0]["staleness_us"].as_u64()) {
        ("replica", staleness) => staleness.map(Duration::from_micros),
        _ => Some(Duration::ZERO),
    };
    match version.zip(staleness) {
        Some((version, staleness)) if staleness <= MAX_STALENESS => history.judge(version, sent, staleness),
        _ => wrong(),
    }
}

/// The longest time without a right answer.
fn longest_outage(answers: &[Judged], started: Instant) -> Duration {
    let right = answers.iter().filter(|answer| answer.verdict == Verdict::Right).map(|answer| answer.answered);
    let mut right: Vec<Instant> = right.collect();
    right.sort();
    let before = std::iter::once(started).chain(right.iter().copied());
    before.zip(&right).map(|(before, after)| after.saturating_duration_since(before)).max().unwrap_or(Duration::MAX)
}

#[tokio::main]
async fn main() -> ExitCode {
    let programs = std::env::var_os("FAILOVER_PROGRAMS").expect("run scripts/failover");
    let is_long = std::env::args().any(|argument| argument == "long");
    let trials = Trials::start(programs.into()).await;
    println!("Patroni with ttl {TTL} s and loop_wait {LOOP_WAIT} s");
    println!("{:<28} {:<10} {:>8} {:>6} {:>9}  errors by code", "trial", "way", "requests", "wrong", "outage ms");
    trials.lag().await;
    trials.switch_over().await;
    let restart = |member: &Member| trials.cluster.start_patroni(member);
    trials.fail_over(["primary killed", "back as a replica"], Member::kill, restart).await;
    if is_long {
        trials.fail_over(["primary frozen", "thawed"], Member::freeze, Member::thaw).await;
        let (cut, mend) = (|member: &Member| member.cut_off(true), |member: &Member| member.cut_off(false));
        trials.fail_over(["primary cut off from etcd", "connected again"], cut, mend).await;
    }
    let has_failed = trials.failed.load(Ordering::Relaxed);
    if has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
