//! Replicas of the program behind HAProxy, as `config/deploy/haproxy.cfg` has it: restarted, reloaded and killed under load.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use nix::sys::signal::Signal;
use serde_json::Value as Json;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::support::{Port, Process, SampleDatabases, copy_shipped, eventually_async, program, repository};
use crate::trial::exclusive;

const TOKEN: &str = "planted-admin-token";
const CLIENTS: usize = 6;
/// The answers to wait for between two steps.
const ENOUGH: usize = 60;
/// The discount of PROD-003 by the shipped rules, and by the changed ones.
const DISCOUNTS: [&str; 2] = ["17313.75", "34627.50"];

/// One process of the service, at a port that it keeps.
struct Replica {
    name: &'static str,
    port: Port,
    child: Process,
}

impl Replica {
    async fn start(name: &'static str, site: &Site) -> Self {
        let port = Port::any();
        let child = site.serve(&port);
        let replica = Self { name, port, child };
        replica.is_ready().await;
        replica
    }

    async fn is_ready(&self) {
        let ready = self.url("/readyz");
        eventually_async("the replica is ready", async || {
            reqwest::get(&ready).await.is_ok_and(|answer| answer.status() == 200)
        })
        .await;
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port.number())
    }

    async fn start_again(&mut self, site: &Site) {
        self.child = site.serve(&self.port);
        self.is_ready().await;
    }
}

/// The databases and files that all replicas have.
struct Site {
    environment: Vec<(String, String)>,
    directory: tempfile::TempDir,
    _databases: SampleDatabases,
}

impl Site {
    async fn new() -> Self {
        let databases = SampleDatabases::create().await;
        let directory = tempfile::tempdir().expect("a directory");
        copy_shipped(directory.path());
        let settings = "http: { drain_delay_ms: 2000, workers: 1 }\n\
                        domains: { defaults: { pool: { min: 1, max: 4 } } }\n";
        std::fs::write(directory.path().join("service.yaml"), settings).expect("written");
        let mut environment: Vec<_> = databases.environment().into_iter().collect();
        environment.push(("ADMIN_TOKEN".to_owned(), TOKEN.to_owned()));
        Self { environment, directory, _databases: databases }
    }

    fn serve(&self, port: &Port) -> Process {
        let mut command = program(self.directory.path(), &self.environment);
        command.args(["serve", "--config", "service.yaml", "--bind", &format!("127.0.0.1:{}", port.number())]);
        Process(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts"))
    }

    fn change_rules(&self) {
        let path = self.directory.path().join("rules/discounts.csv");
        let text = std::fs::read_to_string(&path).expect("the table");
        let changed = text.replace("0.10", "0.20");
        assert_ne!(text, changed);
        std::fs::write(&path, changed).expect("written");
    }
}

/// HAProxy with the shipped configuration, but for the ports.
struct Balancer {
    _child: Process,
    port: Port,
    statistics: Port,
    _directory: tempfile::TempDir,
}

fn haproxy() -> PathBuf {
    let home = std::env::var("HOME").unwrap_or_default();
    let unpacked = format!("{home}/.cache/tributary/tools/haproxy/haproxy");
    let candidates = [std::env::var("HAPROXY").unwrap_or_default(), "/usr/sbin/haproxy".to_owned(), unpacked];
    let found = candidates.into_iter().find(|path| !path.is_empty() && Path::new(path).exists());
    found.expect("this test needs HAProxy: run scripts/install_haproxy first").into()
}

impl Balancer {
    async fn before(replicas: &[Replica]) -> Self {
        let (port, statistics) = (Port::any(), Port::any());
        let mut text = std::fs::read_to_string(repository().join("config/deploy/haproxy.cfg")).expect("the file");
        let addresses = replicas.iter().zip(8001..).map(|(replica, shipped)| (shipped, replica.port.number()));
        for (shipped, number) in addresses.chain([(8080, port.number())]) {
            let found = text.lines().rfind(|line| line.ends_with(&format!(" 127.0.0.1:{shipped}"))).expect("a line");
            let changed = found.replace(&format!(":{shipped}"), &format!(":{number}"));
            text = text.replace(found, &changed);
        }
        text += &format!(
            "listen statistics\n    bind 127.0.0.1:{}\n    stats enable\n    stats uri /\n",
            statistics.number()
        );
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("haproxy.cfg");
        std::fs::write(&file, text).expect("written");
        let mut command = Command::new(haproxy());
        command.arg("-db").arg("-f").arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = Process(command.spawn().expect("HAProxy starts"));
        let balancer = Self { _child: child, port, statistics, _directory: directory };
        for replica in replicas {
            balancer.shows(replica, "UP").await;
        }
        balancer
    }

