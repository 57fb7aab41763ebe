//! etcd, two PostgreSQL servers under Patroni, and HAProxy, as private processes.
//!
//! Replication is synchronous, so that no committed row is lost and each answer can be judged. The times of Patroni are as short as it
//! takes them: an outage grows with `ttl` and `loop_wait`.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tributary::demo::{Account, Binaries};

use crate::support::server::family;
use crate::support::{Fault, Port, Proxy};

/// The time after which the primary's lock expires, and the interval of Patroni's loop, in seconds.
pub const TTL: u64 = 5;
pub const LOOP_WAIT: u64 = 1;

const ROLE_TIMEOUT: Duration = Duration::from_secs(60);

/// `$1` is the directory. Ends every process that has its number in it, and removes it, when standard input ends.
const KEEPER: &str = r#"
trap '' HUP INT TERM
read -r end
kill -s KILL $(cat "$1/pids")
sleep 0.2
for file in "$1"/*/postmaster.pid; do kill -s QUIT $(head -n 1 "$file"); kill -s CONT $(head -n 1 "$file"); done
sleep 0.5
rm -rf -- "$1"
"#;

/// A server under Patroni.
pub struct Member {
    pub name: &'static str,
    pub postgres: Port,
    rest: Port,
    /// Its way to etcd.
    pub etcd: Proxy,
    directory: PathBuf,
    patroni: Mutex<Option<u32>>,
}

/// The cluster. All of it ends with this value.
pub struct Cluster {
    pub members: [Member; 2],
    /// HAProxy's port of the primary.
    pub haproxy: Port,
    programs: PathBuf,
    directory: PathBuf,
    account: Account,
    client: reqwest::Client,
    _keeper: Child,
}

impl Cluster {
    /// Starts all. `programs` is what `scripts/install_failover` prints.
    pub async fn start(programs: &Path) -> Self {
        let account = Account::choose().expect("an account for PostgreSQL");
        let directory =
            ["/dev/shm", "/tmp"].map(Path::new).into_iter().find(|path| account.reaches(path)).expect("one");
        let directory = directory.join(format!("tributary-failover-{}", std::process::id()));
        account.create_private_dir(&directory).expect("the directory is made");
        let mut keeper = Command::new("/bin/sh");
        keeper.args(["-c", KEEPER, "tributary-failover"]).arg(&directory).current_dir("/").process_group(0);
        let keeper = keeper.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a shell");
        let (etcd, peer) = (Port::any(), Port::any());
        let member = |name| Member {
            name,
            postgres: Port::any(),
            rest: Port::any(),
            etcd: Proxy::to(etcd.number()),
            directory: directory.join(name),
            patroni: Mutex::new(None),
        };
        let members = [member("a"), member("b")];
        let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().expect("a client");
        let programs = programs.join("bin");
        let cluster = Self { members, haproxy: Port::any(), programs, directory, account, client, _keeper: keeper };
        cluster.start_etcd(&etcd, &peer);
        for member in &cluster.members {
            fs::write(cluster.file(&format!("{}.yaml", member.name)), Self::patroni_file(member)).expect("written");
            cluster.start_patroni(member);
            let role = if member.name == "a" { "primary" } else { "synchronous" };
            cluster.wait_for_role(member, role).await;
        }
        fs::write(cluster.file("haproxy.cfg"), cluster.haproxy_file()).expect("written");
        cluster.run("haproxy", &["-db", "-f", "haproxy.cfg"]);
        cluster
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Runs a program in the directory, and returns its number.
    fn run(&self, program: &str, arguments: &[&str]) -> u32 {
        let log =
            fs::File::options().create(true).append(true).open(self.file(&format!("{program}.log"))).expect("a log");
        let haproxy = (program == "haproxy").then(|| std::env::var_os("HAPROXY").expect("run scripts/failover"));
        let mut command = Command::new(haproxy.clone().map_or_else(|| self.programs.join(program), PathBuf::from));
        // HAProxy is installed for us only, and PostgreSQL refuses to run as root.
        command.args(arguments).current_dir(&self.directory).env("LC_ALL", "C").env("HOME", &self.directory);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log).process_group(0);
        if let (Account::Other { uid, gid, .. }, None) = (&self.account, haproxy) {
            command.uid(*uid).gid(*gid);
        }
        let mut child = command.spawn().expect("the program starts");
        let pid = child.id();
        // So that it does not remain as a zombie.
        std::thread::spawn(move || child.wait());
        let pids = fs::read_to_string(self.file("pids")).unwrap_or_default();
        fs::write(self.file("pids"), format!("{pids}{pid}\n")).expect("its number is written");
        pid
    }

    fn start_etcd(&self, clients: &Port, peers: &Port) {
        let url = |port: &Port| format!("http://127.0.0.1:{}", port.number());
        let (clients, peers) = (url(clients), url(peers));
        let data = self.file("etcd");
        self.run(
            "etcd",
            &[
                "--name=etcd",
                // Patroni 3.0.2 may keep a cache of its own of version 3 that is out of date after it was stopped.
                "--enable-v2",
                &format!("--data-dir={}", data.display()),
                &format!("--listen-client-urls={clients}"),
                &format!("--advertise-client-urls={clients}"),
                &format!("--listen-peer-urls={peers}"),
                &format!("--initial-advertise-peer-urls={peers}"),
                &format!("--initial-cluster=etcd={peers}"),
            ],
        );
    }

    /// Starts Patroni, which starts PostgreSQL.
    pub fn start_patroni(&self, member: &Member) {
        let pid = self.run("patroni", &[&format!("{}.yaml", member.name)]);
        *member.patroni.lock().expect("the lock") = Some(pid);
    }

    fn patroni_file(member: &Member) -> String {
        let binaries = Binaries::find().expect("these trials need PostgreSQL");
        format!(
            r#"
scope: trial
name: {name}
restapi: {{ listen: "127.0.0.1:{rest}", connect_address: "127.0.0.1:{rest}" }}
etcd: {{ hosts: "127.0.0.1:{etcd}", use_proxies: true }}
bootstrap:
  dcs:
    ttl: {TTL}
    loop_wait: {LOOP_WAIT}
    retry_timeout: 2
    synchronous_mode: true
    postgresql: {{ use_pg_rewind: true }}
  initdb: [ {{ auth: trust }}, {{ encoding: UTF8 }}, no-sync ]
  pg_hba: [ "host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust" ]
postgresql:
  listen: "127.0.0.1:{port}"
  connect_address: "127.0.0.1:{port}"
  data_dir: "{data}"
  bin_dir: "{bin}"
  pgpass: "{data}.pgpass"
  authentication:
    superuser: {{ username: postgres, password: unused }}
    replication: {{ username: replicator, password: unused }}
  parameters: {{ unix_socket_directories: "", fsync: off, shared_buffers: 16MB, jit: off, dynamic_shared_memory_type: mmap, max_connections: 60 }}
"#,
            name = member.name,
            rest = member.rest.number(),
            etcd = member.etcd.port(),
            port = member.postgres.number(),
            data = member.directory.display(),
            bin = binaries.dir().display(),
        )
    }

    fn haproxy_file(&self) -> String {
        let servers = self.members.iter().map(|member| {
            let (port, rest) = (member.postgres.number(), member.rest.number());
            format!("    server {} 127.0.0.1:{port} check port {rest}\n", member.name)
        });
        let servers: String = servers.collect();
        format!(
            "defaults\n    mode tcp\n    timeout connect 1s\n    timeout client 1h\n    timeout server 1h\n    \
             timeout check 500ms\n    default-server inter 300ms fall 2 rise 1 on-marked-down shutdown-sessions\n\
             listen primary\n    bind 127.0.0.1:{}\n    option httpchk OPTIONS /primary\n    \
             http-check expect status 200\n{servers}",
            self.haproxy.number()
        )
    }

    /// Whether Patroni's REST interface says that the member has the role.
    async fn has_role(&self, member: &Member, role: &str) -> bool {
        let url = format!("http://127.0.0.1:{}/{role}", member.rest.number());
        let answer = self.client.get(url).timeout(Duration::from_millis(500)).send().await;
        answer.is_ok_and(|answer| answer.status() == 200)
    }

    /// Waits until the member has the role.
    pub async fn wait_for_role(&self, member: &Member, role: &str) {
        self.wait(&format!("{} is not {role}", member.name), async || self.has_role(member, role).await).await;
    }

    /// Waits until `condition` holds. A member may have to be copied from the primary first.
    async fn wait(&self, otherwise: &str, condition: impl AsyncFn() -> bool) {
        let start = Instant::now();
        while !condition().await {
            if start.elapsed() > ROLE_TIMEOUT {
                let log = fs::read_to_string(self.file("patroni.log")).unwrap_or_default();
                let last: Vec<&str> = log.lines().rev().take(30).collect();
                panic!("{otherwise}; Patroni's last lines, newest first:\n{}", last.join("\n"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until one member is the primary and the other one may replace it. On a busy machine they may exchange their roles.
    pub async fn wait_for_both(&self) {
        let are_both = async || {
            let (primary, replica) = self.roles().await;
            self.has_role(primary, "primary").await && self.has_role(replica, "synchronous").await
        };
        self.wait("there is no primary with a replica", are_both).await;
    }

    /// The primary and the replica.
    pub async fn roles(&self) -> (&Member, &Member) {
        let [a, b] = &self.members;
        if self.has_role(a, "primary").await { (a, b) } else { (b, a) }
    }

    /// Has Patroni exchange the roles.
    pub async fn switch_over(&self, from: &Member, to: &Member) {
        let url = format!("http://127.0.0.1:{}/switchover", from.rest.number());
        let order = serde_json::json!({ "leader": from.name, "candidate": to.name });
        let answer = self.client.post(url).json(&order).send().await.expect("Patroni answers");
        assert!(answer.status().is_success(), "{:?}", answer.text().await);
    }

    /// The URL of each server, which takes only a primary.
    pub fn primary_urls(&self) -> [String; 2] {
        self.members.each_ref().map(|member| format!("{}?target_session_attrs=read-write", member.url()))
    }
}

impl Member {
    /// The superuser's URL.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.postgres.number())
    }

    fn patroni(&self) -> u32 {
        self.patroni.lock().expect("the lock").expect("Patroni was started")
    }

    fn postmaster(&self) -> u32 {
        let file = fs::read_to_string(self.directory.join("postmaster.pid")).expect("PostgreSQL runs");
        file.lines().next().and_then(|line| line.parse().ok()).expect("the number of its process")
    }

    /// Kills Patroni and PostgreSQL.
    pub fn kill(&self) {
        family::send(self.patroni(), Signal::SIGKILL);
        family::kill_all(self.postmaster());
        family::release_shared_memory(&self.directory);
    }

    /// Stops Patroni and PostgreSQL with SIGSTOP.
    pub fn freeze(&self) {
        family::send(self.patroni(), Signal::SIGSTOP);
        family::freeze(self.postmaster());
    }

    /// Lets them continue.
    pub fn thaw(&self) {
        family::thaw(self.postmaster());
        family::send(self.patroni(), Signal::SIGCONT);
    }

    /// Cuts Patroni off from etcd, or connects it again.
    pub fn cut_off(&self, is_cut: bool) {
        self.etcd.set(if is_cut { Fault::Stall } else { Fault::None });
    }
}
