//! The databases, with a replica of the one that is written, the replicas of the service, and the relays of events with their webhook.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rand::Rng;
use tokio::task::block_in_place;
use tributary::demo::{DATABASES, WRITER};

use crate::support::server::PRIMARY;
use crate::support::{
    Hook, Port, Process, Proxy, Received, Reply, SampleDatabases, Server, connect, eventually_async, fill, program,
    repository, sql, write_environment,
};

/// Products that are ordered without an approval.
pub const ITEMS: usize = 12;
/// What is in stock of each item of the flow `reserve`. The first one runs out.
pub const STOCK: [(&str, i64); 2] = [("scarce", 200), ("plenty", 1_000_000)];
/// How long the relays may take to send what waits in the end. They pause for at most 30 s.
const LONGEST_RELAY: Duration = Duration::from_secs(90);
/// How long the service may take to start.
const LONGEST_START: Duration = Duration::from_secs(20);
/// The database that is written.
pub const WRITTEN: &str = "oms_db";

/// A guard: a conditional UPDATE, on rows that all requests want.
const RESERVE: &str = r#"
flow: reserve
path: /reserve
input: { item: { type: text }, qty: { type: integer } }
nodes:
  stock: { type: DBNode, database: oms_db, query: "SELECT qty FROM stock WHERE item = $1", params: [input.item] }
effects:
  take:
    database: oms_db
    statements:
      - query: "UPDATE stock SET qty = qty - $1 WHERE item = $2 AND qty >= $1 RETURNING qty"
        params: [input.qty, input.item]
outcomes:
  - { status: reserved, when: "stock.qty >= input.qty", message: "reserved", effect: take, body: { item: input.item, qty: input.qty, rest: take.qty } }
  - { status: sold_out, when: "stock.qty < input.qty", message: "sold out" }
"#;

/// Keeps the transaction that has written an event: a relay that marks the event writes its row anew.
const COMMITS: &str = "CREATE TABLE commits (event uuid PRIMARY KEY);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
        $$ BEGIN INSERT INTO commits VALUES (NEW.id); RETURN NEW; END $$;
    CREATE TRIGGER note AFTER INSERT ON tributary_outbox FOR EACH ROW EXECUTE FUNCTION note()";

/// A transaction that nobody answers for ends after a second.
const SETTINGS: &str = "\
http: { workers: 1, request_timeout_ms: 4000 }
rules: { threads: 1 }
console: { enabled: false }
domains: { defaults: { pool: { min: 1, max: 6 }, timeouts: { connect_ms: 500, query_ms: 1000, acquire_ms: 1000 } } }
";

/// The isolation of the transactions that write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code, reason = "only the long form has both")]
pub enum Isolation {
    /// PostgreSQL's default.
    ReadCommitted,
    /// By a setting of the role.
    Serializable,
}

/// A server of the database that is written, with a proxy before it, and one to which its replica connects.
pub struct Member {
    pub server: Server,
    pub proxy: Proxy,
    pub stream: Proxy,
}

impl Member {
    fn of(server: Server, stream: Proxy) -> Self {
        Self { proxy: Proxy::to(server.port()), stream, server }
    }

    /// The superuser's URL of the database that is written.
    pub fn url(&self) -> String {
        self.server.url(WRITTEN)
    }

    /// Runs statements as the superuser.
    pub async fn run(&self, statements: &str) {
        sql::run(&self.url(), "the mishap", statements).await.expect("the statements succeed");
    }
}

/// A process that is killed and started again.
type Mortal = Mutex<Option<Process>>;

/// A replica of the service, at a port that it keeps.
struct Replica {
    port: Port,
    child: Mortal,
}

/// All servers.
pub struct Site {
    members: [Member; 2],
    /// Which of them is the primary.
    primary: AtomicUsize,
    others: SampleDatabases,
    replicas: Vec<Replica>,
    relays: [Mortal; 2],
    hook: Hook,
    files: tempfile::TempDir,
    kills: AtomicUsize,
    is_over: AtomicBool,
}