    /// What HAProxy counted for each replica: by its name, and by the name of the column.
    async fn counted(&self) -> Option<BTreeMap<String, BTreeMap<String, String>>> {
        let answer = reqwest::get(format!("http://127.0.0.1:{}/;csv", self.statistics.number())).await.ok()?;
        let text = answer.text().await.ok()?;
        let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
        let columns = lines.next()?;
        let rows = lines.filter(|row| row.first().is_some_and(|backend| backend == "replicas"));
        Some(rows.map(|row| (row[1].clone(), columns.iter().cloned().zip(row).collect())).collect())
    }

    /// Returns once HAProxy says this of the replica.
    async fn shows(&self, replica: &Replica, status: &str) {
        eventually_async(&format!("{} is {status}", replica.name), async || {
            let rows = self.counted().await;
            rows.is_some_and(|rows| rows.get(replica.name).is_some_and(|row| row["status"].starts_with(status)))
        })
        .await;
    }

    /// How often a request was sent again, of all that there have been.
    async fn sent_again(&self) -> u64 {
        let rows = self.counted().await.expect("HAProxy answers");
        let number = |row: &BTreeMap<String, String>, column: &str| row[column].parse::<u64>().expect("a number");
        rows.iter()
            .filter(|(name, _)| *name == "BACKEND")
            .map(|(_, row)| number(row, "wretr") + number(row, "wredis"))
            .sum()
    }
}

/// What clients have seen.
#[derive(Default)]
struct Seen {
    /// By the version of the rules: the discounts of the answers that name it.
    discounts: BTreeMap<String, BTreeSet<String>>,
    answers: usize,
    failures: Vec<String>,
}

/// Clients of the balancer that ask again and again.
struct Load {
    seen: Arc<Mutex<Seen>>,
    ends: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// Client 0 sends batches.
    fn on(balancer: &Balancer, clients: Range<usize>) -> Self {
        let (seen, ends) = (Arc::<Mutex<Seen>>::default(), Arc::<AtomicBool>::default());
        let url = format!("http://127.0.0.1:{}/purchasing/flow", balancer.port.number());
        let client = |number| {
            let (seen, ends, url) = (Arc::clone(&seen), Arc::clone(&ends), url.clone());
            tokio::spawn(async move {
                let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().expect("a client");
                let input = r#"{"product_id":"PROD-003"}"#;
                let (url, media_type, body) = match number {
                    0 => (format!("{url}/batch"), "application/x-ndjson", format!("{input}\n").repeat(40)),
                    _ => (url, "application/json", input.to_owned()),
                };
                let lines = body.lines().count();
                while !ends.load(Ordering::Relaxed) {
                    let request = client.post(&url).header("Content-Type", media_type).body(body.clone());
                    let answer = judged(request, lines).await;
                    let mut seen = seen.lock().await;
                    match answer {
                        Ok((version, discount)) => {
                            seen.discounts.entry(version).or_default().insert(discount);
                            seen.answers += 1;
                        }
                        Err(failure) => seen.failures.push(failure),
                    }
                    drop(seen);
                    tokio::time::sleep(Duration::from_millis(4)).await;
                }
            })
        };
        let clients = clients.map(client).collect();
        Self { seen, ends, clients }
    }