impl Site {
    /// Starts all, and returns when every replica of the service is ready.
    pub async fn start(services: usize, isolation: Isolation) -> Self {
        let settings = [&PRIMARY[..], &[("max_connections", "100"), ("track_commit_timestamp", "on")]].concat();
        let primary = block_in_place(|| Server::disposable(&settings).expect("a server"));
        fill(&primary, &DATABASES[..1]).await;
        sql::run(&primary.url(WRITTEN), "the products", &written_rows(isolation)).await.expect("the rows are written");
        let stream = Proxy::to(primary.port());
        let standby = block_in_place(|| primary.replica(stream.port()).expect("a replica"));
        let back = Proxy::to(standby.port());
        let others = SampleDatabases::create().await;
        for database in &DATABASES[1..] {
            others.database(&database.name).run(&copies(&database.name)).await;
        }
        let files = tempfile::tempdir().expect("a directory");
        let hook = Hook::start();
        hook.replies(|_| reply());
        let settings = format!("{SETTINGS}relay: {{ {}, timeout_ms: 500, poll_ms: 200 }}\n", hook.section());
        for (name, text) in [("reserve.yaml", RESERVE), ("service.yaml", &settings)] {
            std::fs::write(files.path().join(name), text).expect("the file is written");
        }
        let replicas = (0..services).map(|_| Replica { port: Port::any(), child: Mutex::default() }).collect();
        let members = [Member::of(primary, stream), Member::of(standby, back)];
        let (primary, kills, is_over) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
        let relays = [Mutex::default(), Mutex::default()];
        let site = Self { members, primary, others, replicas, relays, hook, files, kills, is_over };
        site.require_replica().await;
        for replica in &site.replicas {
            site.serve(replica).await;
        }
        for relay in &site.relays {
            site.relay(relay);
        }
        site
    }

    /// The primary and its replica.
    pub fn roles(&self) -> (&Member, &Member) {
        let [a, b] = &self.members;
        if self.primary.load(Ordering::SeqCst) == 0 { (a, b) } else { (b, a) }
    }

    /// Has the primary confirm a commit only when its replica has it.
    pub async fn require_replica(&self) {
        let (primary, _) = self.roles();
        for statement in ["ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()"] {
            primary.run(statement).await;
        }
        eventually_async("the replica is synchronous", async || {
            let client = connect(&primary.url()).await;
            let query = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
            client.query_one(query, &[]).await.is_ok_and(|row| row.get::<_, i64>(0) == 1)
        })
        .await;
    }

    /// Makes the replica the primary.
    pub async fn promote(&self) {
        let (_, replica) = self.roles();
        replica.run("SELECT pg_promote()").await;
        self.primary.fetch_xor(1, Ordering::SeqCst);
    }

    /// Makes the server that was the primary a replica of the one that is.
    pub async fn rejoin(&self) {
        let (primary, old) = self.roles();
        block_in_place(|| old.server.follow(&primary.server, primary.stream.port()).expect("a replica"));
        self.require_replica().await;
    }

    /// The URLs at which the replicas of the service listen.
    pub fn addresses(&self) -> Vec<String> {
        self.replicas.iter().map(|replica| format!("http://127.0.0.1:{}", replica.port.number())).collect()
    }

    /// How often a replica of the service was killed.
    pub fn kills(&self) -> usize {
        self.kills.load(Ordering::SeqCst)
    }

    /// Kills one replica of the service after the other, and starts it again. Sometimes it does the same with a relay.
    pub async fn kill_services(self: Arc<Self>) {
        // On a busy machine each lives longer, or none would come to answer.
        let mut start = Duration::ZERO;
        for turn in 0.. {
            let pause = Duration::from_millis(rand::rng().random_range(500..1000));
            tokio::time::sleep(pause + 2 * start).await;
            if self.is_over.load(Ordering::SeqCst) {
                return;
            }
            let replica = &self.replicas[turn % self.replicas.len()];
            end(&replica.child);
            self.kills.fetch_add(1, Ordering::SeqCst);
            if rand::rng().random_bool(0.3) {
                self.relay(&self.relays[turn % self.relays.len()]);
            }
            start = self.serve(replica).await;
        }
    }

    /// Ends [`Self::kill_services`].
    pub fn stop_killing(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }

    /// Starts a replica of the service, and waits until it answers. Returns how long that took.
    async fn serve(&self, replica: &Replica) -> Duration {
        let start = Instant::now();
        let address = format!("127.0.0.1:{}", replica.port.number());
        self.spawn(&replica.child, &["serve", "--bind", &address]);
        let live = format!("http://{address}/livez");
        while reqwest::get(&live).await.is_err() {
            assert!(start.elapsed() < LONGEST_START, "the service does not start");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        start.elapsed()
    }

    /// Kills a relay, if it runs, and starts it.
    fn relay(&self, relay: &Mortal) {
        end(relay);
        self.spawn(relay, &["relay"]);
    }

    fn spawn(&self, process: &Mortal, arguments: &[&str]) {
        let mut command = program(repository(), &self.environment());
        command.args(arguments).arg("--config").arg(self.file("service.yaml"));
        command.arg("--graph").arg(repository().join("graph.yaml")).arg("--graph").arg(self.file("reserve.yaml"));
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
        *process.lock().unwrap_or_else(PoisonError::into_inner) = Some(Process(child));
    }

    /// Waits until no event waits, and returns what the webhook has received, in the order of its arrival.
    pub async fn deliveries(&self) -> Vec<Received> {
        let client = connect(&self.roles().0.url()).await;
        let waiting = "SELECT count(*) FROM tributary_outbox WHERE sent_at IS NULL";
        let deadline = Instant::now() + LONGEST_RELAY;
        while client.query_one(waiting, &[]).await.expect("a count").get::<_, i64>(0) > 0 && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.hook.received()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    fn environment(&self) -> Vec<(String, String)> {
        let hosts = self.members.each_ref().map(|member| format!("127.0.0.1:{}", member.proxy.port())).join(",");
        let written = format!("postgres://postgres@{hosts}/{WRITTEN}?target_session_attrs=primary");
        let others = self.others.environment().into_iter().filter(|(name, _)| name != "OMS_DB_URL");
        others.chain([("OMS_DB_URL".to_owned(), written)]).chain(write_environment()).collect()
    }
}

/// SIGKILL.
fn end(process: &Mortal) {
    drop(process.lock().unwrap_or_else(PoisonError::into_inner).take());
}

/// What the webhook does with an event.
fn reply() -> Reply {
    match rand::rng().random_range(0..100) {
        0..3 => Reply::Status(503),
        3..6 => Reply::Lost,
        6 => Reply::Hang,
        7..15 => Reply::Late(Duration::from_millis(30)),
        _ => Reply::Status(204),
    }
}

/// The rows of the database that is written, and the settings of the role that writes.
fn written_rows(isolation: Isolation) -> String {
    let stock = STOCK.iter().map(|(item, qty)| format!("INSERT INTO stock VALUES ('{item}', {qty});"));
    let stock = stock.collect::<Vec<String>>().concat();
    let isolation = match isolation {
        Isolation::ReadCommitted => "read committed",
        Isolation::Serializable => "serializable",
    };
    format!(
        "{}; CREATE TABLE stock (item text PRIMARY KEY, qty bigint NOT NULL CHECK (qty >= 0)); {stock}
         GRANT SELECT, UPDATE ON stock TO {WRITER};
         ALTER ROLE {WRITER} SET default_transaction_isolation = '{isolation}'; {COMMITS}",
        copies(WRITTEN)
    )
}

/// Statements that copy the rows of PROD-001: `ITEM-n`, and `FULL`, of which nothing is ordered.
fn copies(database: &str) -> String {
    let (table, columns, full) = match database {
        "oms_db" => ("oms_history", "avg_daily_demand, trend", "0, trend"),
        "inventory_db" => {
            let columns = "available_qty, reserved_qty, warehouse_location";
            ("inventory", columns, columns)
        }
        "supplier_db" => {
            let columns = "supplier_name, unit_price, moq, lead_time";
            ("suppliers", columns, columns)
        }
        _ => {
            let columns = "from_uom, to_uom, conversion_factor";
            ("uom_conversions", columns, columns)
        }
    };
    format!(
        "INSERT INTO {table} (product_id, {columns}) SELECT 'ITEM-' || n, {columns} FROM {table}, generate_series(1, {ITEMS}) n
             WHERE product_id = 'PROD-001';
         INSERT INTO {table} (product_id, {columns}) SELECT 'FULL', {full} FROM {table} WHERE product_id = 'PROD-001'"
    )
}