    /// Waits for further answers, and forgets which rules gave those before.
    async fn goes_on(&self) {
        let mut seen = self.seen.lock().await;
        let before = seen.answers;
        seen.discounts.clear();
        drop(seen);
        eventually_async("the load goes on", async || self.seen.lock().await.answers >= before + ENOUGH).await;
    }

    async fn end(self) -> Seen {
        self.ends.store(true, Ordering::Relaxed);
        join_all(self.clients).await.into_iter().for_each(|client| client.expect("no panic"));
        std::mem::take(&mut *self.seen.lock().await)
    }
}

/// The version of the rules that an answer of `lines` decisions names, and the discount that each of them has.
async fn judged(request: reqwest::RequestBuilder, lines: usize) -> Result<(String, String), String> {
    let answer = request.send().await.map_err(|error| format!("{error:?}"))?;
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let text = answer.text().await.map_err(|error| format!("{error:?}"))?;
    let version = headers.get("rules-version").and_then(|version| version.to_str().ok()).map(str::to_owned);
    let discount = |line: &str| {
        let line: Json = serde_json::from_str(line).ok()?;
        Some(line.get("purchase_order")?.get("discount_amount")?.to_string())
    };
    let discounts: BTreeSet<_> = text.lines().map(discount).collect();
    match (status, version, discounts.into_iter().collect::<Vec<_>>().as_slice()) {
        (200, Some(version), [Some(discount)]) if text.lines().count() == lines => Ok((version, discount.clone())),
        _ => Err(format!("{status} {headers:?} {text}")),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_behind_a_balancer_lose_no_request() {
    let _exclusive = exclusive().await;
    let site = Site::new().await;
    let mut replicas = Vec::new();
    for name in ["one", "two", "three"] {
        replicas.push(Replica::start(name, &site).await);
    }
    let balancer = Balancer::before(&replicas).await;
    let load = Load::on(&balancer, 0..CLIENTS);

    for replica in &mut replicas {
        load.goes_on().await;
        replica.child.signal(Signal::SIGTERM);
        balancer.shows(replica, "DOWN").await;
        assert_eq!(replica.child.ended().code(), Some(0));
        replica.start_again(&site).await;
        balancer.shows(replica, "UP").await;
    }
    assert_eq!(balancer.sent_again().await, 0, "a replica closed before it was out");

    site.change_rules();
    load.goes_on().await;
    assert_eq!(load.seen.lock().await.discounts.len(), 1, "until a replica reads them");
    for replica in &replicas {
        let reload = reqwest::Client::new().post(replica.url("/admin/reload")).bearer_auth(TOKEN).send().await;
        assert_eq!(reload.expect("an answer").status(), 200);
        eventually_async("both versions answer", async || load.seen.lock().await.discounts.len() == 2).await;
    }
    let discounts = load.seen.lock().await.discounts.clone();
    let found: BTreeSet<&str> = discounts.values().flatten().map(String::as_str).collect();
    assert!(found == BTreeSet::from(DISCOUNTS) && discounts.values().all(|of| of.len() == 1), "{discounts:?}");
    assert_eq!(balancer.sent_again().await, 0);
    // What was under way ends; from then on the changed rules decide.
    load.goes_on().await;
    load.goes_on().await;
    assert_eq!(load.seen.lock().await.discounts.values().flatten().collect::<Vec<_>>(), [DISCOUNTS[1]]);

    let answers = load.end().await;
    assert_eq!(answers.failures, [""; 0], "of {} answers", answers.answers);

    // A batch of which lines have been sent cannot be sent again.
    let load = Load::on(&balancer, 1..CLIENTS);
    for replica in &mut replicas {
        load.goes_on().await;
        replica.child.signal(Signal::SIGKILL);
        assert_eq!(replica.child.ended().code(), None);
        balancer.shows(replica, "DOWN").await;
        replica.start_again(&site).await;
        balancer.shows(replica, "UP").await;
    }
    let answers = load.end().await;
    assert_eq!(answers.failures, [""; 0], "of {} answers", answers.answers);
}
